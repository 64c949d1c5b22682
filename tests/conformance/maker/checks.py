"""Tests of the oracle and of the budgets, run at every generation: gradients against central differences, and
deliberate mistakes (mutants), which the budgets must catch by a wide margin."""

import contextlib
from dataclasses import replace

import numpy as np

import build
import oracle
import philox

MARGIN = 10  # a mutant's error must exceed the budget this many times, or be this many times smaller where it makes no difference


def inputs_of(case):
    p = build.problem(case["options"], case["inputs"], case["dtype"])
    if case["function"] == "attention":
        return p, None
    return p, build.with_batch_and_heads(build.rounded(case["inputs"]["d_o"], case["dtype"]))


def direction(shape, stream):
    return philox.fill_uniform(shape, "float64", seed=len(shape), stream=stream, low=-1.0, high=1.0).astype(oracle.REAL)


def check_gradients(cases):
    """Along one random direction per input: the error of a central difference falls with the square of its step, so that the
    distance between those at h and h/2 exceeds the error of the latter."""
    eps = np.finfo(oracle.REAL).eps
    for case in cases:
        p, d_o = inputs_of(case)
        if case["dtype"] != "float64" or "slice" in case["name"] or d_o.size == 0:
            continue
        gradients = oracle.backward(p, d_o)

        def loss(along, step, case_p=p, case_d_o=d_o):
            moved = replace(case_p, **{along[0]: getattr(case_p, along[0]) + step * along[1]})
            return (oracle.attention(moved)[0] * case_d_o).sum()

        largest = max(float(abs(p.scale) * np.abs(p.q).max(initial=0) * np.abs(p.k).max(initial=0)) * p.q.shape[3], 1.0)
        h = oracle.REAL(eps) ** (oracle.REAL(1) / 5) / largest
        for stream, (name, gradient) in enumerate(
            (("q", gradients.dq), ("k", gradients.dk), ("v", gradients.dv), ("lag_bias", gradients.d_lag_bias))
        ):
            if gradient is None:
                continue
            along = (name, direction(gradient.shape, stream))
            slopes = [(loss(along, step) - loss(along, -step)) / (2 * step) for step in (h, h / 2)]
            method = abs(slopes[0] - slopes[1])
            roundoff = eps * (p.q.shape[3] + p.k.shape[2]) * np.abs(d_o).sum() * np.abs(p.v).max(initial=0) * largest / h
            wanted = (gradient * along[1]).sum()
            assert abs(slopes[1] - wanted) <= method + roundoff, (
                f"{case['name']}: gradient in {name}: {wanted}, difference {slopes[1]}"
            )


def check_slices(cases):
    """Gradients of the slices of the keys: those of k and v lie side by side in the whole's, those of q and the bias add up."""
    for dtype in ("float32", "float64"):
        slices = [case for case in cases if "slice" in case["name"] and case["dtype"] == dtype]
        o = {tuple(case["inputs"]["o"]["values"]) for case in slices}
        assert len(slices) == 3
        assert len(o) == 1, "the slices are of different wholes"
        problems, d_os = zip(*(inputs_of(case) for case in slices), strict=True)
        whole = replace(
            problems[0], k=np.concatenate([p.k for p in problems], axis=2), v=np.concatenate([p.v for p in problems], axis=2)
        )
        wanted = oracle.backward(whole, d_os[0])
        got = {name: [case["outputs"][name]["values"] for case in slices] for name in ("dq", "dk", "dv", "d_lag_bias")}
        budget = {name: sum(case["outputs"][name]["budget"] for case in slices) for name in got}
        for name, total in (("dq", sum(got["dq"])), ("d_lag_bias", sum(got["d_lag_bias"]))):
            assert np.abs(total - getattr(wanted, name).ravel()).max() <= budget[name], f"{name} of the slices"
        for name, like in (("dk", "k"), ("dv", "v")):
            parts = [part.reshape(getattr(p, like).shape) for part, p in zip(got[name], problems, strict=True)]
            assert np.abs(np.concatenate(parts, axis=2) - getattr(wanted, name)).max() <= budget[name], f"{name} of the slices"


def mutants(p):
    """Mistakes that an implementation might make, as problems."""
    n_k, (h_q, h_kv) = p.k.shape[2], (p.q.shape[1], p.k.shape[1])
    if n_k > 1:
        keep = slice(0, n_k - 1)
        yield "last key dropped", replace(p, k=p.k[:, :, keep], v=p.v[:, :, keep])
        yield "first key seen as the last", replace(p, v=np.roll(p.v, 1, axis=2))
    if p.causal:
        yield "offset too small by one", replace(p, offset=p.offset - 1)
        if p.lag_bias is None:
            yield "offset too large by one", replace(p, offset=p.offset + 1)
            yield "mask forgotten", replace(p, causal=False)
    if p.key_offset and p.lag_bias is None:
        yield "key_offset forgotten", replace(p, key_offset=0)
    if h_q > h_kv > 1:
        yield "heads dealt in turn", replace(p, group_of_head=lambda head: head % h_kv)
    if p.q.shape[3] > 1:
        yield "scale of another width", replace(p, scale=p.scale * np.sqrt(oracle.REAL(p.q.shape[3]) / (p.q.shape[3] - 1)))
    if p.lag_bias is not None and p.lag_bias.shape[1] > 1:
        yield "bias one lag off", replace(p, lag_bias=np.roll(p.lag_bias, 1, axis=1))
        yield "bias forgotten", replace(p, lag_bias=np.zeros_like(p.lag_bias))
    if p.lag_bias is not None and p.lag_bias.shape[0] > 1:
        yield "bias of the first head for all", replace(p, lag_bias=p.lag_bias[:1])
    if p.key_ranges is not None:
        yield "range too short by one", replace(p, key_ranges=p.key_ranges - np.array([0, 1]))
        yield "range starts one late", replace(p, key_ranges=p.key_ranges + np.array([1, 0]))
        if p.key_ranges.shape[0] > 1:
            yield "range of the first batch element for all", replace(p, key_ranges=p.key_ranges[:1])


def results(p, d_o, whole):
    if d_o is None:
        o, lse = oracle.attention(p)
        return {"o": o, "lse": lse}
    g = oracle.backward(p, d_o, whole)
    return {"dq": g.dq, "dk": g.dk, "dv": g.dv, "d_lag_bias": g.d_lag_bias}


def excess(case, got):
    """Largest error in budgets over the outputs whose shape a mutant kept; infinite where it sees another set of rows."""
    worst = 0.0
    for name, output in case["outputs"].items():
        if got[name] is None or got[name].size != output["values"].size or not output["values"].size:
            continue
        values, wanted = got[name].ravel(), output["values"]
        seen = np.isfinite(wanted)
        if (np.isfinite(values) != seen).any():
            return np.inf
        error = float(np.abs(values[seen] - wanted[seen]).max(initial=0))
        if error:
            worst = max(worst, error / output["budget"] if output["budget"] else np.inf)
    return worst


def check_mutants(cases):
    """Each mutant is caught in most of the cases it applies to, and nowhere in between caught and without effect."""
    caught = {}
    for case in cases:
        for name, got in mutant_results(case):
            size = excess(case, got)
            assert not 1 / MARGIN <= size <= MARGIN, f"{case['name']}: {name} is {size:.3g} budgets off"
            caught.setdefault((case["function"], name), []).append(size > MARGIN)
    for (function, name), hits in caught.items():
        assert sum(hits) > len(hits) / 2, f"{function}: {name} is caught in {sum(hits)} of {len(hits)} cases only"


def mutant_results(case):
    if case["function"] == "attention_merge":
        yield from merge_mutants(case)
        return
    p, d_o = inputs_of(case)
    whole = results(p, d_o, whole_of(case, p))
    assert excess(case, whole) <= 1, f"{case['name']}: the expected values are not the oracle's"
    for name, mutant in mutants(p):
        with contextlib.suppress(oracle.LagNotCoveredError):
            yield name, results(mutant, d_o, whole_of(case, p))


def whole_of(case, p):
    """(o, lse) that a backward case of a slice is given; others make their own."""
    if "slice" not in case["name"] or case["function"] == "attention":
        return None
    arrays = [build.rounded(case["inputs"][name], case["dtype"]).astype(oracle.REAL) for name in ("o", "lse")]
    return arrays[0].reshape(p.q.shape[:3] + p.v.shape[3:]), arrays[1].reshape(p.q.shape[:3])


def merge_mutants(case):
    count = case["count"]
    o, lse = (
        np.array([build.rounded(case["inputs"][f"{name}_parts[{i}]"], case["dtype"]) for i in range(count)]).astype(oracle.REAL)
        for name in ("o", "lse")
    )
    if count > 1:
        yield "last part dropped", dict(zip(("o", "lse"), oracle.merge(o[:-1], lse[:-1]), strict=False))
        yield "parts swapped", dict(zip(("o", "lse"), oracle.merge(np.roll(o, 1, axis=0), lse), strict=False))


def check(cases):
    backward = [case for case in cases if case["function"] == "attention_backward"]
    check_gradients(backward)
    check_slices(backward)
    check_mutants([case for case in cases if case["function"] != "fill_uniform"])
