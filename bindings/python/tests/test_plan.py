"""Plans: applied to any values as attention would be, linear, causal; their life."""

import copy
import gc
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
import subquad
from adaptive_reference import KINDS, SLACK, errors, head, heads, listed, noise
from reference import fill, inputs

N = 2048
STEPS = 127  # of a largest magnitude, in 8 bits; on some processors weights have twice as many
SMALL = inputs(40, 40, heads=(4,), kv_heads=(2,))


@pytest.fixture(scope="module")
def arrays():
    """q, k, v of heads of all kinds."""
    return heads(N)


@pytest.fixture(scope="module", params=["screened", "sampled"])
def plan(arrays, request):
    return subquad.plan(*arrays, tol=0.1, causal=True, estimate=request.param)


SETTINGS = {
    "tol": {"tol": 0.1, "causal": True},
    "budget": {"budget": 0.2, "causal": True},
    "strict": {"tol": 0.1, "causal": True, "strict_causal": True},
    "not causal": {"tol": 0.1},
    "bias": {"tol": 0.1, "causal": True, "lag_bias": -0.01 * np.arange(N, dtype=np.float32)[None]},
    "sampled": {"tol": 0.05, "causal": True, "estimate": "sampled", "seed": 7},
    "parts": {"tol": 0.1, "causal": True, "estimate": "sampled", "parts": ["heavy", "conv"]},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_plan_applied_is_attention(arrays, settings):
    plan = subquad.plan(*arrays, **settings)
    o, lse, report = plan.apply(arrays[2], return_lse=True, return_report=True)
    expected, expected_lse, whole = subquad.attention(*arrays, return_lse=True, return_report=True, **settings)
    assert o.tobytes() == expected.tobytes()
    assert lse.tobytes() == expected_lse.tobytes()
    for key in ("parts", "error", "error_low", "error_high", "pairs_low", "pairs_exact", "pairs_screened", "missed_mass"):
        assert report.get(key) == whole.get(key), key
    assert plan.report["error"] == report["error"]
    assert plan.apply(arrays[2]).tobytes() == o.tobytes()


def test_other_values(arrays, plan):
    """Of another width, which the plan was not made with."""
    v = noise(9, 0, len(arrays[0]), N, 17)
    o = plan.apply(v)
    assert o.shape == v.shape
    assert errors(o, subquad.attention(*arrays[:2], v, causal=True)).max() <= 3 * 0.1  # promised of the worst head


def test_a_plan_without_values(arrays):
    q, k, v = arrays
    plan = subquad.plan(q, k, tol=0.1, causal=True, seed=3)
    assert plan.report["seed"] == 3
    assert errors(plan.apply(v), subquad.attention(q, k, v, causal=True)).max() <= 3 * 0.1


@pytest.mark.parametrize("estimate", ["screened", "sampled"])
def test_linear_in_v(arrays, estimate):
    """method: in each of three outputs the weights and values are rounded to integers, and what is left out may differ.

    Each rounding is uniform in half a step either way, of variance 1/12. A value's step is 1/127 of its largest entry, and weights sum to
    1. A weight's step is 1/127 of the largest in a tile of 64 keys; the largest of all tiles sum to 1 at most, and so do their squares."""
    q, k, v = arrays
    plan = subquad.plan(q, k, v, tol=0.03, causal=True, estimate=estimate)
    w = noise(8, 0, *v.shape)
    parts = [v, w, v + w]
    results = [plan.apply(part, return_report=True) for part in parts]
    rounded = np.sqrt((1 + 64) / 12) / STEPS * sum(np.abs(part).max(axis=(1, 2)) for part in parts)
    left_out = sum(
        np.array(report["missed_mass"]) * 2 * np.abs(part).max() for part, (_, report) in zip(parts, results, strict=True)
    )
    differences = results[2][0] - results[0][0] - results[1][0]
    assert (np.sqrt((differences**2).mean(axis=(1, 2))) <= rounded + left_out).all()


@pytest.mark.parametrize(
    "settings", [{}, {"estimate": "sampled", "parts": ["heavy", "selection", "centroids"]}, {"strict_causal": True}]
)
@pytest.mark.parametrize("seen", [1, 640, 1500, 2045])
def test_later_values_are_not_seen(arrays, seen, settings):
    q, k, v = arrays
    plan = subquad.plan(q, k, v, tol=0.1, causal=True, **settings)
    o, lse = plan.apply(v, return_lse=True)
    other = v.copy()
    other[:, seen:] = -50 * other[:, seen:] + 1
    changed, changed_lse = plan.apply(other, return_lse=True)
    assert changed[:, :seen].tobytes() == o[:, :seen].tobytes()
    assert changed_lse[:, :seen].tobytes() == lse[:, :seen].tobytes()
    assert (changed[:, seen:] != o[:, seen:]).any(axis=(1, 2)).all()


def test_later_values_change_a_conv_far_field_by_round_off(arrays):
    q, k, v = arrays
    plan = subquad.plan(q, k, v, tol=0.1, causal=True, estimate="sampled", parts=["heavy", "conv"])
    other = v.copy()
    other[:, 1500:] += 1
    roundoff = 64 * np.log2(2 * N) * np.finfo(np.float32).eps * np.abs(other).max()  # of transforms of 2 N values, three of them
    difference = np.abs(plan.apply(other) - plan.apply(v))[:, :1500].max(axis=(1, 2))
    bases = np.array(plan.report["conv_bases"])
    assert (difference <= np.where(bases > 0, roundoff, 0)).all()


def test_threads_share_a_plan(arrays, plan):
    v = arrays[2]
    expected = plan.apply(v).tobytes()
    results = []
    workers = [threading.Thread(target=lambda: results.append(plan.apply(v, threads=1).tobytes())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [expected] * 4


def test_the_same_plan_for_any_number_of_threads(arrays, plan):
    again = subquad.plan(*arrays, tol=0.1, causal=True, estimate=plan.report["estimate"], threads=1)
    timed = {key for key in plan.report if "seconds" in key} | {"threads", "workspace_bytes"}
    assert {key: plan.report[key] for key in plan.report.keys() - timed} == {
        key: again.report[key] for key in again.report.keys() - timed
    }
    assert again.apply(arrays[2], threads=1).tobytes() == plan.apply(arrays[2], threads=2).tobytes()


def test_out(arrays, plan):
    v = arrays[2]
    expected = plan.apply(v)
    gaps = np.full((len(v), N, 2 * v.shape[2]), np.nan, np.float32)
    assert plan.apply(v, out=gaps[..., ::2]) is not None
    assert (gaps[..., ::2] == expected).all()
    assert np.isnan(gaps[..., 1::2]).all()
    strided = np.asfortranarray(v)[:, ::-1].copy()[:, ::-1]
    assert plan.apply(strided).tobytes() == expected.tobytes()


def test_a_plan_keeps_copies():
    """And no array alive."""
    q, k, v = (array.copy() for array in head(KINDS[0], 1, N))
    bias, ranges = fill(0, 1, N, dtype=np.float32), np.array([[3, N]])
    references = [weakref.ref(array) for array in (q, k, bias, ranges)]
    counts = [sys.getrefcount(array) for array in (q, k, v, bias, ranges)]
    plan = subquad.plan(q, k, v, tol=0.1, causal=True, lag_bias=bias, key_ranges=ranges)
    assert [sys.getrefcount(array) for array in (q, k, v, bias, ranges)] == counts
    expected = plan.apply(v).tobytes()
    for array in (q, k, bias, ranges):
        array.fill(0)
    assert plan.apply(v).tobytes() == expected
    del q, k, bias, ranges, array
    assert [reference() for reference in references] == [None] * 4
    assert plan.apply(v).tobytes() == expected


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (1, 1), (0,), (0, 2)])
def test_shapes(leading):
    q, k, v = inputs(20, 30, heads=leading[-1:], batch=leading[:-1])
    plan = subquad.plan(q, k, tol=0.1, causal=True, causal_offset=10)
    o, lse = plan.apply(v, return_lse=True)
    assert (o.shape, lse.shape) == ((*leading, 20, 3), (*leading, 20))
    assert o.tobytes() == subquad.attention(q, k, v, causal=True, causal_offset=10).tobytes()
    gradients = plan.backward(v, o, lse, o)
    assert [array.shape for array in gradients[:3]] == [q.shape, k.shape, v.shape]


def test_what_a_plan_says_of_itself():
    q, k, v = SMALL
    with subquad.plan(q, k, v, tol=0.1) as plan:
        assert plan.dtype == np.float64
        assert repr(plan) == "Plan(q=(4, 40, 5), k=(2, 40, 5), dtype=float64)"
    assert repr(plan).endswith(", closed)")
    assert listed(plan.report["parts"]) == ["exact"] * 4


def test_a_plan_has_an_end():
    q, k, v = SMALL
    plan = subquad.plan(q, k, tol=0.1)
    plan.close()
    plan.close()
    for use in (lambda: plan.apply(v), lambda: plan.backward(v, v, v[..., 0], v)):
        with pytest.raises(ValueError, match="the Plan is closed") as caught:
            use()
        assert caught.value.name == "ERR_NULL"


def test_plans_are_not_pickled():
    plan = subquad.plan(*SMALL, tol=0.1)
    for attempt in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match=r"a Plan cannot be pickled.*plan\(\)"):
            attempt(plan)


def test_closing_while_other_threads_compute():
    plan = subquad.plan(*SMALL, tol=0.1)
    expected, results = plan.apply(SMALL[2]), []

    def work():
        try:
            for _ in range(300):
                results.append(plan.apply(SMALL[2], threads=1))
        except ValueError:
            results.append(expected)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    while not results:
        pass
    plan.close()
    for worker in workers:
        worker.join()
    assert all(result.tobytes() == expected.tobytes() for result in results)


def test_collection_releases_the_memory():
    destroyed = []
    plan = subquad.plan(*SMALL, tol=0.1)
    destroy = plan._handle._destroy
    plan._handle._destroy = lambda pointer: (destroyed.append(pointer), destroy(pointer))
    del plan
    gc.collect()
    assert len(destroyed) == 1


def test_the_error_is_that_of_the_values_of_the_plan(arrays):
    """Planned on v, a tolerance is met on v."""
    q, k, v = arrays
    own = np.repeat(v[..., :1], 64, axis=-1) + 3  # values that are nearly alike: attention hardly matters
    plan = subquad.plan(q, k, own, tol=0.1, causal=True)
    assert errors(plan.apply(own), subquad.attention(q, k, own, causal=True)).max() <= SLACK * 0.1
    assert plan.apply(v, return_report=True)[1]["error"] == plan.report["error"]
