"""From the rows of conv_list.py to finished cases."""

import numpy as np

import budgets
import build
import conv_budgets
import conv_list
import conv_loss
import conv_oracle
import conv_outputs
import oracle
import structures
from case_list import fill


def heads_of_arrays(made, arrays, dtype):
    """Heads by (batch, head) of the basis that create or from_dense makes of these arrays."""
    if "h" in arrays:
        h = build.with_batch_and_heads(arrays["h"])
        return {index: conv_oracle.head_of_matrix(h[index]) for index in np.ndindex(h.shape[:2])}
    kernels = build.with_batch_and_heads(arrays["kernels"])
    starts = arrays["starts"].reshape(kernels.shape[:3])
    unit, cumulative = budgets.unit(dtype), made.get("cumulative", False)
    return {
        index: conv_oracle.head_of(starts[index], kernels[index], cumulative, unit) for index in np.ndindex(kernels.shape[:2])
    }


def heads_of_pair(row, q, k, scale, dtype, bias=None):
    """Heads of the basis that recovery makes of q and k: the columns of logits at the starts, with a bias by lag on top."""
    heads, starts = {}, row["structure"]["starts"]
    for batch, head in np.ndindex(q.shape[:2]):
        kv = head // (q.shape[1] // k.shape[1])
        own = starts[kv] if structures.nested(starts) else starts
        n = q.shape[2]
        logits = np.tril(scale * (q[batch, head] @ k[batch, kv].T))
        errors = np.tril(conv_budgets.logits(q[batch, head], k[batch, kv], scale, dtype))
        made = conv_oracle.head_of_columns(logits, own, errors)
        if bias is not None:
            along = bias[head if bias.shape[0] > 1 else 0, :n]
            made = with_bias(made, along, 3 * budgets.unit(dtype) * np.abs(along))
        heads[batch, head] = made
    return heads


def fitted(heads, q, k, scale, dtype):
    """The same heads with the errors that a fit adds; it has a basis from column 0 on."""
    result = {}
    for (batch, head), made in heads.items():
        error = conv_budgets.fit(made, q[batch, head], k[batch, head // (q.shape[1] // k.shape[1])], scale, dtype)
        result[batch, head] = with_bias(made, np.zeros(made.n), np.full(made.n, error))
    return result


def with_bias(head, along, errors):
    """A bias is added to leading columns without a basis too, which become one."""
    starts, kernels, wrong = head.starts, head.kernels, head.errors
    if not starts or starts[0] > 0:
        zeros = np.zeros((1, head.n), dtype=oracle.REAL)
        starts, kernels, wrong = [0, *starts], np.vstack([zeros, kernels]), np.vstack([zeros, wrong])
    return conv_oracle.cut(conv_oracle.Head(head.n, starts, kernels + along, wrong + errors))


def structured_inputs(row, dtype):
    """q and k, and v and d_o where the function takes them; conv_delta follows from the structure."""
    shape = row["structure"]
    q, k = structures.pair(row["name"], dtype=dtype, **shape)
    inputs = {"q": build.literal(q), "k": build.literal(k)}
    if row["function"] in ("attention", "attention_backward", "conv_basis_apply", "conv_basis_backward"):
        inputs["v"] = {"shape": [*k.shape[:-1], row["d_v"]], "fill": fill(row["name"], 3)}
    if "bias" in row:
        inputs["lag_bias"] = {"shape": list(row["bias"]), "fill": fill(row["name"], 5)}
    return inputs


def case_of(row, dtype, change=dict):
    """change: made of the heads by (batch, head) before anything is computed, for the mistakes of conv_checks.py."""
    if row["function"] == "attention_loss":
        return conv_loss.case_of(row, dtype)
    if "structure" in row:
        return structured_case(row, dtype, change)
    inputs = build.with_layouts(row, dense_input(row, dtype) if "source" in row else row["inputs"])
    arrays = {name: build.rounded(spec, dtype) for name, spec in inputs.items()}
    heads = heads_of_arrays(row["made"], arrays, dtype)
    return finished(row, dtype, inputs, arrays, change(heads), row["made"])


def dense_input(row, dtype):
    arrays = {name: build.rounded(spec, dtype) for name, spec in row["source"].items()}
    heads = heads_of_arrays({"cumulative": True}, arrays, dtype)
    h = np.array([head.dense() for head in heads.values()]).reshape((*row["lead"], row["n"], row["n"])).astype(dtype)
    return {"h": build.literal(h)}


def structured_case(row, dtype, change):
    inputs = structured_inputs(row, dtype)
    arrays = {name: build.rounded(spec, dtype) for name, spec in inputs.items()}
    q, k = (build.with_batch_and_heads(arrays[name]) for name in "qk")
    scale = oracle.REAL(row["made"]["scale"]) if "scale" in row["made"] else 1 / np.sqrt(oracle.REAL(q.shape[3]))
    bias = arrays["lag_bias"].astype(oracle.REAL) if "lag_bias" in arrays else None
    plain = heads_of_pair(row, q, k, scale, dtype)
    if row["made_by"] == "fit":
        made, heads = row["made"], fitted(plain, q, k, scale, dtype)
    else:
        made, heads = structures.separated(row["made"], plain), heads_of_pair(row, q, k, scale, dtype, bias)
    if row["function"] in ("attention_backward", "conv_basis_backward"):
        shape = [*arrays["q"].shape[:-1], row["d_v"]]
        inputs["d_o"] = {"shape": shape, "fill": fill(row["name"], 4)}
        arrays["d_o"] = build.rounded(inputs["d_o"], dtype)
    inputs = build.with_layouts(row, inputs)
    return finished({**row, "scale": scale}, dtype, inputs, arrays, change(heads), made)


def finished(row, dtype, inputs, arrays, heads, made):
    """The case whose basis consists of these heads."""
    function, options = row["function"], row["options"]
    if row["exp"]:
        heads = {index: head.exp(budgets.unit(dtype)) for index, head in heads.items()}
    case = build.head(row, dtype)
    if function.startswith("attention"):
        case["options"] = {"method": "conv_basis", "causal": True, **made, **options}
        if function == "attention_backward":
            case["options"]["backward"] = "conv_basis"
    else:
        case["conv_basis"] = {"made_by": row["made_by"], "options": made, "exp": row["exp"]}
        case["options"] = options
    outputs = conv_outputs.OUTPUTS[function](row, dtype, arrays, heads)
    if function == "attention_backward":
        inputs = {**inputs, **conv_outputs.results_of_forward(row, dtype, arrays, heads)}
    case["inputs"] = inputs
    wanted = {name: output for name, output in outputs.items() if name not in row.get("without", ())}
    case["outputs"] = build.with_layouts(row, wanted)
    if function in ("attention", "attention_backward", "conv_basis_apply"):
        case["pairs"] = sum(head.n * (head.n + 1) // 2 for head in heads.values())
    return case


def build_cases():
    """All cases of conv_list, in its order."""
    return [case_of(row, dtype) for row in conv_list.rows() for dtype in row["dtypes"]]
