"""Sparse matrices of SciPy, which is not needed otherwise and never imported here: who has such a matrix has done so."""

from __future__ import annotations  # signatures show short names

import re
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from ._arrays import View, view
from ._constants import Layout, Status
from ._errors import error

SparseView: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int]


class SparseMatrix(Protocol):
    """A matrix or array of `scipy.sparse`, in format CSC or CSR."""

    @property
    def format(self) -> Any: ...
    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def indptr(self) -> Any: ...
    @property
    def indices(self) -> Any: ...
    @property
    def data(self) -> Any: ...
    def copy(self) -> Any: ...


def is_sparse(x: object) -> TypeGuard[SparseMatrix]:
    """Whether x is of scipy.sparse, in whatever format."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(x))


def sparse_view(name: str, x: SparseMatrix) -> tuple[SparseView, list[Any]]:
    """What the raw layer takes for a sparse matrix, and the arrays that it points to; `name` is what errors call it."""
    layouts = {layout.name.lower(): layout for layout in Layout}
    if x.format not in layouts:
        raise error(
            Status.ERR_DTYPE,
            f"{name} is a scipy.sparse matrix of format {x.format}, not csc or csr; convert it with .tocsc() or .tocsr()",
        )
    if len(x.shape) != 2:
        raise error(Status.ERR_SHAPE, f"{name} has shape {x.shape}, not two dimensions")
    layout = layouts[x.format]
    rows, columns = map(int, x.shape)
    outer = columns if layout == Layout.CSC else rows
    arrays = [x.indptr, x.indices, x.data]
    offsets, indices, values = (
        _contiguous(f"{name}.{part}", array) for part, array in zip(("indptr", "indices", "data"), arrays, strict=True)
    )
    if offsets[1] != indices[1]:
        raise error(Status.ERR_DTYPE, f"{name}.indices is {x.indices.dtype}, {name}.indptr is {x.indptr.dtype}: not alike")
    if offsets[2] != (outer + 1,):
        raise error(Status.ERR_SHAPE, f"{name}.indptr has shape {offsets[2]}, not ({outer + 1},)")
    nonzeros = int(x.indptr[-1])
    if not 0 <= nonzeros <= min(*indices[2], *values[2]):
        entries = f"{name}.indices has {indices[2][0]} entries, {name}.data {values[2][0]}"
        raise error(Status.ERR_VALUE, f"{name}.indptr, the offsets, ends with {nonzeros}, but {entries}")
    return (offsets[0], indices[0], values[0], rows, columns, nonzeros, layout, values[1], offsets[1], 0), arrays


def scipy_words(name: str, message: str) -> str:
    """What the library says of the parts of a sparse matrix, by SciPy's names of them."""
    said = re.fullmatch(rf"{name}: (indices|offsets)(\[.*)", message)
    if not said:
        return message
    part, rest = "indptr" if said[1] == "offsets" else said[1], said[2]
    return f"{name}.{part}{rest}".replace("needs them sorted", f"needs them sorted, as {name}.sort_indices() does")


def _contiguous(name: str, array: object) -> View:
    """The view of a vector without gaps."""
    address, dtype, shape, strides = view(name, array)
    if len(shape) != 1:
        raise error(Status.ERR_SHAPE, f"{name} has shape {shape}, not one dimension")
    if shape[0] > 1 and strides != (1,):
        raise error(Status.ERR_STRIDE, f"{name} has stride {strides[0]}, not 1: copy the matrix with .copy()")
    return address, dtype, shape, strides


def selected(x: SparseMatrix, indices: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> SparseMatrix:
    """The columns of a sparse matrix at these indices, times the square roots of the weights: of the same class and dtype."""
    y: Any = x[:, indices]  # type: ignore[index]
    roots = np.sqrt(weights)
    y.data *= np.repeat(roots, np.diff(y.indptr)) if y.format == "csc" else roots[y.indices]
    return y  # type: ignore[no-any-return]


def stacked(parts: Sequence[SparseMatrix]) -> SparseMatrix:
    """Sparse matrices, one above the other, in the format of the first."""
    return sys.modules["scipy.sparse"].vstack(parts, format=parts[0].format)  # type: ignore[no-any-return]
