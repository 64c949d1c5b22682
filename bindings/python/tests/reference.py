"""Inputs by seed, and results beside the longdouble oracle, each within its round-off budget."""

import numpy as np
import subquad

import budgets
import oracle

#: Ways to lay out the elements of an array of four dimensions, which change none of them.
LAYOUTS = {
    "fortran": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2),
    "heads inside": lambda x: np.ascontiguousarray(np.swapaxes(x, -2, -3)).swapaxes(-2, -3),
    "stepped": lambda x: np.repeat(np.repeat(x, 3, axis=-2), 2, axis=-1)[..., ::3, ::2],
    "reversed rows": lambda x: x[..., ::-1, :].copy()[..., ::-1, :],
    "reversed columns": lambda x: x[..., ::-1].copy()[..., ::-1],
    "reversed everywhere": lambda x: x[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "inside a larger array": lambda x: np.pad(x, 2)[2:-2, 2:-2, 2:-2, 2:-2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


def fill(stream, *shape, dtype=np.float64, low=-1.0, high=1.0):
    return subquad.fill_uniform(shape, seed=20, stream=stream, low=low, high=high, dtype=dtype)


def inputs(n_q, n_k, d=5, d_v=3, heads=(), kv_heads=None, batch=(), dtype=np.float64):
    """q, k, v; heads and batch are tuples of one extent, or empty to leave the dimension out."""
    kv_heads = heads if kv_heads is None else kv_heads
    return (
        fill(0, *batch, *heads, n_q, d, dtype=dtype),
        fill(1, *batch, *kv_heads, n_k, d, dtype=dtype),
        fill(2, *batch, *kv_heads, n_k, d_v, dtype=dtype),
    )


def wide(array, ndim):
    """In longdouble, with leading dimensions of extent 1."""
    return np.array(array, dtype=oracle.REAL).reshape((1,) * (ndim - array.ndim) + array.shape)


def problem(q, k, v, *, causal=False, causal_offset=0, scale=None, lag_bias=None, lag_min=0, key_ranges=None, key_offset=0):
    """The oracle's problem of a call to subquad.attention."""
    scale = 1 / np.sqrt(oracle.REAL(q.shape[-1])) if scale is None else oracle.REAL(scale)
    return oracle.Problem(
        *(wide(array, 4) for array in (q, k, v)),
        scale=scale,
        causal=causal,
        offset=causal_offset,
        key_offset=key_offset,
        lag_bias=None if lag_bias is None else wide(lag_bias, 2),
        lag_min=lag_min,
        key_ranges=None if key_ranges is None else np.asarray(key_ranges),
    )


def assert_within(result, expected, budget, name):
    """result has the dtype of its budget's round-off; expected may have more leading dimensions of extent 1."""
    expected = expected.reshape(result.shape)
    hidden = np.isneginf(expected)
    assert (np.isneginf(result) == hidden).all(), f"{name}: rows that see nothing"
    with np.errstate(invalid="ignore"):
        difference = np.where(hidden, 0, np.abs(result - expected))
    worst = difference.max(initial=0)
    assert worst <= budget, f"{name}: error {worst:.3g} exceeds the budget {budget:.3g}"


def check_forward(q, k, v, **settings):
    """The call agrees with the oracle; returns o and lse."""
    o, lse = subquad.attention(q, k, v, return_lse=True, **settings)
    whole = problem(q, k, v, **settings)
    roundoff = budgets.forward(whole, q.dtype)
    expected_o, expected_lse = oracle.attention(whole)
    assert o.shape == (*q.shape[:-1], v.shape[-1])
    assert lse.shape == q.shape[:-1]
    assert o.dtype == lse.dtype == q.dtype
    assert_within(o, expected_o, roundoff["o"], "o")
    assert_within(lse, expected_lse, roundoff["lse"], "lse")
    return o, lse


def check_backward(q, k, v, **settings):
    """The gradients at given (o, lse, d_o) agree with the oracle's; returns them."""
    whole = problem(q, k, v, **settings)
    exact_o, exact_lse = oracle.attention(whole)
    o, lse = exact_o.reshape(*q.shape[:-1], v.shape[-1]).astype(q.dtype), exact_lse.reshape(q.shape[:-1]).astype(q.dtype)
    d_o = fill(3, *o.shape, dtype=q.dtype)
    gradients = subquad.attention_backward(q, k, v, o, lse, d_o, **settings)
    given = (wide(o, 4), wide(lse, 3))  # the call starts from the rounded results, and so does the oracle
    expected = oracle.backward(whole, wide(d_o, 4), given)
    roundoff = budgets.backward(whole, wide(d_o, 4), given, q.dtype)
    for name, array in gradients._asdict().items():
        if array is None:
            assert settings.get("lag_bias") is None
            continue
        assert array.dtype == q.dtype
        assert_within(array, getattr(expected, name), roundoff[name], name)
    assert (gradients.dq.shape, gradients.dk.shape, gradients.dv.shape) == (q.shape, k.shape, v.shape)
    return gradients
