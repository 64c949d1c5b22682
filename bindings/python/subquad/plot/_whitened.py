"""Eigenvalues of Y Y' against X X', without squaring the condition of X."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._column_blocks import ColumnBlocks
from .._constants import Status
from .._errors import error
from .._sparse import is_sparse

Doubles = npt.NDArray[np.float64]

_BLOCK = 2**21  # entries that are dense at once


def triangle(sources: Mapping[str, Any]) -> Doubles:
    """R [up to n, n] with R' R = X X', of a QR factorisation of X', block by block.

    X [n, d]: the sources (arrays, sparse matrices, column blocks) by their names in errors, one above the other.
    """
    shapes = [x.shape for x in sources.values()]
    n, d = sum(rows for rows, _ in shapes), shapes[0][1]
    r: Doubles = np.empty((0, n))
    width = max(n, _BLOCK // max(n, 1))
    readers = [_columns(name, x, width) for name, x in sources.items()]
    for _ in range(0, d, width):
        block = np.hstack([next(reader) for reader in readers])
        r = np.asarray(np.linalg.qr(np.vstack([r, block]), mode="r"))
    return r


def _columns(name: str, x: Any, width: int) -> Iterator[Doubles]:
    """Blocks of so many columns as rows, in double precision."""
    n, d = x.shape
    reader = x.reader() if isinstance(x, ColumnBlocks) else None
    by_column: Any = x.tocsc() if is_sparse(x) else x  # type: ignore[attr-defined]
    for first in range(0, d, width):
        last = min(first + width, d)
        if reader is not None:
            block = np.empty((last - first, n), x.dtype)
            reader(first, last - first, block.ctypes.data)
        else:
            part = by_column[:, first:last]
            block = (part.toarray() if is_sparse(x) else part).T
        bad = np.argwhere(~np.isfinite(block))
        if bad.size:
            j, i = map(int, bad[0])
            raise error(Status.ERR_NONFINITE, f"{name}[{i}, {first + j}] is {block[j, i]}")
        yield block.astype(np.float64)


def relative_eigenvalues(r: Doubles, y: Doubles, rank: int | None, dtype: np.dtype[Any]) -> Doubles:
    """Of W' Y Y' W with W' X X' W = 1 on the range of X, largest first: all are 1 where Y Y' = X X'.

    Rows of X are scaled to norm 1 first, so that their units do not matter for what is zero. rank: of X, or None to find it here, as
    what is above the round-off of dtype.
    """
    largest = np.abs(r).max(axis=0, initial=0)
    largest[largest == 0] = 1
    # No square overflows so. A norm is at least 1 of its largest entry, but for zero rows.
    scale = 1 / largest / np.maximum(np.linalg.norm(r / largest, axis=0), 1)
    _, sizes, rows = np.linalg.svd(r * scale, full_matrices=False)
    if rank is None:
        rank = int((sizes > sizes.max(initial=0) * max(r.shape) * np.finfo(dtype).eps).sum())
    whitened = (rows[:rank] @ (scale[:, None] * y)) / sizes[:rank, None]
    values = np.zeros(rank)
    found = np.linalg.svd(whitened, compute_uv=False) ** 2
    values[: found.size] = found
    return values
