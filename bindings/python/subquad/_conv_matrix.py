"""Lower-triangular matrices with a conv basis, as linear operators."""

from __future__ import annotations  # signatures show short names

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np

from ._arrays import DTYPES, FloatArray, View, view
from ._constants import Status
from ._context import borrow
from ._errors import error, naming
from ._handle import Handle
from ._library import raw
from ._options import options
from ._outputs import Outputs
from ._owner import Owner
from ._report import Report, new_report
from ._tensors import Kind, Tensor, takes_tensors

_NUMPY = {dtype_id: dtype for dtype, dtype_id in DTYPES.items()}


class ProductSettings(TypedDict, total=False):
    """Types of the keyword arguments that all products share."""

    out: Tensor | None
    check_finite: bool
    threads: int | None


class MultiplySettings(ProductSettings, total=False):
    """Types of the keyword arguments of `multiply`."""

    strict_causal: bool


class ConvMatrix(Owner[Handle]):
    """A matrix H per head, its handle in the library, and the products H x and H' x."""

    __array_ufunc__ = None  # NumPy is not to take the matrix for a scalar: array @ matrix is a TypeError

    def __init__(self, create: Callable[[], Any], leading: tuple[int, ...]) -> None:
        handle = Handle(create, raw.subquad_conv_basis_destroy)
        super().__init__(handle)
        dtype, extents = raw.subquad_conv_basis_describe(handle.pointer)
        self._batch, self._heads, self._bases, self._n = (int(extent) for extent in extents)
        self._dtype = _NUMPY[dtype]
        self._leading = leading

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the matrices as one array: n by n, after the batch and heads that the basis was made with."""
        return (*self._leading, self._n, self._n)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._dtype

    @property
    def batch(self) -> int:
        """Extent of the batch, 1 where it was left out."""
        return self._batch

    @property
    def heads(self) -> int:
        """How many heads there are, 1 where they were left out."""
        return self._heads

    @property
    def n(self) -> int:
        """Rows and columns of each matrix."""
        return self._n

    @property
    def bases(self) -> int:
        """How many bases the head has that has most: the k of starts and kernels."""
        return self._bases

    def __repr__(self) -> str:
        closed = ", closed" if self._handle is None else ""
        return f"{type(self).__name__}(shape={self.shape}, bases={self._bases}, dtype={self._dtype}{closed})"

    @overload
    def to_dense(self, *, out: None = None, threads: int | None = None) -> FloatArray: ...
    @overload
    def to_dense(self, *, out: Kind, threads: int | None = None) -> Kind: ...
    @takes_tensors
    def to_dense(self, *, out: object = None, threads: int | None = None) -> Any:
        """The matrices as an array of `shape`: H[i,j] for j <= i, 0 above. O(n^2), for small n. out is as in `attention`.

        Raises `SubquadError`: ERR_SIZE, ERR_MEMORY; ERR_SHAPE, ERR_DTYPE, ERR_STRIDE for out.

        >>> import numpy as np
        >>> import subquad
        >>> subquad.ConvBasis(starts=[1], kernels=np.array([[5.0, 3.0, 0.0]])).to_dense()
        array([[0., 0., 0.],
               [0., 5., 0.],
               [0., 3., 5.]])
        """
        handle = self._open()
        with borrow(threads) as context, Outputs(out, self._dtype, {"h": self.shape}) as filled:
            raw.subquad_conv_basis_to_dense(context, handle.pointer, *filled.views)
            return filled.results(None)

    @overload
    def multiply(self, x: Kind, *, return_report: Literal[False] = False, **settings: Unpack[MultiplySettings]) -> Kind: ...
    @overload
    def multiply(self, x: Kind, *, return_report: Literal[True], **settings: Unpack[MultiplySettings]) -> tuple[Kind, Report]: ...
    @takes_tensors
    def multiply(
        self,
        x: Tensor,
        *,
        strict_causal: bool = False,
        check_finite: bool = True,
        out: Tensor | None = None,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """y = H x, by transforms in blocks: O(n c (n/b + k + log b)) with blocks of b rows. `basis @ x` is the same.

        x: [batch, heads, n, c], leading extents of 1 may be left out, any strides; a vector of n entries too where there is one head.
        Extents of batch and heads are those of the basis. y is like x, of its shape and kind.

        Round-off is relative to the largest |H| |x| of the rows and lags that share a transform, not to each entry of y. With
        strict_causal row i of y does not change by a bit when later rows of x do. check_finite, out, return_report and threads are as in
        `attention`; the report's `block` is b.

        Raises `SubquadError`: ERR_SHAPE, ERR_DTYPE, ERR_STRIDE, ERR_ALIAS, ERR_SIZE, ERR_NONFINITE, ERR_OVERFLOW, ERR_MEMORY,
        ERR_THREADS; ERR_NULL when the basis is closed.

        >>> import numpy as np
        >>> import subquad
        >>> basis = subquad.ConvBasis.toeplitz(np.array([1.0, 1.0, 0.0]))  # each entry and the one before it
        >>> basis.multiply(np.array([1.0, 10.0, 100.0]))
        array([  1.,  11., 110.])
        """
        chosen = options(strict_causal=strict_causal, check_finite=check_finite)
        return self._product(raw.subquad_conv_basis_multiply, x, out, chosen, threads, return_report)

    @overload
    def multiply_transposed(
        self, x: Kind, *, return_report: Literal[False] = False, **settings: Unpack[ProductSettings]
    ) -> Kind: ...
    @overload
    def multiply_transposed(
        self, x: Kind, *, return_report: Literal[True], **settings: Unpack[ProductSettings]
    ) -> tuple[Kind, Report]: ...
    @takes_tensors
    def multiply_transposed(
        self,
        x: Tensor,
        *,
        check_finite: bool = True,
        out: Tensor | None = None,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """y = H' x, for x, y, out, check_finite, return_report and threads as in `multiply`. `basis.T @ x` is the same.

        Raises `SubquadError` as `multiply` does.

        >>> import numpy as np
        >>> import subquad
        >>> basis = subquad.ConvBasis.toeplitz(np.array([1.0, 1.0, 0.0]))
        >>> basis.multiply_transposed(np.array([1.0, 10.0, 100.0]))  # each entry and the next
        array([ 11., 110., 100.])
        """
        chosen = options(check_finite=check_finite)
        return self._product(raw.subquad_conv_basis_multiply_transposed, x, out, chosen, threads, return_report)

    def __matmul__(self, x: Kind) -> Kind:
        return self.multiply(x)

    @property
    def T(self) -> TransposedConvMatrix:  # noqa: N802
        """The transpose, for `basis.T @ x`. Nothing is copied."""
        return TransposedConvMatrix(self)

    def _product(
        self,
        function: Callable[..., None],
        x: Tensor,
        out: object,
        chosen: Handle,
        threads: int | None,
        return_report: bool,
    ) -> Any:
        """y, or y and a report, of one of the functions (context, options, basis, x, y, report) where y is shaped like x."""
        handle = self._open()
        values = view("x", x)
        filled = Outputs(out, x.dtype, {"y": x.shape})
        views = [values, *filled.views]
        indices: AbstractContextManager[None] = nullcontext()
        if x.ndim == 1:
            views = [self._column(name, vector) for name, vector in zip(("x", "out"), views, strict=True) if vector]
            indices = naming(r"x\[(\d+), 0\]", r"x[\1]")
        with chosen as settings, new_report() as report, borrow(threads) as context, filled, indices:
            function(context, settings, handle.pointer, *views, report)
            return filled.results(report if return_report else None)

    def _column(self, name: str, vector: View) -> View:
        """A vector as a matrix of one column."""
        address, dtype, shape, strides = vector
        if shape != (self._n,):
            raise error(Status.ERR_SHAPE, f"{name} has shape {shape}, not ({self._n},)")
        return address, dtype, (*shape, 1), (*strides, 1)


class TransposedConvMatrix:
    """The transpose of a matrix with a conv basis, as `ConvBasis.T` gives it."""

    __array_ufunc__ = None

    def __init__(self, matrix: ConvMatrix) -> None:
        self._matrix = matrix

    @property
    def T(self) -> ConvMatrix:  # noqa: N802
        """The matrix itself."""
        return self._matrix

    @property
    def shape(self) -> tuple[int, ...]:
        """As that of the matrix."""
        return self._matrix.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._matrix.dtype

    def __matmul__(self, x: Kind) -> Kind:
        return self._matrix.multiply_transposed(x)

    def __repr__(self) -> str:
        return f"{self._matrix!r}.T"
