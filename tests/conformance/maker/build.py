"""From the rows of case_list.py to finished cases: inputs, expected outputs, budgets."""

import numpy as np

import budgets
import case_list
import layouts
import oracle
import philox


def rounded(spec, dtype):
    """The array of an input as the library will see it."""
    shape, dtype = spec["shape"], spec.get("dtype", dtype)
    if "values" in spec:
        return np.array([float(x) if isinstance(x, str) else x for x in spec["values"]], dtype=dtype).reshape(shape)
    distinct = philox.fill_uniform(layouts.distinct_shape(shape, spec.get("layout")), dtype, **spec["fill"])
    return np.broadcast_to(distinct, shape)


def with_batch_and_heads(array):
    """B x H x rows x columns."""
    return array.reshape((1,) * (4 - array.ndim) + array.shape).astype(oracle.REAL)


def problem(options, inputs, dtype):
    arrays = {name: rounded(spec, dtype) for name, spec in inputs.items()}
    q, k, v = (with_batch_and_heads(arrays[name]) for name in "qkv")
    if q.shape[2] != k.shape[2] and (options.get("causal") or "lag_bias" in arrays):
        assert "causal_offset" in options, "causal attention and a lag bias need an offset where n_q != n_k"
    scale = oracle.REAL(options["scale"]) if "scale" in options else 1 / np.sqrt(oracle.REAL(q.shape[3]))
    return oracle.Problem(
        q,
        k,
        v,
        scale,
        causal=options.get("causal", False),
        offset=options.get("causal_offset", 0),
        key_offset=options.get("key_offset", 0),
        lag_bias=arrays["lag_bias"].astype(oracle.REAL) if "lag_bias" in arrays else None,
        lag_min=options.get("lag_min", 0),
        key_ranges=arrays.get("key_ranges"),
    )


def laid_out(shape, layout):
    return {"layout": layout(shape)} if layout else {}


def literal(array, layout=None):
    """An input given by its values."""
    return {"shape": list(array.shape), "values": array.ravel(), **laid_out(list(array.shape), layout)}


def expected(array, shape, budget, dtype, layout=None):
    budget = budget + budgets.storage(array, dtype)
    return {
        "shape": list(shape),
        "values": array.astype(np.float64).ravel(),
        "budget": float(budget),
        **laid_out(list(shape), layout),
    }


def with_layouts(row, arrays):
    """Inputs or outputs with the layouts that the row asks for."""
    return {name: spec | laid_out(spec["shape"], row["layout"].get(name)) for name, spec in arrays.items()}


def resolved(row, dtype):
    """The inputs of a row; where they are a slice of longer keys and values, those of the whole too."""
    inputs = with_layouts(row, row["inputs"])
    if "whole" not in row:
        return inputs, inputs
    whole = dict(inputs)
    first = row["options"]["key_offset"]
    for name in "kv":
        shape = inputs[name]["shape"]
        whole[name] = {"shape": [*shape[:-2], row["whole"], shape[-1]], "fill": inputs[name]["fill"]}
        inputs[name] = literal(rounded(whole[name], dtype)[..., first : first + shape[-2], :], row["layout"].get(name))
    return inputs, whole


def whole_result(row, whole, dtype):
    return oracle.attention(problem({**row["options"], "key_offset": 0} if "whole" in row else row["options"], whole, dtype))


def attention_case(row, dtype):
    inputs, _ = resolved(row, dtype)
    p = problem(row["options"], inputs, dtype)
    o, lse = oracle.attention(p)
    budget = budgets.forward(p, dtype)
    rows = inputs["q"]["shape"][:-1]
    return {
        **head(row, dtype),
        "options": row["options"],
        "inputs": inputs,
        "outputs": {
            "o": expected(o, [*rows, inputs["v"]["shape"][-1]], budget["o"], dtype, row["layout"].get("o")),
            "lse": expected(lse, rows, budget["lse"], dtype, row["layout"].get("lse")),
        },
        "pairs": oracle.pairs(p),
    }


def backward_case(row, dtype):
    inputs, whole = resolved(row, dtype)
    p = problem(row["options"], inputs, dtype)
    o, lse = whole_result(row, whole, dtype)
    rows = inputs["q"]["shape"][:-1]
    o_shape = [*rows, inputs["v"]["shape"][-1]]
    inputs["o"] = literal(o.astype(dtype).reshape(o_shape), row["layout"].get("o"))
    inputs["lse"] = literal(lse.astype(dtype).reshape(rows), row["layout"].get("lse"))
    inputs["d_o"] = {"shape": o_shape, "fill": row["d_o"], **laid_out(o_shape, row["layout"].get("d_o"))}
    d_o = with_batch_and_heads(rounded(inputs["d_o"], dtype))
    gradients = oracle.backward(p, d_o, (o, lse))
    budget = budgets.backward(p, d_o, (o, lse), dtype)
    outputs = {}
    for name, source in (("dq", "q"), ("dk", "k"), ("dv", "v"), ("d_lag_bias", "lag_bias")):
        if source in inputs:
            outputs[name] = expected(
                getattr(gradients, name), inputs[source]["shape"], budget[name], dtype, row["layout"].get(name)
            )
    return {**head(row, dtype), "options": row["options"], "inputs": inputs, "outputs": outputs, "pairs": oracle.pairs(p)}


def merge_case(row, dtype):
    shape, layout = row["shape"], row["layout"]
    inputs, o_parts, lse_parts = {}, [], []
    for part in range(row["parts"]):
        lse = philox.fill_uniform(shape[:-1], dtype, **case_list.fill(row["name"], 2 * part + 1, -row["spread"], row["spread"]))
        spec = {"shape": shape, "fill": case_list.fill(row["name"], 2 * part), **laid_out(shape, layout.get("o_parts"))}
        o = rounded(spec, dtype).copy()
        hidden = np.array([row["unseen"](part, i) for i in range(shape[-2])], dtype=bool)
        if hidden.any():
            lse[..., hidden], o[..., hidden, :] = -np.inf, 0
            spec = literal(o, layout.get("o_parts"))
        inputs[f"o_parts[{part}]"] = spec
        inputs[f"lse_parts[{part}]"] = literal(lse, layout.get("lse_parts"))
        o_parts.append(o.astype(oracle.REAL))
        lse_parts.append(lse.astype(oracle.REAL))
    return merged(row, dtype, inputs, np.array(o_parts), np.array(lse_parts))


def merged(row, dtype, inputs, o_parts, lse_parts):
    o, lse, weights = oracle.merge(o_parts, lse_parts)
    budget = budgets.merge(o_parts, lse_parts, weights, lse, dtype)
    case = {**head(row, dtype), "options": {}, "count": len(o_parts), "inputs": inputs}
    if "in_place" in row:
        case["in_place"] = row["in_place"]
    case["outputs"] = {
        "o": expected(o, o.shape, budget["o"], dtype, row["layout"].get("o")),
        "lse": expected(lse, lse.shape, budget["lse"], dtype, row["layout"].get("lse")),
    }
    return case


def fill_case(row, dtype):
    x = philox.fill_uniform(row["shape"], dtype, **row["fill"])
    layout = row["layout"].get("x")
    outputs = {"x": {"shape": row["shape"], "values": x.ravel(), "budget": 0.0, **laid_out(row["shape"], layout)}}
    return {**head(row, dtype), "options": {}, "inputs": {}, "fill": row["fill"], "outputs": outputs}


def slice_cases():
    """The slices of one problem, their merge, and the assertion that the merge is the whole."""
    for dtype in case_list.DTYPES:
        rows = list(case_list.slice_rows())
        parts = [attention_case(row, dtype) for row in rows]
        yield from parts
        inputs, o_parts, lse_parts = {}, [], []
        for number, part in enumerate(parts):
            for name, stack in (("o", o_parts), ("lse", lse_parts)):
                output = part["outputs"][name]
                array = output["values"].astype(dtype).reshape(output["shape"])
                inputs[f"{name}_parts[{number}]"] = literal(array)
                stack.append(array.astype(oracle.REAL))
        row = {"name": "three slices of keys", "function": "attention_merge", "layout": {}}
        case = merged(row, dtype, inputs, np.array(o_parts), np.array(lse_parts))
        whole = whole_result(rows[0], resolved(rows[0], dtype)[1], dtype)
        for name, of_whole in zip(("o", "lse"), whole, strict=True):
            output = case["outputs"][name]
            seen = np.isfinite(of_whole.ravel())
            assert (np.isfinite(output["values"]) == seen).all(), f"slices see other queries than the whole: {name}"
            distance = np.abs(output["values"][seen] - of_whole.ravel()[seen]).max()
            spent = sum(part["outputs"][name]["budget"] for part in [case, *parts])
            assert distance <= spent, f"slices do not merge to the whole: {name}"
        yield case


def head(row, dtype):
    return {"name": f"{row['function']}: {row['name']}: {dtype}", "function": row["function"], "dtype": dtype}


def build():
    """All cases of case_list, in its order."""
    cases = []
    for rows, make in (
        (case_list.fill_rows(), fill_case),
        (case_list.attention_rows(), attention_case),
        (case_list.backward_rows(), lambda row, dtype: backward_case({**row, "function": "attention_backward"}, dtype)),
        (case_list.merge_rows(), merge_case),
    ):
        for row in rows:
            cases += [make(row, dtype) for dtype in row["dtypes"]]
    return cases + list(slice_cases())
