"""subquad.dask.attention_backward: gradients in chunks are those of one process to round-off."""

import numpy as np
import pytest
import subquad
from dask_reference import chunked, da, dask
from reference import assert_within, fill, inputs, problem, wide

import budgets
import oracle

NAMES = ("dq", "dk", "dv")


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def check_backward(q, k, v, arrays, chunks_of_results, **settings):
    """The gradients at given (o, lse, d_o) agree with the oracle's. roundoff: of the whole; each of its sums is cut into parts, and a tree
    adds no more roundings to a term than the sum itself would."""
    whole = problem(q, k, v, **settings)
    exact_o, exact_lse = oracle.attention(whole)
    o, lse = exact_o.reshape(*q.shape[:-1], v.shape[-1]).astype(q.dtype), exact_lse.reshape(q.shape[:-1]).astype(q.dtype)
    d_o = fill(3, *o.shape, dtype=q.dtype)
    given = (wide(o, 4), wide(lse, 3))
    expected, roundoff = oracle.backward(whole, wide(d_o, 4), given), budgets.backward(whole, wide(d_o, 4), given, q.dtype)
    rest = [da.from_array(x, chunks=chunks_of_results[: x.ndim]) for x in (o, lse, d_o)]
    gradients = subquad.dask.attention_backward(*arrays, *rest, **settings)
    for name, lazy, result, source in zip(NAMES, gradients, dask.compute(*gradients), (q, k, v), strict=True):
        assert (lazy.shape, lazy.dtype) == (source.shape, source.dtype)
        assert result.shape == source.shape
        assert_within(result, getattr(expected, name), roundoff[name], name)
    return gradients


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows_k", [37, 11, (1, 30, 6), (0, 20, 0, 17)], ids=str)
@pytest.mark.parametrize("rows_q", [31, 7, (1, 29, 1)], ids=str)
@pytest.mark.parametrize("settings", [{}, {"causal": True, "causal_offset": -4}], ids=["full", "causal"])
def test_rows(rows_q, rows_k, settings, dtype):
    q, k, v = inputs(31, 37, dtype=dtype)
    settings = {"causal_offset": 0} | settings
    check_backward(q, k, v, chunked([q, k, v], rows_q, rows_k), (9, 2), **settings)


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (4, 1), (4, 2), (6, 2), (6, 3), (3, 3)])
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_grouped_heads(heads, kv_heads, chunk):
    q, k, v = inputs(7, 9, heads=(heads,), kv_heads=(kv_heads,), batch=(2,))
    arrays = [da.from_array(x, chunks=(1, size, 4, -1)) for x, size in ((q, chunk), (k, 1), (v, 2))]
    settings = {"causal": True, "causal_offset": 2, "key_ranges": [(0, 9), (3, 7)]}
    gradients = check_backward(q, k, v, arrays, (2, 1, 3, 1), **settings)
    assert gradients.dk.chunks[1] == (1,) * kv_heads


def test_the_same_bits_twice():
    q, k, v = inputs(31, 37)
    d_o = da.from_array(fill(3, 31, 3), chunks=(8, 3))
    results = []
    for scheduler in ("synchronous", "threads"):
        arrays = chunked([q, k, v], 10, 9)
        o, lse = subquad.dask.attention(*arrays, return_lse=True)
        gradients = subquad.dask.attention_backward(*arrays, o, lse, d_o)
        results.append([x.tobytes() for x in dask.compute(*gradients, scheduler=scheduler)])
    assert results[0] == results[1]


@pytest.mark.parametrize(("n_q", "n_k", "heads"), [(0, 5, 2), (5, 0, 2), (5, 5, 0)])
def test_nothing(n_q, n_k, heads):
    q, k, v = inputs(n_q, n_k, heads=(heads,))
    arrays = [da.from_array(x) for x in (q, k, v)]
    o, lse = subquad.dask.attention(*arrays, return_lse=True)
    for gradient, source in zip(subquad.dask.attention_backward(*arrays, o, lse, o), (q, k, v), strict=True):
        assert np.array_equal(gradient.compute(), np.zeros(source.shape))
