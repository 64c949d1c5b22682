"""Finding a sparsifier of a matrix, or of queries and keys."""

from __future__ import annotations  # signatures show short names

from functools import partial
from typing import Literal

from ._context import borrow
from ._library import raw
from ._matrix import Matrix, opened
from ._options import sparsify_options
from ._report import new_report
from ._sparsifier import Sparsifier
from ._tensors import takes_tensors


@takes_tensors
def sparsify(
    x: Matrix,
    *,
    method: str = "leverage",
    columns: int | None = None,
    eps: float | None = None,
    delta: float = 0.01,
    seed: int = 0,
    certify: Literal["auto", "exact", "estimate", False] = "auto",
    check_finite: bool = True,
    threads: int | None = None,
) -> Sparsifier:
    """Few columns of x [n, d] with weights that stand for all of them in softmax(scale x x'), usually d >> n.

        Y[:, j] = sqrt(weights[j]) x[:, indices[j]],   (1-e) x x' <= Y Y' <= (1+e) x x'   with e measured: see `Sparsifier`.

    x        A NumPy array of float32 or float64 with any strides; a csc or csr matrix or array of scipy.sparse, with sorted indices where
             it is csr; or `column_blocks`, for data that does not fit into memory.
    method   "leverage": each column is kept at random, the likelier the larger its leverage score tau is: with probability 1 - exp(-T tau),
             and with 1 over that as its weight. Time O~(nonzeros + n^3).
             "deterministic": one column after the other, by barriers: e <= 2 sqrt(c) / (c + 1) always, with c columns per unit of the rank.
             Time O(d n^2 + n^4), or less where x is sparse.
             "gram": a factor of x x' with rank(x) columns, exact to round-off times the condition number, but not columns of x: it has no
             indices, and no sparsity. Time O(d n^2).
    columns  The most distinct columns. For "leverage" just so many, where x has as many that are not zero; for "deterministic" more than
             the rank. As many as x has, or more, return x itself with weights 1.
    eps      Instead of columns: the e to reach, and columns as that takes. For "leverage" with probability 1 - delta, for "deterministic"
             always. "gram" takes neither.
    delta    The probability that what is random misses what it promises.
    seed     Of what is random. The same seed chooses the same columns, for any number of threads.
    certify  How e is measured: "exact", in time O(d n^2); "estimate", a lower estimate in time O(nonzeros), or exactly where the
             selection has made that as cheap; "auto", exactly where that costs less than the selection did; False, not at all.

    check_finite and threads are as in `attention`. Rows and columns may depend on each other, be equal, or be zero: all of this is about
    the range of x. The GIL is released meanwhile, and Ctrl-C ends the call, if need be after one factorisation by LAPACK (seconds from
    a thousand dense rows on).

    Raises `SubquadError`: ERR_CONFLICT unless one of columns and eps is given (for "gram" none); ERR_VALUE (columns not above the rank for
    "deterministic"; indices of a sparse matrix out of order or range); ERR_UNSUPPORTED (an estimate for `column_blocks`); ERR_SHAPE,
    ERR_DTYPE, ERR_STRIDE, ERR_SIZE, ERR_NONFINITE (naming the first bad element), ERR_OVERFLOW (the squared norm of a row), ERR_MEMORY.

    Source: [SPARS] arXiv 2304.04397; barriers, [BSS] arXiv 0808.0163; docs/math/sparsify.md says where the methods differ from theirs.

    >>> import numpy as np
    >>> import subquad
    >>> x = np.random.default_rng(1).standard_normal((8, 5000)) / 70
    >>> y = subquad.sparsify(x, method="deterministic", columns=9 * 8)
    >>> y.rank, y.certificate, bool(y.epsilon <= 2 * 3 / (9 + 1))
    (8, 'exact', True)
    >>> subquad.sparsify(x, method="gram").shape
    (8, 8)
    """
    chosen = sparsify_options(
        method=method, columns=columns, eps=eps, delta=delta, seed=seed, certify=certify, check_finite=check_finite
    )
    with opened(x=x) as pointers, chosen as settings, new_report() as report, borrow(threads) as context:
        return Sparsifier(partial(raw.subquad_sparsify, context, settings, *pointers, report), report, (x,))


@takes_tensors
def sparsify_pair(
    q: Matrix,
    k: Matrix,
    *,
    method: str = "leverage",
    columns: int | None = None,
    eps: float | None = None,
    delta: float = 0.01,
    seed: int = 0,
    certify: Literal["auto", "exact", "estimate", False] = "auto",
    check_finite: bool = True,
    threads: int | None = None,
) -> Sparsifier:
    """Few columns of the stack of queries q [n_q, d] and keys k [n_k, d] with weights, for softmax(scale q k').

        Y_q[:, j] = sqrt(weights[j]) q[:, indices[j]],   Y_k[:, j] = sqrt(weights[j]) k[:, indices[j]],
        |(Y_q Y_k' - q k')[i,j]| <= e |q_i| |k_j|,   with e the certificate of X = [q; k].

    q and k may be of different kinds: arrays, sparse matrices, `column_blocks`; they have one dtype and as many columns. method, columns,
    eps, delta, seed, certify, check_finite and threads are as in `sparsify`.

    Raises `SubquadError`: as `sparsify`; ERR_SHAPE where q and k have different numbers of columns, ERR_DTYPE where their dtypes differ.

    Source: as `sparsify`.

    >>> import numpy as np
    >>> import subquad
    >>> q, k = (np.random.default_rng(seed).standard_normal((5, 1000)) / 30 for seed in range(2))
    >>> y = subquad.sparsify_pair(q, k, columns=300)
    >>> y.shape, y.y_q.shape, y.y_k.shape
    ((10, 300), (5, 300), (5, 300))
    >>> bool(y.softmax_error(q, k).ratio <= y.ratio_bound())
    True
    """
    chosen = sparsify_options(
        method=method, columns=columns, eps=eps, delta=delta, seed=seed, certify=certify, check_finite=check_finite
    )
    with opened(q=q, k=k) as pointers, chosen as settings, new_report() as report, borrow(threads) as context:
        return Sparsifier(partial(raw.subquad_sparsify_pair, context, settings, *pointers, report), report, (q, k))
