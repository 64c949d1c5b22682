"""From the rows of sparsify_list.py to finished cases."""

import numpy as np

import budgets
import build
import oracle
import sparsify_budgets
import sparsify_list
import sparsify_matrices
import sparsify_oracle
import sparsify_selection


def exactly(values, shape, dtype):
    return {"shape": list(shape), "dtype": dtype, "values": np.asarray(values, dtype=np.float64).ravel(), "budget": 0.0}


def in_double(values, shape, budget, dtype):
    """What the library gives in double, whatever the dtype of x."""
    values = np.asarray(values, dtype=oracle.REAL)
    return build.expected(values, shape, budget, dtype) | {"dtype": "float64"}


def sources(row, dtype):
    """The matrices that a row is about, and their rows one above the other."""
    specs = {name: row[name](dtype) for name in ("x", "q", "k") if name in row}
    return specs, np.concatenate([sparsify_matrices.dense(spec, dtype) for spec in specs.values()])


def score_outputs(row, w, dtype):
    scores, budget = w.scores, sparsify_budgets.scores(w, dtype)
    if row.get("kind") == "sketched":
        least, greatest = (factor * scores for factor in sparsify_budgets.SKETCHED)
        scores, budget = (least + greatest) / 2, budget + ((greatest - least) / 2).max()
    return {"scores": in_double(scores, [w.x.shape[1]], budget, dtype)}


def radius(row, x, n_q):
    sizes = np.sqrt((x**2).sum(axis=1))
    return sizes.max(initial=0) ** 2 if "x" in row else sizes[:n_q].max(initial=0) * sizes[n_q:].max(initial=0)


def y_budget(s, y, dtype):
    """Of a column scaled by the root of its weight."""
    return (s.weight_error / 2 + 4 * budgets.unit(dtype)) * np.abs(y).max(initial=0)


def sparsifier_outputs(row, w, dtype, n_q):
    s, n = sparsify_selection.expected(row, w, dtype), w.x.shape[0]
    outputs = {}
    certified = row["options"].get("sparsify_certify") != "none"
    if certified:
        outputs["epsilon"] = in_double([s.e], [1], s.e_error, dtype)
    if s.indices is None:
        return outputs | {"yy": in_double(s.yy, [n, n], s.yy_error, dtype)}
    y = sparsify_oracle.factor(w.x, s.indices, s.weights)
    outputs["indices"] = exactly(s.indices, [s.indices.size], "int64")
    if s.weight_error:
        outputs["weights"] = in_double(s.weights, [s.indices.size], s.weight_error * s.weights.max(initial=0), dtype)
    else:
        outputs["weights"] = exactly(s.weights, [s.indices.size], "float64")
    outputs["y"] = build.expected(y, y.shape, y_budget(s, y, dtype), dtype)
    r = radius(row, w.x, n_q)
    relative = 2 * r * (s.e_error + s.e * (w.x.shape[1] + 4) * budgets.unit(dtype))
    if certified and 2 * s.e * r < np.log(np.finfo(np.float32).max) and relative < 1:
        bound = np.exp(2 * s.e * r)
        outputs["ratio_bound"] = in_double([bound], [1], bound * np.expm1(relative), dtype)
    return outputs


def factors(w, s):
    """Matrices whose products q k' are those of the sparsifier."""
    return w.x if s.indices is None else sparsify_oracle.factor(w.x, s.indices, s.weights)


def split(row, x, n_q):
    """Queries and keys among the rows of x."""
    return (x, x) if "x" in row else (x[:n_q], x[n_q:])


def attention_outputs(row, w, dtype, n_q, v):
    s, options = sparsify_selection.expected(row, w, dtype), row["options"]
    y = factors(w, s)
    q, k = split(row, y, n_q)
    scale = oracle.REAL(options.get("scale", 1))
    p = oracle.Problem(*(build.with_batch_and_heads(a) for a in (q, k, v)), scale, causal=options.get("causal", False))
    p.offset = options.get("causal_offset", 0)
    o, lse = oracle.attention(p)
    budget, extra = budgets.forward(p, dtype), sparsify_budgets.logits(y, scale, s.yy_error, budgets.unit(dtype))
    o_bound = budget["o"] + np.expm1(2 * extra) * np.abs(v).max(initial=0)
    return {
        "o": build.expected(o, [q.shape[0], v.shape[1]], o_bound, dtype),
        "lse": build.expected(lse, [q.shape[0]], budget["lse"] + extra, dtype),
    }


def softmax(q, k, scale):
    logits = scale * (q @ k.T)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def error_outputs(row, w, dtype, n_q):
    """Round-off of logits, exponentials and sums, on both sides, and the errors of Y Y'."""
    s, unit, scale = sparsify_selection.expected(row, w, dtype), budgets.unit(dtype), oracle.REAL(row["options"].get("scale", 1))
    y = factors(w, s)
    true, other = (softmax(*split(row, a, n_q), scale) for a in (w.x, y))
    sides = 0.0
    for a, error in ((w.x, 0.0), (y, s.yy_error)):
        logit = sparsify_budgets.logits(a, scale, error, unit)
        largest = abs(scale) * (a**2).sum(axis=1).max(initial=0)
        sides += 2 * logit + (a.shape[0] + 4 + 2 * budgets.EXP_ERROR + 4 * largest) * unit
    ratio = np.exp(np.abs(np.log(other / true)).max(initial=0))
    error = np.abs(other - true).max(initial=0)
    return {
        "error": in_double([error], [1], np.expm1(sides), dtype),
        "ratio": in_double([ratio], [1], ratio * np.expm1(sides), dtype),
    }


def case_of(row, dtype, change=lambda x: x):
    """change: made of x before anything is computed, for the mistakes of sparsify_checks.py."""
    inputs, x = sources(row, dtype)
    x = change(x)
    w = sparsify_oracle.whiten(x)
    n_q = inputs["q"]["shape"][0] if "q" in inputs else x.shape[0]
    function = row["function"]
    case = {**build.head(row, dtype), "options": row["options"]}
    if "made" in row:
        case["sparsifier"] = {"options": row["made"]}
    if function == "leverage_scores":
        outputs = score_outputs(row, w, dtype)
    elif function == "sparsifier_attention":
        inputs |= build.with_layouts(row, row["arrays"])
        v = build.rounded(row["arrays"]["v"], dtype).astype(oracle.REAL)
        outputs = attention_outputs(row, w, dtype, n_q, v)
    elif function == "sparsifier_softmax_error":
        outputs = error_outputs(row, w, dtype, n_q)
    else:
        outputs = sparsifier_outputs(row, w, dtype, n_q)
    case["inputs"], case["outputs"] = inputs, build.with_layouts(row, outputs)
    if "made" not in row and row.get("kind") != "itself":
        case["rank"] = w.rank
    return case | row.get("told", {})


def build_cases():
    """All cases of sparsify_list, in its order."""
    return [case_of(row, dtype) for row in sparsify_list.rows() for dtype in row["dtypes"]]
