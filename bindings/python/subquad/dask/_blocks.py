"""Matrices in Dask's chunks, read one chunk at a time."""

# mypy: allow-untyped-calls
# Dask's methods have no types.
from __future__ import annotations  # signatures show short names

import bisect
from typing import Any

import dask.array as da
import distributed
import numpy as np

from .._arrays import FloatArray
from .._column_blocks import ColumnBlocks
from .._column_blocks import column_blocks as by_position
from .._constants import Status
from .._errors import error
from .._scalars import integer
from ._arguments import dask_array
from ._layout import edges, sizes


def matrix(name: str, x: object) -> da.Array:
    """x in chunks of whole columns, none empty."""
    array = dask_array(name, x)
    if array.ndim != 2:
        raise error(Status.ERR_SHAPE, f"{name} has shape {array.shape}, not two dimensions")
    result: da.Array = array.rechunk((array.shape[:1], sizes(edges(array.chunks[1]))))
    return result


def column_blocks(x: da.Array, *, block_columns: int | None = None, ahead: int = 1) -> ColumnBlocks:
    """A Dask array x [n, d] as `subquad.column_blocks`, for `subquad.sparsify`, `sparsify_pair` and `leverage_scores`.

    They run in the calling process, where one chunk of columns is at a time, with what the call itself needs. Whole columns are read: rows
    of x in several chunks are joined, by a worker.

    block_columns  As in `subquad.column_blocks`. What is computed depends on it, and not on the chunks: to the last bit it is what
                   `subquad.column_blocks` of the same matrix gives in one process.
    ahead          How many chunks a cluster makes ready on its workers while one is read, where a `distributed.Client` is at hand. 0: none.

    Each pass computes, or fetches, all chunks again, and a call makes two at least: `x.persist()` keeps on the workers what is costly to
    make. Method "deterministic" reads single chunks again, in any order.

    Raises `SubquadError`: ERR_DTYPE, ERR_SHAPE (not a matrix; unknown sizes of chunks), ERR_VALUE, ERR_TYPE.

    >>> import dask.array as da
    >>> import numpy as np
    >>> import subquad.dask
    >>> q, k = (np.random.default_rng(seed).standard_normal((5, 1000)) / 30 for seed in range(2))
    >>> blocks = [subquad.dask.column_blocks(da.from_array(x, chunks=(5, 100))) for x in (q, k)]
    >>> subquad.sparsify_pair(*blocks, columns=300).shape
    (10, 300)
    """
    array = matrix("x", x)
    rows, columns = array.shape
    reader = _Reader(array, integer("ahead", ahead, lowest=0))
    return by_position(reader, rows, columns, array.dtype, block_columns=block_columns)


class _Reader:
    """Reads columns first .. last - 1. It holds the chunk that was read last, for the columns asked for next are commonly in it.

    Calls in several threads may share it: at worst they read a chunk twice.
    """

    def __init__(self, x: da.Array, ahead: int) -> None:
        self._edges = edges(x.chunks[1])
        self._chunks = x.to_delayed()[0]
        self._ahead = ahead
        self._nothing = np.empty((x.shape[0], 0), x.dtype)
        self._held: tuple[int, FloatArray] = (-1, self._nothing)
        self._coming: dict[int, Any] = {}

    def __call__(self, first: int, last: int) -> FloatArray:
        result = np.empty((len(self._nothing), last - first), self._nothing.dtype)
        for at in range(bisect.bisect_right(self._edges, first) - 1, bisect.bisect_left(self._edges, last)):
            begin, end = max(first, self._edges[at]), min(last, self._edges[at + 1])
            result[:, begin - first : end - first] = self._chunk(at)[:, begin - self._edges[at] : end - self._edges[at]]
        return result

    def _chunk(self, at: int) -> FloatArray:
        before, chunk = self._held
        if before != at:
            self._held = (-1, self._nothing)  # the one before goes first: two need not fit
            chunk = self._computed(at, in_order=at == before + 1)
            self._held = (at, chunk)
        if at == len(self._chunks) - 1:
            self._coming.clear()
        return chunk

    def _computed(self, at: int, in_order: bool) -> FloatArray:
        client = _client() if self._ahead else None
        if client is None:
            return self._chunks[at].compute()  # type: ignore[no-any-return]
        coming = self._coming.pop(at, None) or client.compute(self._chunks[at])
        self._coming = {} if not in_order else self._coming
        for following in range(at + 1, min(at + 1 + self._ahead, len(self._chunks)) if in_order else 0):
            if following not in self._coming:
                self._coming[following] = client.compute(self._chunks[following])
        return coming.result()  # type: ignore[no-any-return]


def _client() -> Any | None:
    """The client of this process; none inside a task, where compute() gives the task's thread up meanwhile and waiting would not."""
    try:
        distributed.get_worker()
    except ValueError:
        pass
    else:
        return None
    try:
        return distributed.get_client()
    except ValueError:
        return None
