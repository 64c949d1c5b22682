"""Leverage scores of columns."""

from __future__ import annotations  # signatures show short names

from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from ._arrays import FloatArray
from ._column_blocks import ColumnBlocks
from ._context import borrow
from ._errors import naming
from ._library import raw
from ._matrix import Matrix, opened
from ._options import sparsify_options
from ._outputs import Outputs
from ._report import Report, new_report
from ._sparse import SparseMatrix
from ._tensors import Kind, Tensor, takes_tensors


@overload
def leverage_scores(
    x: FloatArray | SparseMatrix | ColumnBlocks,
    *,
    method: Literal["exact", "sketch"] | None = None,
    delta: float = 0.01,
    seed: int = 0,
    check_finite: bool = True,
    out: Tensor | None = None,
    return_report: Literal[False] = False,
    threads: int | None = None,
) -> npt.NDArray[np.float64]: ...
@overload
def leverage_scores(
    x: FloatArray | SparseMatrix | ColumnBlocks,
    *,
    method: Literal["exact", "sketch"] | None = None,
    delta: float = 0.01,
    seed: int = 0,
    check_finite: bool = True,
    out: Tensor | None = None,
    return_report: Literal[True],
    threads: int | None = None,
) -> tuple[npt.NDArray[np.float64], Report]: ...
@overload
def leverage_scores(
    x: Kind,
    *,
    method: Literal["exact", "sketch"] | None = None,
    delta: float = 0.01,
    seed: int = 0,
    check_finite: bool = True,
    out: Tensor | None = None,
    return_report: Literal[False] = False,
    threads: int | None = None,
) -> Kind: ...
@overload
def leverage_scores(
    x: Kind,
    *,
    method: Literal["exact", "sketch"] | None = None,
    delta: float = 0.01,
    seed: int = 0,
    check_finite: bool = True,
    out: Tensor | None = None,
    return_report: Literal[True],
    threads: int | None = None,
) -> tuple[Kind, Report]: ...
@takes_tensors
def leverage_scores(
    x: Matrix,
    *,
    method: Literal["exact", "sketch"] | None = None,
    delta: float = 0.01,
    seed: int = 0,
    check_finite: bool = True,
    out: Tensor | None = None,
    return_report: bool = False,
    threads: int | None = None,
) -> Any:
    """Leverage scores of the columns of x [n, d], float64 [d]: how much each matters to the range of x.

        tau[j] = x_j' (x x')^+ x_j   in [0, 1], and their sum is the rank.

    x: as in `sparsify`.

    method  "exact", by a QR factorisation, in time O(d n^2). "sketch": within the report's `score_factor` of the exact ones, all at once,
            with probability 1 - delta, in time O~(nonzeros + n^3). None: what takes less time.
    delta   See "sketch".
    seed    Of the sketch.

    check_finite, out (of float64) and threads are as in `attention`. Returns the scores, of x's kind where that is an array, or with
    return_report (scores, report), whose `scores` says how they were computed. The same bits for any number of threads; the GIL is released
    meanwhile, and Ctrl-C ends the call, if need be after one factorisation by LAPACK (seconds from a thousand dense rows on).

    Raises `SubquadError`: ERR_SHAPE, ERR_DTYPE, ERR_STRIDE, ERR_SIZE, ERR_VALUE (indices of a sparse matrix out of order or range),
    ERR_NONFINITE (naming the first bad element), ERR_OVERFLOW (the squared norm of a row), ERR_MEMORY.

    Source: [SPARS] arXiv 2304.04397; docs/math/sparsify.md derives the factor.

    >>> import numpy as np
    >>> import subquad
    >>> subquad.leverage_scores(np.array([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]]), method="exact").round(12)
    array([0.36, 1.  , 0.64])
    """
    with naming("scores", "method"):
        chosen = sparsify_options(scores=method, delta=delta, seed=seed, check_finite=check_finite)
    with opened(x=x) as pointers, chosen as settings, new_report() as report, borrow(threads) as context:
        filled = Outputs(out, np.dtype(np.float64), {"scores": (x.shape[1],)})
        with filled:
            raw.subquad_leverage_scores(context, settings, *pointers, *filled.views, report)
        return filled.results(report if return_report else None)
