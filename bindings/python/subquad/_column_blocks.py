"""Matrices that are read in blocks of columns, for data that does not fit into memory."""

from __future__ import annotations  # signatures show short names

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import FloatArray, memory, ndarray
from ._constants import Status
from ._dlpack import as_numpy, is_tensor
from ._errors import error
from ._scalars import integer

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class ColumnBlocks:
    """A matrix whose columns a function reads, as `column_blocks` makes it. It never changes: calls and threads may share it."""

    __slots__ = ("_block_columns", "_by_position", "_dtype", "_function", "_shape")

    def __init__(
        self, function: Callable[..., Any], by_position: bool, shape: tuple[int, int], dtype: np.dtype[Any], block_columns: int
    ) -> None:
        self._function = function
        self._by_position = by_position
        self._shape = shape
        self._dtype = dtype
        self._block_columns = block_columns

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._dtype

    @property
    def block_columns(self) -> int:
        """The most columns that are asked for at once; 0 where that is left to the library."""
        return self._block_columns

    def __repr__(self) -> str:
        return f"column_blocks({self._function!r}, rows={self._shape[0]}, columns={self._shape[1]}, dtype='{self._dtype}')"

    def reader(self) -> BlockReader:
        """What one call reads the blocks with; it keeps track of where it is."""
        kind = PositionReader if self._by_position else IteratorReader
        return kind(self._function, self._shape, self._dtype)


def column_blocks(
    blocks: Callable[..., Any], rows: int, columns: int, dtype: npt.DTypeLike, *, block_columns: int | None = None
) -> ColumnBlocks:
    """A matrix [rows, columns] that is read in blocks of columns, for data that does not fit into memory.

    blocks         A function of (first, last) that returns the columns first .. last - 1, as an array [rows, last - first]; or a function
                   of no argument that returns a new iterator over consecutive blocks [rows, any number], `columns` columns in all.
                   Blocks are arrays of the dtype, NumPy's or other tensors on the CPU, with any strides.
    dtype          float32 or float64.
    block_columns  The most columns to ask for at once; about 8 MiB of them unless given. An iterator's blocks are as wide as it likes.

    `sparsify` and `leverage_scores` read all columns in order, twice; "exact" scores take a third time. Method "deterministic" then reads
    many blocks again, in any order: an iterator would have to start anew each time, so give it a function of (first, last). The same
    columns must come every time. They are read in the thread of the call, with the GIL; an exception that the function raises ends the call
    and reaches the caller. Method "leverage" may choose other columns than for the same matrix in memory, where it can read more often.

    A file in NumPy's own format needs none of this: `numpy.load(path, mmap_mode="r")` is an array.

    Raises `SubquadError`: ERR_TYPE where blocks takes other arguments; ERR_VALUE, ERR_DTYPE. A call that reads a block of another shape or
    dtype, or too few or too many columns, raises ERR_SHAPE or ERR_DTYPE.

    >>> import numpy as np
    >>> import subquad
    >>> x = np.random.default_rng(1).standard_normal((3, 1000))
    >>> by_position = subquad.column_blocks(lambda first, last: x[:, first:last], 3, 1000, x.dtype)
    >>> in_order = subquad.column_blocks(lambda: (x[:, first : first + 100] for first in range(0, 1000, 100)), 3, 1000, x.dtype)
    >>> chosen = [subquad.sparsify(source, columns=20).indices for source in (by_position, in_order)]
    >>> bool((chosen[0] == chosen[1]).all())
    True
    """
    by_position = _takes(blocks, 0, 1)
    if not by_position and not _takes(blocks):
        raise error(Status.ERR_TYPE, f"blocks is {blocks!r}, not a function of (first, last) or of no argument")
    shape = (integer("rows", rows, lowest=0), integer("columns", columns, lowest=0))
    try:
        kind = np.dtype(dtype)
    except TypeError as cause:
        raise error(Status.ERR_DTYPE, f"dtype is {dtype!r}, not a dtype") from cause
    if kind not in FLOATS:
        raise error(Status.ERR_DTYPE, f"dtype is {kind}, not float32 or float64")
    most = 0 if block_columns is None else integer("block_columns", block_columns, lowest=1)
    return ColumnBlocks(blocks, by_position, shape, kind, most)


def _takes(function: object, *arguments: int) -> bool:
    """Whether it can be called with so many arguments. What hides its signature, as some functions written in C do, takes positions."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return bool(arguments)
    return True


class BlockReader:
    """Reads blocks for one call of the library, which calls it with (first, count, address) to have them written there."""

    def __init__(self, function: Callable[..., Any], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.failed: bool = False
        self._function = function
        self._rows, self._columns = shape
        self._dtype = dtype

    def __call__(self, first: int, count: int, address: int) -> None:
        try:
            self._read(first, first + count, memory(address, (count, self._rows), self._dtype).T)
        except BaseException:
            self.failed = True
            raise

    def _read(self, first: int, last: int, target: FloatArray) -> None:
        raise NotImplementedError

    def _checked(self, name: str, block: object, columns: int | None = None) -> FloatArray:
        """A block that the function gave, of so many columns where that is not its own choice."""
        array = ndarray(name, as_numpy(name, block) if is_tensor(block) else block)
        if array.dtype != self._dtype:
            raise error(Status.ERR_DTYPE, f"{name} is {array.dtype}, not {self._dtype} as dtype says")
        if array.ndim != 2 or array.shape[0] != self._rows or columns not in (None, array.shape[1]):
            wanted = f"({self._rows}, {'any' if columns is None else columns})"
            raise error(Status.ERR_SHAPE, f"{name} has shape {array.shape}, not {wanted}")
        return array


class PositionReader(BlockReader):
    """Reads with a function of (first, last)."""

    def _read(self, first: int, last: int, target: FloatArray) -> None:
        target[...] = self._checked(f"blocks({first}, {last})", self._function(first, last), last - first)


class IteratorReader(BlockReader):
    """Reads with a function that returns iterators: a new one for columns before those at hand."""

    def __init__(self, function: Callable[..., Any], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        super().__init__(function, shape, dtype)
        self._iterator: Iterator[Any] | None = None
        self._none = np.empty((self._rows, 0), dtype)
        self._block, self._begin, self._end = self._none, 0, 0  # the block at hand, and its columns

    def _read(self, first: int, last: int, target: FloatArray) -> None:
        if self._iterator is None or first < self._begin:
            self._iterator, self._block, self._begin, self._end = self._new_iterator(), self._none, 0, 0
        self._copy(first, last, target)
        while self._end < last:
            self._advance(self._iterator)
            self._copy(first, last, target)

    def _new_iterator(self) -> Iterator[Any]:
        made = self._function()
        if not isinstance(made, Iterable):
            raise error(Status.ERR_TYPE, f"blocks() is a {type(made).__module__}.{type(made).__name__}, not an iterator")
        return iter(made)

    def _advance(self, iterator: Iterator[Any]) -> None:
        """The next block; after the last one nothing may follow."""
        for block in iterator:
            self._block = self._next(block)
            self._begin, self._end = self._end, self._end + self._block.shape[1]
            break
        else:
            raise error(Status.ERR_SHAPE, f"blocks() ends after {self._end} columns, not {self._columns}")
        if self._end == self._columns:
            for block in iterator:
                self._next(block)

    def _next(self, block: object) -> FloatArray:
        """A block that begins where the last one ended."""
        array = self._checked(f"the block of blocks() from column {self._end} on", block)
        if self._end + array.shape[1] > self._columns:
            raise error(Status.ERR_SHAPE, f"blocks() has {self._end + array.shape[1]} columns or more, not {self._columns}")
        return array

    def _copy(self, first: int, last: int, target: FloatArray) -> None:
        """What the block at hand has of the columns asked for."""
        low, high = max(first, self._begin), min(last, self._end)
        if low < high:
            target[:, low - first : high - first] = self._block[:, low - self._begin : high - self._begin]
