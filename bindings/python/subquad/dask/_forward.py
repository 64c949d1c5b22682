"""Softmax attention of Dask arrays."""

from __future__ import annotations  # signatures show short names

import itertools
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Literal, TypedDict, Unpack, overload

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize

from .._constants import Status
from .._errors import error
from .._settings import explain_keywords
from ._arguments import attention_arrays, first_position, ranges_of, try_settings
from ._graph import Key, Tasks, array_of, joined
from ._layout import Layout, Place
from ._tasks import Forward, Join, nothing


class DaskSettings(TypedDict, total=False):
    """Types of the keyword arguments of `attention`."""

    causal: bool
    causal_offset: int | None
    scale: float | None
    key_ranges: npt.NDArray[np.int64] | Sequence[tuple[int, int]] | None
    key_offset: int
    tol: float | None
    budget: float | None
    estimate: str | None
    parts: Iterable[str] | None
    strict_causal: bool
    seed: int
    check_finite: bool
    threads: int


@overload
def attention(
    q: da.Array, k: da.Array, v: da.Array, *, return_lse: Literal[False] = False, **settings: Unpack[DaskSettings]
) -> da.Array: ...
@overload
def attention(
    q: da.Array, k: da.Array, v: da.Array, *, return_lse: Literal[True], **settings: Unpack[DaskSettings]
) -> tuple[da.Array, da.Array]: ...
@explain_keywords
def attention(
    q: da.Array,
    k: da.Array,
    v: da.Array,
    *,
    causal: bool = False,
    causal_offset: int | None = None,
    scale: float | None = None,
    key_ranges: npt.NDArray[np.int64] | Sequence[tuple[int, int]] | None = None,
    key_offset: int = 0,
    tol: float | None = None,
    budget: float | None = None,
    estimate: str | None = None,
    parts: Iterable[str] | None = None,
    strict_causal: bool = False,
    seed: int = 0,
    check_finite: bool = True,
    return_lse: bool = False,
    threads: int = 1,
) -> Any:
    """Softmax attention of Dask arrays: for every chunk of queries and every chunk of keys of which it sees any, `subquad.attention` on a
    worker; the parts of one chunk of queries are joined by `subquad.merge`.

        o[i,:] = sum_p exp(lse_p[i] - lse[i]) o_p[i,:],      lse[i] = log sum_p exp(lse_p[i]),      (o_p, lse_p) over the keys of chunk p

    Shapes, and the meaning of the keyword arguments, are those of `subquad.attention`: q [batch, H_q, n_q, d], k [batch, H_kv, n_k, d], v
    [batch, H_kv, n_k, d_v], where batch, or batch and heads, may be left out. Chunks are NumPy arrays, of known sizes, cut anywhere: q, k
    and v are rechunked to the common refinement of their chunks of batch and heads, k and v of their rows; a chunk of query heads that
    crosses the edge of a group that shares a key/value head is cut there; and d and d_v are not cut.

    causal, causal_offset, scale, key_ranges, key_offset, check_finite
                   Pairs of chunks that are hidden from each other are not computed, and their data not moved, nor looked
                   at by check_finite.
    tol, budget, estimate, parts, strict_causal, seed
                   Where keys are one chunk of rows. Each chunk of queries is then a call of its own, and each of its heads has
                   |o~ - o|_F / |o|_F <= tol, as estimated: so has the whole. Parts over several chunks of keys have errors that are
                   relative to themselves, and say nothing of the whole's, of which a part may be next to nothing or nearly all: that is
                   refused.
    threads        Of each task. A worker runs as many tasks at once as it has threads (`nthreads`), so that with 1 it keeps as many
                   processors busy as it was given. For fewer and larger chunks give a worker one thread, and `threads` its processors.

    Returns o, a Dask array in the chunks of q (as above), or with return_lse (o, lse). The bits depend on the chunks, and not on which
    workers there are or are lost, as long as their processors are of one kind. Where keys are one chunk and every chunk of queries has more
    than four rows they are those of exact `subquad.attention` of the whole; else they differ by round-off.

    Raises `SubquadError`, as `subquad.attention` does: for shapes, dtypes and settings at once; when computed, ERR_NONFINITE, ERR_OVERFLOW
    and ERR_MEMORY, which name the chunk, and an element by its place in the chunk. ERR_UNSUPPORTED for tol or budget with keys in several
    chunks. An array that is not Dask's is ERR_DTYPE, chunks of unknown sizes are ERR_SHAPE.

    Source: partial softmax sums over slices of the keys, Milakov and Gimelshein, arXiv 1805.02867; across machines, Liu, Zaharia and
    Abbeel, arXiv 2310.01889. Here nothing goes round in a ring: docs/scaling.md.

    >>> import dask.array as da
    >>> import numpy as np
    >>> import subquad.dask
    >>> q, k, v = (np.random.default_rng(seed).standard_normal((2, 300, 8)) for seed in range(3))
    >>> chunked = [da.from_array(x, chunks=(1, 100, 8)) for x in (q, k, v)]
    >>> o = subquad.dask.attention(*chunked, causal=True)
    >>> o.chunks, o.dtype
    (((1, 1), (100, 100, 100), (8,)), dtype('float64'))
    >>> whole = subquad.attention(q, k, v, causal=True)
    >>> bool(abs(o.compute() - whole).max() <= (300 + 8) * 2**-52 * abs(v).max())  # round-off of sums of 300 and of 8 terms
    True
    """
    q, k, v = attention_arrays(q, k, v)
    names = tuple(parts) if isinstance(parts, Iterable) and not isinstance(parts, str) else parts
    plain = {"causal": causal, "scale": scale, "check_finite": check_finite, "threads": threads}
    adaptive = {"tol": tol, "budget": budget, "estimate": estimate, "parts": names}
    settings = plain | adaptive | {"strict_causal": strict_causal, "seed": seed}
    try_settings(q.dtype, causal_offset=causal_offset, key_offset=key_offset, **settings)
    offset = first_position(q, k, causal, causal_offset)
    ranges = ranges_of(key_ranges, q.shape[0] if q.ndim == 4 else 1)
    layout = Layout(q, k, v, offset if causal else None, key_offset, ranges)
    _one_chunk(layout, tol, budget)
    token = tokenize(layout.q, layout.k, layout.v, offset, key_offset, ranges, settings)
    name = f"subquad-attention-part-{token}"
    tasks, whole = _parts(name, layout, Forward(offset, key_offset, settings), Join(threads))
    sources = (layout.q, layout.k, layout.v)
    o_name, lse_name = f"subquad-attention-o-{token}", f"subquad-attention-lse-{token}"
    o_tasks: Tasks = {(o_name, *place, 0): (itemgetter(0), key) for place, key in whole.items()}
    o = array_of({name: tasks, o_name: o_tasks}, sources, (*layout.lse_chunks(), v.shape[-1:]))
    if not return_lse:
        return o
    lse_tasks: Tasks = {(lse_name, *place): (itemgetter(1), key) for place, key in whole.items()}
    return o, array_of({name: tasks, lse_name: lse_tasks}, sources, layout.lse_chunks())


def _parts(name: str, layout: Layout, call: Forward, join: Join) -> tuple[Tasks, dict[Place, Key]]:
    """What computes and joins parts, and for each chunk of queries the key of its whole."""
    tasks: Tasks = {}
    number = itertools.count()
    whole: dict[Place, Key] = {}
    for place in layout.query_places():
        keys: list[Key] = []
        for part in layout.key_parts(place):
            keys.append((name, next(number)))
            at = (*layout.key_lead(place), part, 0)
            starts = (layout.ranges(place), layout.q_rows[place[-1]], layout.k_rows[part])
            tasks[keys[-1]] = (call, (layout.q.name, *place, 0), (layout.k.name, *at), (layout.v.name, *at), *starts)
        if not keys:
            shape = [chunks[which] for chunks, which in zip(layout.lse_chunks(), place, strict=True)]
            keys.append((name, next(number)))
            tasks[keys[-1]] = (nothing, (*shape, layout.v.shape[-1]), layout.q.dtype)
        whole[place] = joined(tasks, name, keys, join, number)
    return tasks, whole


def _one_chunk(layout: Layout, tol: float | None, budget: float | None) -> None:
    """Whether keys are one chunk, where that is needed."""
    count = len(layout.k_rows) - 1
    for setting, value in (("tol", tol), ("budget", budget)):
        if value is not None and count > 1:
            raise error(
                Status.ERR_UNSUPPORTED,
                f"{setting} is {value}, but the keys are in {count} chunks, whose errors say nothing of the whole's: make them one with "
                "k.rechunk({-2: -1}), and v likewise, or leave it out for exact attention",
            )
