"""Products with a conv basis and attention with its logits: sizes, heads, layouts, causality, threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import subquad
from conv_reference import METHOD, check_apply, check_multiply, dense_of, make, product_roundoff, softmax, unit
from reference import assert_within, fill

import oracle

DTYPES = [np.float32, np.float64]
SIZES = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 3), (17, 0), (31, 2), (64, 5), (127, 127), (257, 3), (600, 16)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strict_causal", [False, True])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("n", "bases"), SIZES)
def test_sizes(n, bases, first, strict_causal, dtype):
    basis = make(n, min(bases, max(n - first, 0)), first=first, dtype=dtype)
    check_multiply(basis, fill(0, n, 5, dtype=dtype), strict_causal=strict_causal)
    check_apply(basis, fill(1, n, 5, dtype=dtype), strict_causal=strict_causal)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [0, 1, 2, 31, 64, 65])
def test_widths(columns, dtype):
    basis = make(150, 4, dtype=dtype)
    check_multiply(basis, fill(0, 150, columns, dtype=dtype))
    check_apply(basis, fill(1, 150, columns, dtype=dtype))


@pytest.mark.parametrize(("heads", "value_heads"), [(1, 1), (4, 4), (4, 2), (4, 1), (6, 3), (0, 1), (0, 0)])
@pytest.mark.parametrize("batch", [(), (0,), (1,), (3,)])
def test_grouped_heads(heads, value_heads, batch):
    basis = make(37, 3, *batch, heads)
    o, _ = check_apply(basis, fill(1, *batch, value_heads, 37, 4))
    assert o.shape == (*batch, heads, 37, 4)
    check_multiply(basis, fill(0, *batch, heads, 37, 2))


@pytest.mark.parametrize(
    ("leading", "values", "results"),
    [((), (1,), (1,)), ((), (1, 1), (1, 1)), ((1,), (), (1,)), ((4,), (), (4,)), ((1, 4), (2,), (1, 4)), ((4,), (1, 2), (1, 4))],
)
def test_leading_extents_of_one(leading, values, results):
    """The output has as many dimensions as the values, or as the basis where that has more."""
    basis, v = make(9, 2, *leading), fill(0, *values, 9, 3)
    o, lse = basis.apply(v, return_lse=True)
    assert (o.shape, lse.shape) == ((*results, 9, 3), (*results, 9))
    plain = make(9, 2, *leading).apply(v.reshape(*(1,) * (4 - v.ndim), *v.shape))
    assert plain.tobytes() == o.tobytes()


@pytest.mark.parametrize("n", [0, 1, 50, 700])
def test_vectors(n):
    basis = make(n, min(n, 3))
    x = fill(0, 2 * n)[::2]
    y = check_multiply(basis, x)
    assert y.tobytes() == basis.multiply(x[:, None]).tobytes()
    out = np.full(2 * n, np.nan)
    assert np.shares_memory(basis.multiply_transposed(x, out=out[::-2]), out) == (n > 0)
    assert (out[::-2] == basis.T @ x).all()
    assert np.isnan(out[::-1][1::2]).all()
    assert basis.apply_transposed(x).shape == (n,)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "heads inside": lambda x: np.ascontiguousarray(np.swapaxes(x, -2, -3)).swapaxes(-2, -3),
    "stepped": lambda x: np.repeat(np.repeat(x, 3, axis=-2), 2, axis=-1)[..., ::3, ::2],
    "reversed": lambda x: x[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "inside a larger array": lambda x: np.pad(x, 2)[2:-2, 2:-2, 2:-2, 2:-2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@pytest.mark.parametrize("n", [13, 700])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout, dtype, n):
    """The same bits from and to any layout."""
    basis, x = make(n, 3, 2, 2, dtype=dtype), fill(0, 2, 2, n, 5, dtype=dtype)
    for product in (basis.multiply, basis.multiply_transposed, basis.apply, basis.apply_transposed):
        expected = product(x)
        assert product(layout(x)).tobytes() == expected.tobytes()
        out = (
            layout(np.zeros_like(x)).copy(order="K")
            if layout is np.asfortranarray
            else np.zeros((4, 2, n, 10), dtype)[::2, :, :, ::2]
        )
        assert product(x, out=out) is out
        assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_broadcast(axis):
    basis, x = make(40, 3, 2, 2), fill(0, 2, 2, 40, 3)
    x = np.broadcast_to(x.take([0], axis=axis), x.shape)
    check_multiply(basis, x)
    check_apply(basis, x)


@pytest.mark.parametrize(("n", "bases"), [(0, 0), (1, 1), (40, 0), (40, 5), (700, 9)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_apply_transposed(n, bases, dtype):
    """method: 1e-4 or 1e-9 times the sum of the largest |x| of each block, which is at most that of each row."""
    basis, x = make(n, bases, 2, dtype=dtype), fill(0, 2, n, 3, dtype=dtype)
    weights, _ = softmax(dense_of(basis))
    method = METHOD[x.dtype] * np.abs(x).max(axis=-1, initial=0).sum(axis=-1).max(initial=0)
    assert_within(basis.apply_transposed(x), np.swapaxes(weights, -1, -2) @ x.astype(oracle.REAL), method, "y")


def test_transposes_are_adjoint():
    """<x, o(v)> = <y, v>: budgets of both sides, by Hölder."""
    basis, v, x = make(300, 7), fill(0, 300, 4), fill(1, 300, 4)
    ahead, behind = (x * basis.apply(v)).sum(), (basis.apply_transposed(x) * v).sum()
    method = METHOD[v.dtype] * np.abs(x).sum() * np.abs(v).max() * (1 + 300)
    assert abs(ahead - behind) <= method
    ahead, behind = (x * basis.multiply(v)).sum(), (basis.multiply_transposed(x) * v).sum()
    roundoff = product_roundoff(basis, v) * np.abs(x).sum() + product_roundoff(basis, x) * np.abs(v).sum()
    assert abs(ahead - behind) <= roundoff


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 10), (np.float32, 80), (np.float64, 40), (np.float64, 600)])
@pytest.mark.parametrize("shape", ["random", "smooth", "rising", "step", "spike"])
def test_wide_ranges(shape, dtype, size):
    """Kernels that put the largest weight beside, before and after small ones."""
    n = 800
    lags = np.arange(n) / n
    kernel = {
        "random": fill(7, n, low=-size, high=size),
        "smooth": size * np.cos(9 * lags),
        "rising": size * (2 * lags - 1),
        "step": np.where(lags < 0.4, -size, size),
        "spike": np.where(np.arange(n) == 177, size, -size),
    }[shape].astype(dtype)
    kernels = np.stack([kernel, kernel[::-1], -kernel])
    basis = subquad.ConvBasis(starts=[0, 100, 333], kernels=kernels, cumulative=True)
    check_apply(basis, fill(0, n, 8, dtype=dtype))
    check_apply(basis, fill(0, n, 8, dtype=dtype), strict_causal=True)


def test_rows_of_the_weights_sum_to_one():
    basis = make(800, 5)
    assert_within(basis.apply(np.ones((800, 1))), np.ones((800, 1)), METHOD[np.dtype(np.float64)], "o")


@pytest.mark.parametrize("product", ["multiply", "apply"])
@pytest.mark.parametrize(("dtype", "n"), [(np.float32, 97), (np.float32, 3000), (np.float64, 3000)])
def test_the_future_is_not_seen(product, dtype, n):
    """With strict_causal not by a bit, whatever the later values; else within what either call may err."""
    basis, x = make(n, 6, dtype=dtype), fill(0, n, 5, dtype=dtype)
    i = 2 * n // 3
    changed = x.copy()
    changed[i:] = fill(1, n - i, 5, dtype=dtype)
    loud = x.copy()
    loud[i:] = 1e8
    call = getattr(basis, product)
    before = call(x, strict_causal=True)
    assert call(changed, strict_causal=True)[:i].tobytes() == before[:i].tobytes()
    assert call(loud, strict_causal=True)[:i].tobytes() == before[:i].tobytes()
    assert (call(changed, strict_causal=True)[i:] != before[i:]).any()

    budget = 2 * (product_roundoff(basis, np.ones_like(x)) if product == "multiply" else METHOD[x.dtype])
    assert_within(call(changed)[:i], call(x)[:i], budget, "o")


def everything(basis, x, threads):
    """All results with one basis, as bytes."""
    o, lse = basis.apply(x, return_lse=True, threads=threads)
    strict = basis.apply(x, strict_causal=True, threads=threads)
    products = [basis.multiply(x, threads=threads), basis.multiply_transposed(x, threads=threads)]
    results = [o, lse, strict, *products, basis.apply_transposed(x, threads=threads), basis.to_dense(threads=threads)]
    return [array.tobytes() for array in (*results, basis.exp(threads=threads).kernels())]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [2, 3, None])
def test_the_same_bits_for_any_number_of_threads(threads, dtype):
    basis, x = make(900, 7, 2, 2, dtype=dtype), fill(0, 2, 2, 900, 9, dtype=dtype)
    assert everything(basis, x, threads) == everything(basis, x, 1)


def test_one_basis_for_many_threads():
    basis, x = make(700, 6, 2, dtype=np.float32), fill(0, 2, 700, 8, dtype=np.float32)
    expected = everything(basis, x, 1)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda threads: everything(basis, x, threads), [1, 2, None] * 10))
    assert all(result == expected for result in results)


def test_exp_times_values_are_the_numerators():
    basis, v = make(60, 4, first=2), fill(0, 60, 3)
    o, lse = check_apply(basis, v)
    transform = basis.exp()
    numerators = transform @ v
    sums = np.exp(lse)[:, None]
    budget = product_roundoff(transform, v) + sums.max() * (METHOD[v.dtype] + 8 * unit(v.dtype) * (np.abs(lse).max() + 1))
    assert_within(numerators, o * sums, budget, "A v")


def test_what_is_returned():
    basis, v = make(2000, 4, dtype=np.float32), fill(0, 2000, 8, dtype=np.float32)
    o, lse = basis.apply(v, return_lse=True)
    o_too, report = basis.apply(v, return_report=True)
    o_three, lse_three, report_three = basis.apply(v, return_lse=True, return_report=True)
    assert o.tobytes() == o_too.tobytes() == o_three.tobytes()
    assert lse.tobytes() == lse_three.tobytes()
    for said in (report, report_three):
        assert said["method"] == "conv_basis"
        assert said["pairs"] == 2000 * 2001 / 2
        assert said["block"] > 0
        assert said["layers"] >= 1
        assert said["direct_rows"] >= 0
    for product in (basis.multiply, basis.multiply_transposed, basis.apply_transposed):
        y, said = product(v, return_report=True)
        assert y.tobytes() == product(v).tobytes()
        assert said["block"] > 0


def test_inputs_are_left_alone():
    basis, x = make(300, 3), fill(0, 300, 4)
    before = x.tobytes()
    everything(basis, x, 2)
    assert x.tobytes() == before


def test_unchecked_non_finite_input_reaches_the_output():
    basis, v = make(5, 2), fill(0, 5, 2)
    v[4, 1] = np.nan
    assert np.isnan(basis.apply(v, check_finite=False)[4, 1])
    assert np.isnan(basis.multiply(v, check_finite=False)[4, 1])
