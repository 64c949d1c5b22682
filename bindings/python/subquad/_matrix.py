"""Matrices as the library reads them: NumPy arrays, sparse matrices of SciPy, blocks of columns."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from ._arrays import DTYPES, view
from ._column_blocks import BlockReader, ColumnBlocks
from ._errors import SubquadError, error, naming
from ._handle import Handle
from ._library import raw
from ._sparse import SparseMatrix, is_sparse, scipy_words, sparse_view
from ._tensors import Tensor

#: What `sparsify` and its like take.
Matrix: TypeAlias = Tensor | SparseMatrix | ColumnBlocks

_WANTED = "a numpy.ndarray, a csc or csr matrix of scipy.sparse, or subquad.column_blocks"


@contextmanager
def opened(**sources: Matrix) -> Iterator[list[Any]]:
    """Handles of matrices, by the names that errors call them, for the calls inside the block.

    What a function that reads blocks raises passes through as it is.
    """
    with ExitStack() as stack:
        matrices = [stack.enter_context(_Matrix(name, source)) for name, source in sources.items()]
        try:
            yield [matrix.pointer for matrix in matrices]
        except SubquadError as failure:
            if any(matrix.reader_failed for matrix in matrices):
                raise
            message = failure.message
            for name, source in sources.items():
                message = scipy_words(name, message) if is_sparse(source) else message
            raise error(failure.code, message) from None


class _Matrix(Handle):
    """A matrix of the library's, and what it reads, which it keeps alive."""

    __slots__ = ("_name", "_read", "_reader", "_source")

    def __init__(self, name: str, source: Matrix) -> None:
        self._name, self._source = name, source
        self._reader: BlockReader | None = None
        with naming("x", name):
            super().__init__(self._create, raw.subquad_matrix_destroy)

    def _create(self) -> Any:
        source = self._source
        if isinstance(source, ColumnBlocks):
            self._reader = source.reader()
            described = (*source.shape, DTYPES[source.dtype], source.block_columns)
            return raw.subquad_matrix_from_blocks(*described, self._reader)
        if is_sparse(source):
            sparse, self._read = sparse_view(self._name, source)
            return raw.subquad_matrix_from_sparse(sparse)
        return raw.subquad_matrix_from_dense(view(self._name, source, wanted=_WANTED))

    def __enter__(self) -> _Matrix:
        return self

    @property
    def reader_failed(self) -> bool:
        """Whether a function that reads blocks raised an exception."""
        return self._reader is not None and self._reader.failed
