"""Sparsifiers of matrices in Dask's chunks."""

# mypy: allow-untyped-calls
# Dask's methods have no types.
from __future__ import annotations  # signatures show short names

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import dask.array as da
import numpy as np
from dask.base import compute
from dask.delayed import delayed

from .._arrays import FloatArray
from .._errors import SubquadError, error
from .._sparsifier import Sparsifier
from .._sparsify import sparsify as sparsify_here
from ._blocks import column_blocks, matrix
from ._graph import FAN_IN
from ._layout import edges


def sparsify(
    x: da.Array,
    *,
    method: str = "leverage",
    columns: int | None = None,
    eps: float | None = None,
    delta: float = 0.01,
    seed: int = 0,
    certify: Literal["auto", "exact", "estimate", False] = "auto",
    check_finite: bool = True,
    block_columns: int | None = None,
    ahead: int = 1,
    threads: int | None = None,
) -> Sparsifier:
    """Few columns of a Dask array x [n, d] with weights that stand for all of them in softmax(scale x x'), as `subquad.sparsify` finds.

        Y[:, j] = sqrt(weights[j]) x[:, indices[j]],   (1-e) x x' <= Y Y' <= (1+e) x x'   with e measured: see `subquad.Sparsifier`.

    method "leverage" or "deterministic"
             `subquad.sparsify` of `column_blocks(x)`, in the calling process: chunk by chunk of columns, one at a time, twice or more
             often. The result is that of `subquad.column_blocks` in one process to the last bit: indices, weights, certificate.
    method "gram"
             Where the chunks are: a worker makes the factor of each, with Y_b Y_b' = x_b x_b' and at most n columns. Factors, side by
             side, are a matrix with the same product as their chunks, whose factor is made in turn, by a tree. x is read once, and no more
             than n x n numbers of a chunk are moved. x x' itself is never formed, for that would square the condition. Y Y' differs
             from that of one process by round-off; the certificate is measured against the factors that were joined last.

    columns, eps, delta, seed, certify and check_finite are as in `subquad.sparsify`; block_columns and ahead as in `column_blocks`;
    `threads` is of the calling process, while tasks on workers have one thread each. This computes: it returns a `subquad.Sparsifier`, not
    a Dask array.

    Raises `SubquadError` as `subquad.sparsify` does; ERR_DTYPE where x is not a Dask array; ERR_SHAPE where sizes of chunks are unknown.

    Source: as `subquad.sparsify`; factors of factors, Demmel, Grigori, Hoemmen and Langou, arXiv 0808.2664.

    >>> import dask.array as da
    >>> import numpy as np
    >>> import subquad.dask
    >>> x = np.random.default_rng(1).standard_normal((8, 5000)) / 70
    >>> chunked = da.from_array(x, chunks=(8, 1000))
    >>> y = subquad.dask.sparsify(chunked, columns=300)
    >>> blocks = subquad.column_blocks(lambda first, last: x[:, first:last], *x.shape, x.dtype)
    >>> bool((y.indices == subquad.sparsify(blocks, columns=300).indices).all())
    True
    >>> subquad.dask.sparsify(chunked, method="gram").shape
    (8, 8)
    """
    settings: dict[str, Any] = {"method": method, "columns": columns, "eps": eps, "delta": delta, "seed": seed}
    settings |= {"certify": certify, "check_finite": check_finite, "threads": threads}
    blocks = column_blocks(x, block_columns=block_columns, ahead=ahead)
    if method != "gram":
        return sparsify_here(blocks, **settings)
    array = matrix("x", x)
    sparsify_here(np.zeros((1, 1), array.dtype), **settings)  # refuses settings before a worker is asked
    return sparsify_here(np.concatenate(compute(*_factors(array, check_finite)), axis=1), **settings)


def _factors(x: da.Array, check_finite: bool) -> list[Any]:
    """Few delayed factors whose products add up to x x'."""
    starts = edges(x.chunks[1])
    make = delayed(_factor, pure=True)
    parts = [make([block], check_finite, first) for first, block in zip(starts, x.to_delayed()[0], strict=False)]
    while len(parts) > FAN_IN:
        parts = [make(parts[first : first + FAN_IN], check_finite) for first in range(0, len(parts), FAN_IN)]
    return parts


def _factor(parts: Sequence[FloatArray], check_finite: bool, first: int | None = None) -> FloatArray:
    """The factor of matrices side by side; or of the chunk that begins with column `first`."""
    factor = partial(sparsify_here, method="gram", certify=False, check_finite=check_finite, threads=1)
    try:
        with factor(np.concatenate(parts, axis=1)) as result:
            return result.y  # type: ignore[no-any-return]
    except SubquadError as failure:
        if first is None:
            raise
        columns = f"{first} .. {first + parts[0].shape[1] - 1}"
        raise error(failure.code, f"in columns {columns}: {failure.message}") from None
