"""Finding a conv basis of the logits of a query/key pair."""

from __future__ import annotations  # signatures show short names

from functools import partial
from typing import Any

from ._arrays import view
from ._context import borrow
from ._conv_basis import ConvBasis
from ._handle import Handle
from ._library import raw
from ._options import options
from ._report import new_report, read_report
from ._tensors import Tensor, takes_tensors


@takes_tensors
def conv_basis_recover(
    q: Tensor,
    k: Tensor,
    *,
    bases: int,
    window: int,
    delta: float,
    eps: float = 0.0,
    scale: float | None = None,
    check_finite: bool = True,
    threads: int | None = None,
) -> ConvBasis:
    """The conv basis of the logits H = scale q k' below and on the diagonal, from O(k log n) short probes: O(k n d) in all.

    A column j of H opens a new basis where it differs from column s of the last one, |H[j..j+T-1, j] - H[s..s+T-1, s]|_1 >= delta / 2
    with T = window (0 in place of the second term before the first); starts are found by binary search, kernels from whole columns.

    q: [batch, H_q, n, d]   k: [batch, H_kv, n, d], shapes, strides and scale as in `attention`. The basis has the heads of q.
    bases   The most bases to find. Fewer are no error: the report's `bases` says how many each head has.
    window  How many entries of two columns are compared, at most n.
    delta   The least l1 distance, over window entries, of columns of different bases.
    eps     How far a logit may be from the structure, at most delta / (5 window).

    Where H is within eps of a matrix with at most `bases` bases whose columns are delta apart, starts are exact and attention errs by
    at most 2 tanh(eps) max|v|. Where it is not, what comes back may be far off: `conv_basis_fit` is for arbitrary q and k.

    The `report` of the basis has `bases`, `probes`, `columns` and `error_bound`. check_finite and threads are as in `attention`.

    Raises `SubquadError`: ERR_VALUE (window > n, delta = 0, eps > delta / (5 window)), ERR_SHAPE, ERR_DTYPE, ERR_STRIDE, ERR_SIZE,
    ERR_NONFINITE, ERR_OVERFLOW (a logit), ERR_MEMORY, ERR_THREADS.

    Source: [CONV] arXiv 2405.05219, section 3; docs/math/conv_basis.md says where the method differs.

    >>> import numpy as np
    >>> import subquad
    >>> q, k = np.ones((8, 2)), np.repeat([[1.0, 0.0], [0.0, 3.0]], 4, axis=0)  # keys constant on two pieces
    >>> basis = subquad.conv_basis_recover(q, k, bases=5, window=2, delta=1.0, scale=1.0)
    >>> basis.starts, basis.report["bases"]
    (array([0, 4]), 2)
    """
    chosen = options(bases=bases, window=window, delta=delta, eps=eps, scale=scale, check_finite=check_finite)
    return _found(raw.subquad_conv_basis_recover, q, k, chosen, threads)


@takes_tensors
def conv_basis_fit(
    q: Tensor,
    k: Tensor,
    *,
    bases: int | None = None,
    tol: float | None = None,
    scale: float | None = None,
    seed: int = 0,
    check_finite: bool = True,
    threads: int | None = None,
) -> ConvBasis:
    """A conv basis near the logits of arbitrary q and k, with a measured error: O(k d n log n).

    Neighbouring keys whose columns of logits, as functions of the lag, are alike are merged into segments; kernel r is the mean of the
    logits of segment r at each lag, over all pairs, by FFT cross-correlation.

    q: [batch, H_q, n, d]   k: [batch, H_kv, n, d], shapes, strides and scale as in `attention`. The basis has the heads of q.
    bases  So many bases, or fewer where segments are equal.
    tol    Instead: as many, doubled from 1, until the measured mean error is at most tol or a doubling is dearer than exact attention.
           Compare the report's `error_mean` with it.
    seed   Of the sampled rows.

    The error is that of the weights of attention, |P~[i,:] - P[i,:]|_1 in [0, 2]: an output row errs by at most it times max|v|. It is
    measured on sampled rows, so it is an estimate: others may be worse. The `report` of the basis has `bases`, `error_mean`,
    `error_max` and `sampled_rows`. check_finite and threads are as in `attention`.

    Raises `SubquadError`: ERR_CONFLICT unless one of bases and tol is given; ERR_SHAPE, ERR_DTYPE, ERR_STRIDE, ERR_SIZE, ERR_NONFINITE,
    ERR_OVERFLOW (a logit), ERR_MEMORY, ERR_THREADS.

    Source: the structure is that of [CONV] arXiv 2405.05219; docs/math/conv_basis.md has the method.

    >>> import subquad
    >>> q, k = (subquad.fill_uniform((64, 4), seed=5, stream=s, low=-1, high=1, dtype="float64") for s in range(2))
    >>> errors = [subquad.conv_basis_fit(q, k, bases=bases).report["error_mean"] for bases in (1, 64)]
    >>> errors[0] > errors[1]
    True
    """
    chosen = options(bases=bases, tol=tol, scale=scale, seed=seed, check_finite=check_finite)
    return _found(raw.subquad_conv_basis_fit, q, k, chosen, threads)


def _found(function: Any, q: Tensor, k: Tensor, chosen: Handle, threads: int | None) -> ConvBasis:
    """The basis that one of the functions (context, options, q, k, report) finds, with its report."""
    views = [view("q", q, 2), view("k", k, 2)]
    with chosen as settings, new_report() as report, borrow(threads) as context:
        basis = ConvBasis._of(partial(function, context, settings, *views, report), q.shape[:-2])
        basis._report = read_report(report)
    return basis
