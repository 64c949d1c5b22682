"""Gradients with a conv basis: against the dense formulas, and against differences."""

import numpy as np
import pytest
import subquad
from conv_reference import METHOD, dense_of, differences, largest, pieces, recovery, softmax, unit
from reference import assert_within, fill

import oracle

DTYPES = [np.float32, np.float64]
WAYS = [None, "exact", "conv_basis"]


def expected_gradients(basis, q, k, v, d_o, scale):
    """The formulas of the header in longdouble, with the weights of the basis; heads is the third axis from the end."""
    weights, _ = softmax(dense_of(basis))
    q, k, v, d_o = (array.astype(oracle.REAL) for array in (q, k, v, d_o))
    group = q.shape[-3] // k.shape[-3]
    k_wide, v_wide = (np.repeat(array, group, axis=-3) for array in (k, v))
    o = weights @ v_wide
    ds = weights * (d_o @ np.swapaxes(v_wide, -1, -2) - (d_o * o).sum(axis=-1, keepdims=True))
    dk, dv = scale * np.swapaxes(ds, -1, -2) @ q, np.swapaxes(weights, -1, -2) @ d_o
    summed = [array.reshape(*k.shape[:-2], group, *array.shape[-2:]).sum(axis=-3) for array in (dk, dv)]
    return scale * ds @ k_wide, *summed


def gradient_budgets(q, k, v, d_o, scale):
    """method: the promised error t of each product with the weights, in the three places of the formulas where there is one
    (P~ diag(v_c) k, P~ k, o); and 6 tanh(e) per row for logits whose structure holds to round-off e only."""
    group = q.shape[-3] // k.shape[-3]
    roundoff = (q.shape[-1] + 8) * unit(q.dtype) * scale * largest(q) * largest(k) * q.shape[-1]
    t = METHOD[q.dtype] + 2 * np.tanh(roundoff)
    rows = np.abs(d_o).sum(axis=-1)  # |d_o[i,:]|_1
    dq = 3 * t * scale * largest(rows) * largest(v) * largest(k)
    dk = 3 * t * scale * group * largest(rows.sum(axis=-1)) * largest(v) * largest(q)
    dv = t * group * largest(np.abs(d_o).max(axis=-1, initial=0).sum(axis=-1))
    return dq, dk, dv


def check_gradients(gradients, basis, q, k, v, d_o, scale):
    shapes = [array.shape for array in (q, k, v)]
    assert [array.shape for array in gradients[:3]] == shapes
    assert gradients.d_lag_bias is None
    full = [array.reshape((1,) * (3 - array.ndim) + array.shape) for array in (q, k, v, d_o)]
    expected = expected_gradients(basis, *full, scale)
    for name, result, wanted, budget in zip(
        ("dq", "dk", "dv"), gradients, expected, gradient_budgets(*full, scale), strict=False
    ):
        assert result.dtype == q.dtype
        assert_within(result, wanted, budget, name)


def case(n, bases, heads=(), kv_heads=(), d=4, d_v=3, dtype=np.float64):
    q, k = pieces(n, bases, *heads, kv_heads=kv_heads, d=d, dtype=dtype)
    return q, k, fill(2, *kv_heads, n, d_v, dtype=dtype), fill(3, *heads, n, d_v, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize(("n", "bases"), [(2, 1), (7, 1), (31, 3), (64, 7), (257, 5), (600, 16)])
def test_sizes(n, bases, backward, dtype):
    q, k, v, d_o = case(n, bases, dtype=dtype)
    basis = subquad.conv_basis_recover(q, k, **recovery(q, k, bases))
    gradients, report = basis.backward(q, k, v, d_o, backward=backward, return_report=True)
    check_gradients(gradients, basis, q, k, v, d_o, 0.5)
    assert report["method"] == backward if backward else report["method"] in WAYS


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_rows(n, backward):
    arrays = [fill(stream, n, 4) for stream in range(4)]
    basis = subquad.ConvBasis(starts=np.zeros(0, np.int64), kernels=np.zeros((0, n)))
    dq, dk, dv, _ = basis.backward(*arrays, backward=backward)
    budgets = gradient_budgets(*(array[None] for array in arrays), 0.5)
    for name, result, wanted, budget in zip(("dq", "dk", "dv"), (dq, dk, dv), (0 * dq, 0 * dk, arrays[3]), budgets, strict=True):
        assert_within(result, wanted, budget, name)  # the weight of the only row is 1, whatever q and k


@pytest.mark.parametrize(("heads", "kv_heads"), [((1,), (1,)), ((4,), (2,)), ((4,), (1,)), ((2, 6), (2, 3)), ((0,), (1,))])
@pytest.mark.parametrize("backward", WAYS)
def test_grouped_heads(heads, kv_heads, backward):
    q, k, v, d_o = case(40, 3, heads, kv_heads)
    settings = recovery(q, k, 3) if q.size else {"bases": 3, "window": 2, "delta": 1.0}
    basis = subquad.conv_basis_recover(q, k, **settings)
    check_gradients(basis.backward(q, k, v, d_o, backward=backward), basis, q, k, v, d_o, 0.5)


@pytest.mark.parametrize(("d", "d_v"), [(1, 1), (3, 17), (16, 2), (33, 5), (4, 0)])
@pytest.mark.parametrize("backward", WAYS)
def test_widths(d, d_v, backward):
    q, k, v, d_o = case(50, 3, d=d, d_v=d_v)
    basis = subquad.conv_basis_recover(q, k, **recovery(q, k, 3, scale=0.7), scale=0.7)
    check_gradients(basis.backward(q, k, v, d_o, backward=backward, scale=0.7), basis, q, k, v, d_o, 0.7)


@pytest.mark.parametrize("backward", WAYS)
def test_layouts(backward):
    q, k, v, d_o = case(40, 3, (2,), (2,))
    basis = subquad.conv_basis_recover(q, k, **recovery(q, k, 3))
    expected = basis.backward(q, k, v, d_o, backward=backward)
    for layout in (
        np.asfortranarray,
        lambda x: x[:, ::-1, ::-1].copy()[:, ::-1, ::-1],
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    ):
        again = basis.backward(*(layout(array) for array in (q, k, v, d_o)), backward=backward)
        assert [array.tobytes() for array in again[:3]] == [array.tobytes() for array in expected[:3]]
    broadcast = np.broadcast_to(q[:, :1], q.shape)
    assert basis.backward(broadcast, k, v, d_o, backward=backward).dk.tobytes() == expected.dk.tobytes()


@pytest.mark.parametrize("backward", WAYS)
def test_the_same_bits_for_any_number_of_threads(backward):
    q, k, v, d_o = case(300, 4, (4,), (2,), dtype=np.float32)
    basis = subquad.conv_basis_recover(q, k, **recovery(q, k, 4))
    results = [basis.backward(q, k, v, d_o, backward=backward, threads=threads) for threads in (1, 2, 3)]
    assert len({tuple(array.tobytes() for array in gradients[:3]) for gradients in results}) == 1


def test_perturbed_logits():
    """|dS~[i,:] - dS[i,:]|_1 <= 6 tanh(eps) |d_o[i,:]|_1 max|v|, read off dq with keys that are unit vectors."""
    n, eps = 60, 0.01
    h = np.tril(np.cos(np.arange(n)[:, None] - np.arange(n)[None, :]))
    noisy = h + fill(5, n, n, low=-eps, high=eps)
    v, d_o = fill(2, n, 3), fill(3, n, 3)
    basis = subquad.conv_basis_recover(noisy, np.eye(n), bases=1, window=8, delta=40 * 8 * eps, eps=eps, scale=1.0)
    ds, exact = (basis.backward(noisy, np.eye(n), v, d_o, scale=1.0, backward=way).dq for way in ("conv_basis", "exact"))
    bound = 6 * np.tanh(eps) * np.abs(d_o).sum(axis=-1) * np.abs(v).max()
    method = n * gradient_budgets(*(array[None] for array in (noisy, np.eye(n), v, d_o)), 1.0)[0]
    assert (np.abs(ds - exact).sum(axis=-1) <= bound + method).all()


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("lag_bias", [None, fill(4, 1, 50)])
def test_attention_backward(backward, lag_bias):
    """By recovery and by a fit."""
    q, k, v, d_o = case(50, 3, (4,), (2,))
    o, lse = subquad.attention(q, k, v, causal=True, lag_bias=lag_bias, return_lse=True)
    exact = subquad.attention_backward(q, k, v, o, lse, d_o, causal=True, lag_bias=lag_bias)
    budget = [2 * x for x in gradient_budgets(q, k, v, d_o, 0.5)]
    for found in (recovery(q, k, 3), {"bases": 3}):
        settings = {"causal": True, "method": "conv_basis", "backward": backward, "lag_bias": lag_bias, **found}
        gradients, report = subquad.attention_backward(q, k, v, o, lse, d_o, return_report=True, **settings)
        assert report["method"] == backward if backward else report["method"] in WAYS
        assert gradients.d_lag_bias is None
        for name, allowed in zip(("dq", "dk", "dv"), budget, strict=True):
            assert_within(getattr(gradients, name), getattr(exact, name), allowed, name)


@pytest.mark.parametrize("name", "qkv")
def test_differences(name):
    """Along directions that keep the structure, where attention by this method is differentiable."""
    q, k, v, w = case(40, 3)
    arrays = {"q": q, "k": k, "v": v}
    found = recovery(q, k, 3)
    direction = dict(zip("qkv", (*pieces(40, 3, stream=30), fill(6, 40, 3)), strict=True))[name]
    gradients = subquad.conv_basis_recover(q, k, **found).backward(q, k, v, w, backward="conv_basis")

    def value(step):
        moved = arrays | {name: arrays[name] + step * direction}
        return float((w * subquad.attention(**moved, causal=True, method="conv_basis", **found)).sum())

    step = 2.0**-8
    slope, method = differences(value, step)
    index = "qkv".index(name)
    noise = (
        METHOD[v.dtype] * (np.abs(w).sum() * largest(v) / step)
        + np.abs(direction).sum() * gradient_budgets(*(array[None] for array in (q, k, v, w)), 0.5)[index]
    )
    assert abs(float((gradients[index] * direction).sum()) - slope) <= method * np.abs(w).sum() + noise
