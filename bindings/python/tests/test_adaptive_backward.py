"""Gradients of attention with tol or budget: exact where heads are, else as far off as the report says; and against differences."""

import numpy as np
import pytest
import subquad
from adaptive_reference import KINDS, approximated, chance, errors, head, heads, local, noise
from reference import assert_within, fill, inputs, problem

import budgets

N = 2048


def exact_gradients(q, k, v, d_o, **settings):
    o, lse = subquad.attention(q, k, v, return_lse=True, **settings)
    return subquad.attention_backward(q, k, v, o, lse, d_o, **settings)


SETTINGS = {
    "plain": {},
    "causal": {"causal": True, "causal_offset": 3},
    "bias": {"causal": True, "lag_bias": fill(4, 4, 40), "causal_offset": 0},
    "ranges": {"key_ranges": [(1, 30), (0, 12)], "scale": 0.7},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_exact_heads_have_exact_gradients(settings, dtype):
    q, k, v = inputs(30, 33, heads=(4,), kv_heads=(2,), batch=(2,), dtype=dtype)
    settings = {key: value.astype(dtype) if key == "lag_bias" else value for key, value in settings.items()}
    d_o = fill(5, 2, 4, 30, 3, dtype=dtype)
    plan = subquad.plan(q, k, v, tol=0.1, **settings)
    o, lse = plan.apply(v, return_lse=True)
    gradients, report = plan.backward(v, o, lse, d_o, return_report=True)
    expected = exact_gradients(q, k, v, d_o, **settings)
    again = subquad.attention_backward(q, k, v, o, lse, d_o, tol=0.1, **settings)
    for ours, theirs, wanted in zip(gradients[:3], again, expected, strict=False):
        assert ours.tobytes() == theirs.tobytes() == wanted.tobytes()
    assert gradients.d_lag_bias is None
    assert again.d_lag_bias is None
    assert set(report["error_backward"]) == {0}


@pytest.mark.parametrize(
    "settings", [{"tol": 0.1}, {"tol": 0.1, "estimate": "sampled"}, {"budget": 0.3}, {"tol": 0.1, "strict_causal": True}]
)
def test_gradients_err_as_reported(settings):
    """chance: estimates from so few rows, of errors that few rows hold, are half of the truth or less in a quarter of the heads at most."""
    q, k, v = heads(N, seeds=4, kinds=KINDS[:3])
    d_o = noise(7, 0, *v.shape)
    plan = subquad.plan(q, k, v, causal=True, **settings)
    gradients, report = plan.backward(v, *plan.apply(v, return_lse=True), d_o, return_report=True)
    expected = exact_gradients(q, k, v, d_o, causal=True)
    true = errors(gradients.dq, expected.dq)
    estimated = np.array(report["error_backward"])
    assert (true[~approximated(report)] == 0).all()
    assert (true > 2 * estimated).sum() <= chance(len(q), 0.25), (true, estimated)
    for ours, wanted in zip(gradients[:3], expected, strict=False):
        assert errors(ours, wanted).max() < 1  # what no gradient at all would err by


def test_dv_is_the_transpose_of_apply():
    """<apply(x), w> = <x, dv>, by the same weights up to the low precision of apply's: half a step of 127 in values and in weights."""
    q, k, v = head(local, 1, N)
    plan = subquad.plan(q, k, v, tol=0.1, causal=True, estimate="sampled", parts=["heavy", "selection"])
    o, lse = plan.apply(v, return_lse=True)
    w = noise(7, 1, *o.shape)
    dv = plan.backward(v, o, lse, w).dv
    forward, transposed = ((a.astype(np.float64) * b).sum() for a, b in ((o, w), (v, dv)))
    method = 2 * 0.5 / 127 * np.abs(v).max() * np.abs(w).sum(axis=1).max() * np.sqrt(N)
    assert abs(forward - transposed) <= method


def test_grouped_heads_add_up():
    q, k, v = heads(N, kinds=KINDS[:2])
    k, v = k[:1], v[:1]
    d_o = noise(7, 0, *q.shape)
    plan = subquad.plan(q, k, v, tol=0.1, causal=True)
    o, lse = plan.apply(v, return_lse=True)
    dq, dk, dv, _ = plan.backward(v, o, lse, d_o)
    assert (dq.shape, dk.shape, dv.shape) == (q.shape, k.shape, v.shape)
    expected = exact_gradients(q, k, v, d_o, causal=True)
    for ours, wanted in zip((dk, dv), expected[1:3], strict=True):
        assert errors(ours, wanted)[0] < 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(dtype):
    q, k, v = heads(N, dtype=dtype)
    plan = subquad.plan(q, k, v, tol=0.1, causal=True)
    o, lse = plan.apply(v, return_lse=True)
    results = [plan.backward(v, o, lse, v, threads=threads) for threads in (1, 2, 3)]
    whole = subquad.attention_backward(q, k, v, o, lse, v, tol=0.1, causal=True)
    assert len({tuple(array.tobytes() for array in gradients[:3]) for gradients in [*results, whole]}) == 1


def test_layouts():
    q, k, v = heads(N, kinds=KINDS[:2])
    plan = subquad.plan(q, k, v, tol=0.1, causal=True)
    o, lse = plan.apply(v, return_lse=True)
    expected = plan.backward(v, o, lse, o)
    strided = [np.asfortranarray(array)[..., ::-1].copy()[..., ::-1] for array in (v, o, lse, o)]
    again = plan.backward(*strided)
    assert [array.tobytes() for array in again[:3]] == [array.tobytes() for array in expected[:3]]


@pytest.mark.parametrize("name", "qkv")
def test_differences(name):
    """A central difference of <w, apply(v)> along a direction is the gradient's product with it: see test_backward.test_differences."""
    arrays = dict(zip("qkv", inputs(7, 7, heads=(2,), kv_heads=(1,)), strict=True))
    plan = subquad.plan(**arrays, tol=0.1, causal=True)
    o, lse = plan.apply(arrays["v"], return_lse=True)
    w, direction = fill(5, *o.shape), fill(6, *arrays[name].shape)
    gradients = plan.backward(arrays["v"], o, lse, w)

    def value(step):
        moved = arrays | {name: arrays[name] + step * direction}
        return float((w * subquad.plan(**moved, tol=0.1, causal=True).apply(moved["v"])).sum())

    step = 2.0**-10
    fine, coarse = ((value(h) - value(-h)) / (2 * h) for h in (step, 2 * step))
    roundoff = budgets.forward(problem(**arrays, causal=True), np.float64)["o"] * np.abs(w).sum() / step
    method = abs(coarse - fine) / 3 + (2 * step) ** 4 * np.abs(w).sum()
    product = (getattr(gradients, f"d{name}") * direction).sum()
    assert_within(product, np.array(fine), method + 2 * roundoff, f"d{name}")
