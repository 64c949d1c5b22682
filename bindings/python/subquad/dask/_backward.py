"""Gradients of softmax attention of Dask arrays."""

# mypy: allow-untyped-calls
# Dask's methods have no types.
from __future__ import annotations  # signatures show short names

import itertools
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize

from .._settings import explain_keywords
from ._arguments import attention_arrays, dask_array, first_position, has_shape, ranges_of, same_dtype, try_settings
from ._graph import Key, Tasks, array_of, joined
from ._layout import Layout, Place
from ._tasks import Backward, total

#: For each chunk the keys of what adds up to it.
Shares: TypeAlias = dict[Place, list[Key]]


class Gradients(NamedTuple):
    """Gradients shaped like q, k and v, in their chunks."""

    dq: da.Array
    dk: da.Array
    dv: da.Array


@explain_keywords
def attention_backward(
    q: da.Array,
    k: da.Array,
    v: da.Array,
    o: da.Array,
    lse: da.Array,
    d_o: da.Array,
    *,
    causal: bool = False,
    causal_offset: int | None = None,
    scale: float | None = None,
    key_ranges: npt.NDArray[np.int64] | Sequence[tuple[int, int]] | None = None,
    key_offset: int = 0,
    check_finite: bool = True,
    threads: int = 1,
) -> Gradients:
    """Gradients of a loss with respect to the inputs of exact `attention`, from its gradient d_o with respect to the output.

    For every chunk of queries and every chunk of keys of which it sees any `subquad.attention_backward` runs on a worker, with the o and
    lse of all keys. The dq of a chunk of queries is the sum over the chunks of keys, dk and dv of a chunk of keys are sums over those of
    queries and over the heads that share them, each by a tree that depends on the chunks alone.

    Shapes and keyword arguments are those of `attention`; o [batch, H_q, n_q, d_v] and lse [batch, H_q, n_q] are its results, and d_o is
    shaped like o. All are Dask arrays, in any chunks: o, lse and d_o are rechunked as q is.

    Returns `Gradients` of Dask arrays. Raises `SubquadError` as `attention` does.

    Source: Dao, FlashAttention-2, arXiv 2307.08691, section 2.3 on the backward pass.

    >>> import dask.array as da
    >>> import numpy as np
    >>> import subquad.dask
    >>> q, k, v, d_o = (np.random.default_rng(seed).standard_normal((2, 300, 8)) for seed in range(4))
    >>> chunked = [da.from_array(x, chunks=(1, 100, 8)) for x in (q, k, v, d_o)]
    >>> o, lse = subquad.dask.attention(*chunked[:3], causal=True, return_lse=True)
    >>> dq, dk, dv = subquad.dask.attention_backward(*chunked[:3], o, lse, chunked[3], causal=True)
    >>> dk.shape, dk.chunks
    ((2, 300, 8), ((1, 1), (100, 100, 100), (8,)))
    >>> whole = subquad.attention_backward(q, k, v, o.compute(), lse.compute(), d_o, causal=True)
    >>> bool(abs(dk.compute() - whole.dk).max() <= (300 + 8) * 2**-52 * abs(whole.dk).sum(axis=1).max())  # round-off, as of `attention`
    True
    """
    q, k, v = attention_arrays(q, k, v)
    results = {"o": dask_array("o", o), "lse": dask_array("lse", lse), "d_o": dask_array("d_o", d_o)}
    same_dtype("q", q=q, **results)
    o_shape = (*q.shape[:-1], v.shape[-1])
    for name, shape in (("o", o_shape), ("lse", q.shape[:-1]), ("d_o", o_shape)):
        has_shape(name, results[name], shape, "q and v")
    settings = {"causal": causal, "scale": scale, "check_finite": check_finite, "threads": threads}
    try_settings(q.dtype, causal_offset=causal_offset, key_offset=key_offset, **settings)
    offset = first_position(q, k, causal, causal_offset)
    ranges = ranges_of(key_ranges, q.shape[0] if q.ndim == 4 else 1)
    layout = Layout(q, k, v, offset if causal else None, key_offset, ranges)
    o, d_o = layout.as_queries(results["o"]), layout.as_queries(results["d_o"])
    lse = results["lse"].rechunk(layout.lse_chunks())
    sources = (layout.q, layout.k, layout.v, o, lse, d_o)
    token = tokenize(*sources, offset, key_offset, ranges, settings)
    name = f"subquad-backward-part-{token}"
    pairs, shares = _pairs(name, layout, Backward(offset, key_offset, settings), (o, lse, d_o))
    gradients = []
    for which, array in enumerate((layout.q, layout.k, layout.v)):
        sums = _sums(f"subquad-backward-{Gradients._fields[which]}-{token}", array, shares[which], which)
        gradients.append(array_of({name: pairs, **sums}, sources, array.chunks))
    return Gradients(*gradients)


def _pairs(name: str, layout: Layout, call: Backward, results: tuple[da.Array, da.Array, da.Array]) -> tuple[Tasks, list[Shares]]:
    """What computes the gradients of each pair of chunks; and for dq, dk and dv, for each chunk, the keys of what adds up to it."""
    o, lse, d_o = results
    pairs: Tasks = {}
    shares: list[Shares] = [{}, {}, {}]
    for place in layout.query_places():
        for part in layout.key_parts(place):
            pair = (name, len(pairs))
            at = (*layout.key_lead(place), part)
            queries = [(x.name, *place, 0) for x in (layout.q, o, d_o)]
            keys = [(x.name, *at, 0) for x in (layout.k, layout.v)]
            starts = (layout.ranges(place), layout.q_rows[place[-1]], layout.k_rows[part])
            pairs[pair] = (call, queries[0], *keys, queries[1], (lse.name, *place), queries[2], *starts)
            for share, where in zip(shares, (place, at, at), strict=True):
                share.setdefault(where, []).append(pair)
    return pairs, shares


def _sums(name: str, array: da.Array, shares: Shares, which: int) -> dict[str, Tasks]:
    """Layers of the gradient number `which` of all pairs, summed for each chunk of the array."""
    inner = f"{name}-sum"
    sums: Tasks = {}
    chunks: Tasks = {}
    number = itertools.count()
    for place in itertools.product(*map(range, array.numblocks[:-1])):
        terms: list[Key] = []
        for pair in shares.get(place, ()):
            terms.append((inner, next(number)))
            sums[terms[-1]] = (itemgetter(which), pair)
        if terms:
            chunks[(name, *place, 0)] = joined(sums, inner, terms, total, number)
        else:
            shape = tuple(sizes[i] for sizes, i in zip(array.chunks, (*place, 0), strict=True))
            chunks[(name, *place, 0)] = (np.zeros, shape, array.dtype)
    return {inner: sums, name: chunks}
