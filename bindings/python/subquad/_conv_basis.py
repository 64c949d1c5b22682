"""Conv bases: lower-triangular matrices of logits, and causal softmax attention with them."""

from __future__ import annotations  # signatures show short names

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from ._arrays import FloatArray, View, view
from ._constants import Status
from ._context import borrow
from ._conv_attention import ConvLogits
from ._errors import error, naming
from ._library import raw
from ._options import options
from ._outputs import Outputs
from ._report import Report
from ._scalars import integer
from ._settings import as_integers
from ._tensors import Kind, Tensor, takes_tensors


class ConvBasis(ConvLogits):
    """Lower-triangular n x n matrices of logits with k bases, one per head, and causal softmax attention with them.

        H = sum_r conv(b_r, n - s_r),   that is   H[i,j] = B_r[i-j] for s_r <= j < s_(r+1), 0 for j < s_0, with j <= i,

    where the starts 0 <= s_0 < .. < s_(k-1) < n are columns, b_r is the increment of the logits by basis r, conv(b, m) the matrix that
    holds the lower-triangular Toeplitz matrix of b[:m] in its lower right corner, and B_r = b_0 + .. + b_r.

    starts      [batch, heads, k], int64 or a sequence of integers: strictly increasing; n at the end for bases that a head lacks.
    kernels     [batch, heads, k, n], float32 or float64, any strides; leading extents of 1 may be left out, in both alike. Row r holds
                b_r in its first n - s_r entries; the rest is not read. k may be 0: the zero matrix.
    cumulative  Row r holds B_r instead. This is how kernels are kept: it cancels nothing.

    Others are made by `from_dense`, `toeplitz`, `from_lag_bias`, `conv_basis_recover`, `conv_basis_fit`, and `exp`. A basis keeps copies
    of what it is made of. It never changes: threads may share it. `close`, or a `with` block, releases its memory at once. It can be
    pickled. `check_finite` and `threads` are as in `attention`.

    Raises `SubquadError`: ERR_SHAPE, ERR_DTYPE, ERR_STRIDE, ERR_SIZE, ERR_VALUE (starts out of order or range), ERR_NONFINITE,
    ERR_OVERFLOW (a sum of increments), ERR_MEMORY.

    Source: [CONV] arXiv 2405.05219.

    >>> import numpy as np
    >>> import subquad
    >>> basis = subquad.ConvBasis(starts=[0, 2], kernels=np.array([[1.0, 2.0, 3.0], [10.0, 0.0, 0.0]]))
    >>> basis.to_dense()
    array([[ 1.,  0.,  0.],
           [ 2.,  1.,  0.],
           [ 3.,  2., 11.]])
    >>> basis @ np.array([1.0, 0.0, 1.0])
    array([ 1.,  2., 14.])
    >>> basis.T @ np.array([0.0, 0.0, 1.0])
    array([ 3.,  2., 11.])
    """

    @takes_tensors
    def __init__(
        self,
        *,
        starts: Tensor | Sequence[Any],
        kernels: Tensor,
        cumulative: bool = False,
        check_finite: bool = True,
        threads: int | None = None,
    ) -> None:
        columns = as_integers("starts", starts, "a sequence of integers")
        views = [view("starts", columns), view("kernels", kernels, 2)]
        with options(cumulative=cumulative, check_finite=check_finite) as settings, borrow(threads) as context:
            super().__init__(partial(raw.subquad_conv_basis_create, context, settings, *views), kernels.shape[:-2])
        self._report: Report | None = None

    @classmethod
    @takes_tensors
    def from_dense(cls, h: Tensor, *, check_finite: bool = True, threads: int | None = None) -> Self:
        """The basis with the fewest bases of lower-triangular matrices h [batch, heads, n, n], exactly; at most n.

        A basis starts at each column that is not the one before it, cut. Takes up to twice the memory of h.

        Raises `SubquadError`: ERR_SHAPE, ERR_DTYPE, ERR_STRIDE, ERR_SIZE, ERR_VALUE (an entry above the diagonal), ERR_NONFINITE,
        ERR_MEMORY.

        >>> import numpy as np
        >>> import subquad
        >>> subquad.ConvBasis.from_dense(np.tri(100)).bases
        1
        """
        matrices = view("h", h, 2)
        with options(check_finite=check_finite) as settings, borrow(threads) as context:
            return cls._of(partial(raw.subquad_conv_basis_from_dense, context, settings, matrices), h.shape[:-2])

    @classmethod
    @takes_tensors
    def toeplitz(cls, column: Tensor, *, check_finite: bool = True, threads: int | None = None) -> Self:
        """The Toeplitz matrices with these first columns [batch, heads, n], k = 1: H[i,j] = column[i-j]. A stationary kernel.

        Raises `SubquadError` as `ConvBasis` does.

        >>> import numpy as np
        >>> import subquad
        >>> subquad.ConvBasis.toeplitz(np.array([1.0, 0.5, 0.25])).to_dense()
        array([[1.  , 0.  , 0.  ],
               [0.5 , 1.  , 0.  ],
               [0.25, 0.5 , 1.  ]])
        """
        view("column", column)
        if column.ndim > 3:
            raise error(Status.ERR_SHAPE, f"column has {column.ndim} dimensions, not 1 to 3")
        kernels, starts = np.asarray(column)[..., None, :], np.zeros((*column.shape[:-1], 1), np.int64)
        with naming("kernels", "column"), naming(r"kernels\[((?:\d+, )*)0, (\d+)\]", r"column[\1\2]"):
            return cls(starts=starts, kernels=kernels, cumulative=True, check_finite=check_finite, threads=threads)

    @classmethod
    @takes_tensors
    def from_lag_bias(
        cls,
        bias: Tensor,
        n: int | None = None,
        *,
        lag_min: int = 0,
        check_finite: bool = True,
        threads: int | None = None,
    ) -> Self:
        """The logits of a bias in the lag alone, k = 1: H[i,j] = bias[h, i - j - lag_min], for n positions (ALiBi, T5).

        bias [heads, L] and lag_min are the lag_bias and lag_min of `attention`; n is L + lag_min unless given: all lags from 0 up.

        Raises `SubquadError` as `ConvBasis` does; ERR_VALUE where the table does not cover the lags 0 to n - 1.

        >>> import numpy as np
        >>> import subquad
        >>> subquad.ConvBasis.from_lag_bias(np.array([[7.0, 0.0, -1.0]]), lag_min=-1).to_dense()
        array([[[ 0.,  0.],
                [-1.,  0.]]])
        """
        view("bias", bias, 2)
        if bias.ndim != 2:
            raise error(Status.ERR_SHAPE, f"bias has {bias.ndim} dimensions, not 2: [heads, lags]")
        lowest, lags = integer("lag_min", lag_min), bias.shape[1]
        count = max(lags + lowest, 0) if n is None else integer("n", n, lowest=0)
        first, end = -lowest, count - lowest
        if count > 0 and not 0 <= first < end <= lags:
            raise error(
                Status.ERR_VALUE, f"bias covers lags {lowest} to {lowest + lags - 1}, but n = {count} has 0 to {count - 1}"
            )
        with naming("column", f"bias[:, {first}:{end}]"):
            column = np.asarray(bias)[:, first:end] if count > 0 else np.asarray(bias)[:, :0]
            return cls.toeplitz(column, check_finite=check_finite, threads=threads)

    @classmethod
    def _of(cls, create: Callable[[], Any], leading: tuple[int, ...], report: Report | None = None) -> Self:
        """A basis that the library makes."""
        basis = cls.__new__(cls)
        ConvLogits.__init__(basis, create, leading)
        basis._report = report
        return basis

    @property
    def report(self) -> Report | None:
        """What `conv_basis_recover` or `conv_basis_fit` found; None for a basis that was made otherwise."""
        return self._report

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """A new array [batch, heads, k] of the starts; n for bases that a head lacks."""
        handle = self._open()
        starts = np.empty((self._batch, self._heads, self._bases), np.int64)
        raw.subquad_conv_basis_get(handle.pointer, None, view("starts", starts), None)
        return starts.reshape(*self._leading, self._bases)

    @overload
    def kernels(self, *, cumulative: bool = False, out: None = None) -> FloatArray: ...
    @overload
    def kernels(self, *, cumulative: bool = False, out: Kind) -> Kind: ...
    @takes_tensors
    def kernels(self, *, cumulative: bool = False, out: object = None) -> Any:
        """The kernels b_r [batch, heads, k, n], or B_r with cumulative; zero where an entry has no meaning. out is as in `attention`.

        Kernels are kept as B_r: increments are their differences, rounded once.

        Raises `SubquadError`: ERR_MEMORY; ERR_SHAPE, ERR_DTYPE, ERR_STRIDE for out.

        >>> import numpy as np
        >>> import subquad
        >>> basis = subquad.ConvBasis(starts=[0, 1], kernels=np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]]))
        >>> basis.kernels(cumulative=True)
        array([[1., 2., 3.],
               [5., 7., 0.]])
        """
        handle = self._open()
        shape = (*self._leading, self._bases, self._n)
        with Outputs(out, self._dtype, {"kernels": shape}) as filled, options(cumulative=cumulative) as settings:
            raw.subquad_conv_basis_get(handle.pointer, settings, None, *map(_of_four_dimensions, filled.views))
            return filled.results(None)

    def exp(self, *, threads: int | None = None) -> ConvBasis:
        """The exp transform: the basis of M * exp(H), M the lower triangle of ones; its kernels are exp(B_r) in cumulative form.

        A basis of ones comes first where s_0 > 0: the columns before it have logit 0. `exp() @ v` are the numerators of attention
        without its scaling: large logits overflow here, not in `apply`.

        Raises `SubquadError`: ERR_OVERFLOW, ERR_MEMORY.

        >>> import numpy as np
        >>> import subquad
        >>> basis = subquad.ConvBasis(starts=[1], kernels=np.log([[2.0, 4.0, 0.5]]))
        >>> basis.exp().to_dense().round(12)
        array([[1., 0., 0.],
               [1., 2., 0.],
               [1., 4., 2.]])
        """
        handle = self._open()
        with borrow(threads) as context:
            return ConvBasis._of(partial(raw.subquad_conv_basis_exp, context, handle.pointer), self._leading)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.starts, self.kernels(cumulative=True), self._report)


def _restore(kind: type[ConvBasis], starts: npt.NDArray[np.int64], kernels: FloatArray, report: Report | None) -> ConvBasis:
    """A basis from its pickled parts."""
    basis = kind(starts=starts, kernels=kernels, cumulative=True)
    basis._report = report
    return basis


def _of_four_dimensions(view: View | None) -> View | None:
    """With batch and heads of extent 1 where they are left out."""
    if view is None:
        return None
    address, dtype, shape, strides = view
    ones = 4 - len(shape)
    return address, dtype, (1,) * ones + shape, (0,) * ones + strides
