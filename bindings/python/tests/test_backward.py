"""attention_backward against the textbook formulas, and against differences of attention itself."""

from itertools import product

import numpy as np
import pytest
import subquad
from reference import check_backward, fill, inputs, problem

import budgets

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 31, 32, 33, 97])
def test_sizes(n, causal, dtype):
    check_backward(*inputs(n, n, dtype=dtype), causal=causal)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_q", "n_k", "offset"), [(0, 5, 0), (5, 0, 0), (1, 29, 28), (29, 1, 0), (13, 40, 3), (40, 13, -6)])
def test_unequal_lengths(n_q, n_k, offset, dtype):
    arrays = inputs(n_q, n_k, dtype=dtype)
    check_backward(*arrays)
    check_backward(*arrays, causal=True, causal_offset=offset)


@pytest.mark.parametrize(("d", "d_v"), [(1, 1), (17, 2), (64, 64), (65, 3), (4, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_widths(d, d_v, dtype):
    check_backward(*inputs(19, 19, d=d, d_v=d_v, dtype=dtype), causal=True)


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (4, 4), (4, 2), (4, 1), (6, 3), (0, 1)])
@pytest.mark.parametrize("batch", [(), (0,), (2,)])
def test_grouped_heads(heads, kv_heads, batch):
    check_backward(*inputs(11, 11, heads=(heads,), kv_heads=(kv_heads,), batch=batch), causal=True)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lag_bias(rows, dtype):
    arrays = inputs(9, 14, heads=(4,), kv_heads=(2,), batch=(2,), dtype=dtype)
    bias = fill(4, rows, 9 + 14 - 1, dtype=dtype)
    check_backward(*arrays, lag_bias=bias, lag_min=-13, causal_offset=0)
    check_backward(*arrays, lag_bias=bias, lag_min=-9, causal=True, causal_offset=4)


def test_lags_that_no_pair_has_get_no_gradient():
    gradients = check_backward(*inputs(5, 5), lag_bias=fill(4, 1, 12), lag_min=-3, causal=True)
    assert (gradients.d_lag_bias[0, :3] == 0).all()
    assert (gradients.d_lag_bias[0, 8:] == 0).all()
    assert (gradients.d_lag_bias[0, 4:8] != 0).all()


@pytest.mark.parametrize("key_offset", [0, 3])
def test_key_ranges(key_offset):
    check_backward(*inputs(9, 9, batch=(3,), heads=(2,)), key_ranges=[(0, 4), (2, 9), (5, 5)], key_offset=key_offset, scale=-0.3)


def test_gradients_of_slices_add_up():
    """With o and lse of the whole, the slices' dk and dv are the whole's, and their dq sum to the whole's."""
    q, k, v = inputs(21, 21)
    o, lse = subquad.attention(q, k, v, causal=True, return_lse=True)
    d_o = fill(3, *o.shape)
    whole = subquad.attention_backward(q, k, v, o, lse, d_o, causal=True)
    given = problem(q, k, v, causal=True)
    roundoff = budgets.backward(given, d_o[None, None], (o[None, None], lse[None, None]), q.dtype)
    parts = [
        subquad.attention_backward(q, k[s], v[s], o, lse, d_o, causal=True, causal_offset=0, key_offset=s.start)
        for s in (slice(0, 8), slice(8, 9), slice(9, 21))
    ]
    assert np.abs(np.concatenate([part.dk for part in parts]) - whole.dk).max() <= 2 * roundoff["dk"]
    assert np.abs(np.concatenate([part.dv for part in parts]) - whole.dv).max() <= 2 * roundoff["dv"]
    assert np.abs(sum(part.dq for part in parts) - whole.dq).max() <= 2 * roundoff["dq"]


SETTINGS = {
    "plain": {},
    "causal": {"causal": True, "causal_offset": 2},
    "biased": {"lag_bias": fill(4, 2, 13), "lag_min": -6, "causal_offset": 0},
    "ranges": {"key_ranges": [(1, 6)], "scale": 0.7},
}


@pytest.mark.parametrize(("key", "name"), [*product(SETTINGS, "qkv"), ("biased", "lag_bias")])
def test_differences(key, name):
    """A central difference of <w, o> along a direction is the gradient's product with it.

    method: with steps h and 2h the difference errs by c h^2 and 4 c h^2 up to the next order, (2h)^4 times a derivative of a
    function whose derivatives stay near 1 here; the two results bound c h^2 by a third of their distance.
    roundoff: that of o, summed over w, divided by the step.
    """
    q, k, v = inputs(7, 7, heads=(2,), kv_heads=(1,))
    settings = dict(SETTINGS[key])
    arrays = {"q": q, "k": k, "v": v, "lag_bias": settings.pop("lag_bias", None)}
    o, lse = subquad.attention(**arrays, **settings, return_lse=True)
    w, direction = fill(5, *o.shape), fill(6, *arrays[name].shape)
    gradients = subquad.attention_backward(**arrays, o=o, lse=lse, d_o=w, **settings)

    def slope(step):
        ahead, behind = (
            subquad.attention(**(arrays | {name: arrays[name] + sign * step * direction}), **settings) for sign in (1, -1)
        )
        return float((w * (ahead - behind)).sum() / (2 * step))

    step = 2.0**-10
    fine, coarse = slope(step), slope(2 * step)
    roundoff = budgets.forward(problem(**arrays, **settings), np.float64)["o"] * np.abs(w).sum() / step
    method = abs(coarse - fine) / 3 + (2 * step) ** 4 * np.abs(w).sum()
    product = float((getattr(gradients, f"d_{name}" if name == "lag_bias" else f"d{name}") * direction).sum())
    assert abs(product - fine) <= method + 2 * roundoff


def test_what_is_returned():
    q, k, v = inputs(4, 4)
    o, lse = subquad.attention(q, k, v, return_lse=True)
    gradients = subquad.attention_backward(q, k, v, o, lse, o)
    dq, dk, dv, d_lag_bias = gradients
    assert (dq.shape, dk.shape, dv.shape, d_lag_bias) == (q.shape, k.shape, v.shape, None)
    again, report = subquad.attention_backward(q, k, v, o, lse, o, return_report=True)
    assert again.dq.tobytes() == dq.tobytes()
    assert report["pairs"] == 16
