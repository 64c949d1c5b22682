"""Expected outputs of the functions of conv bases, by the oracle and with their budgets."""

import numpy as np

import budgets
import build
import conv_budgets
import conv_oracle
import oracle

MATRICES = {"conv_basis_multiply": False, "conv_basis_multiply_transposed": True}  # whether it is the transpose


def exactly(array, shape, dtype=None):
    given = {"shape": list(shape), "values": array.astype(np.float64).ravel(), "budget": 0.0}
    return {**given, "dtype": dtype} if dtype else given


def nearly(array, shape, budget, dtype):
    """A budget of 0 asks for the very numbers."""
    return build.expected(array, shape, budget, dtype) if budget > 0 else exactly(array, shape)


def largest(bounds):
    return max((float(bound) for bound in bounds), default=0.0)


def stacked(values, shape):
    return np.array(list(values), dtype=oracle.REAL).reshape(shape)


def value_head(index, heads, v):
    """v of a head of the basis, whose heads come in groups."""
    count = 1 + max(head for _, head in heads)
    return v[index[0], index[1] // (count // v.shape[1])]


def lead_of(row, arrays):
    """Leading extents of the basis as the case's arrays have them."""
    return list(arrays["q"].shape[:-2]) if "q" in arrays else row["lead"]


def attention_outputs(row, dtype, arrays, heads):
    v, n = build.with_batch_and_heads(arrays["v"]), arrays["v"].shape[-2]
    o, lse, bounds = [], [], []
    for index, head in heads.items():
        a, own = conv_oracle.attention(head), value_head(index, heads, v)
        o.append(a.weights @ own)
        lse.append(a.lse)
        bounds.append(conv_budgets.apply(head, a, own, dtype))
    lead = lead_of(row, arrays)
    shape, lse_shape = [*lead, n, v.shape[3]], [*lead, n]
    return {
        "o": build.expected(stacked(o, shape), shape, largest(b[0] for b in bounds), dtype),
        "lse": build.expected(stacked(lse, lse_shape), lse_shape, largest(b[1] for b in bounds), dtype),
    }


def results_of_forward(row, dtype, arrays, heads):
    """o and lse as inputs of attention_backward, which does not read them."""
    outputs = attention_outputs(row, dtype, arrays, heads)
    return {name: build.literal(output["values"].astype(dtype).reshape(output["shape"])) for name, output in outputs.items()}


def product_outputs(row, dtype, arrays, heads):
    x = build.with_batch_and_heads(arrays["x"])
    transposed, unit = MATRICES[row["function"]], budgets.unit(dtype)
    y, bounds = [], []
    for index, head in heads.items():
        h = head.dense()
        y.append((h.T if transposed else h) @ x[index])
        bounds.append(conv_budgets.multiply(head, x[index], unit, transposed))
    shape = arrays["x"].shape
    return {"y": build.expected(stacked(y, shape), shape, largest(bounds), dtype)}


def transposed_outputs(row, dtype, arrays, heads):
    x = build.with_batch_and_heads(arrays["x"])
    y, bounds = [], []
    for index, head in heads.items():
        a = conv_oracle.attention(head)
        y.append(a.weights.T @ x[index])
        bounds.append(conv_budgets.apply_transposed(head, a, x[index], dtype))
    shape = arrays["x"].shape
    return {"y": build.expected(stacked(y, shape), shape, largest(bounds), dtype)}


def taken_apart(row, dtype, arrays, heads):
    """starts [batch, heads, k] and kernels padded to the most bases of a head; increments are differences, rounded once."""
    n, most = next(iter(heads.values())).n, max(len(head.starts) for head in heads.values())
    starts = np.full((len(heads), most), n, dtype=np.int64)
    kernels, bounds = np.zeros((len(heads), most, n), dtype=oracle.REAL), []
    for place, head in enumerate(heads.values()):
        count = len(head.starts)
        starts[place, :count] = head.starts
        values, errors = head.kernels.copy(), head.errors.copy()
        if not row["options"].get("cumulative", False):
            values[1:] -= head.kernels[:-1]
            errors[1:] += head.errors[:-1]
            errors[1:] += budgets.unit(dtype) * np.abs(values[1:])
        for r, start in enumerate(head.starts):
            values[r, n - start :] = errors[r, n - start :] = 0
        kernels[place, :count] = values
        bounds.append(errors.max(initial=0))
    lead = [last + 1 for last in max(heads)]
    return {
        "starts_out": exactly(starts, [*lead, most], "int64"),
        "kernels_out": nearly(kernels, [*lead, most, n], largest(bounds), dtype),
    }


def dense_outputs(row, dtype, arrays, heads):
    n = next(iter(heads.values())).n
    h = np.array([head.dense() for head in heads.values()])
    bound = largest(head.errors.max(initial=0) for head in heads.values())
    return {"h_out": nearly(h, [*lead_of(row, arrays), n, n], bound, dtype)}


def gradient_outputs(row, dtype, arrays, heads):
    q, k, v, d_o = (build.with_batch_and_heads(arrays[name]) for name in ("q", "k", "v", "d_o"))
    sums = {"dq": np.zeros_like(q), "dk": np.zeros_like(k), "dv": np.zeros_like(v)}
    bounds = {"dq": np.zeros(q.shape[:2]), "dk": np.zeros(k.shape[:2]), "dv": np.zeros(v.shape[:2])}
    for (batch, head), made in heads.items():
        kv, a = head // (q.shape[1] // k.shape[1]), conv_oracle.attention(made)
        operands = (q[batch, head], k[batch, kv], v[batch, kv], d_o[batch, head], row["scale"])
        g, bound = conv_oracle.backward(a.weights, *operands), conv_budgets.gradients(made, a, *operands, dtype)
        for name, place in (("dq", head), ("dk", kv), ("dv", kv)):
            sums[name][batch, place] += getattr(g, name)
            bounds[name][batch, place] += bound[name]
    sources = {"dq": "q", "dk": "k", "dv": "v"}
    return {
        name: build.expected(total, arrays[sources[name]].shape, bounds[name].max(initial=0), dtype)
        for name, total in sums.items()
    }


OUTPUTS = {
    "attention": attention_outputs,
    "attention_backward": gradient_outputs,
    "conv_basis_apply": attention_outputs,
    "conv_basis_apply_transposed": transposed_outputs,
    "conv_basis_backward": gradient_outputs,
    "conv_basis_get": taken_apart,
    "conv_basis_multiply": product_outputs,
    "conv_basis_multiply_transposed": product_outputs,
    "conv_basis_to_dense": dense_outputs,
}
