"""NumPy arrays as the views (address, dtype, shape, strides) of the raw layer, without copies."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._constants import MAX_NDIM, Dtype, Status
from ._errors import SubquadError, error

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
View: TypeAlias = tuple[int, int, tuple[int, ...], tuple[int, ...]]

#: Id of each NumPy dtype that the library knows. Byte-swapped ones are other dtypes.
DTYPES = {np.dtype(dtype.name.lower()): dtype.value for dtype in Dtype}
#: What there is to say about another dtype.
ACCEPTED = "numbers are float32 or float64, indices and positions int64"


def ndarray(name: str, array: object, wanted: str = "a numpy.ndarray") -> npt.NDArray[Any]:
    """The array itself where it is one; `name` is what errors call it, `wanted` what might be given."""
    if type(array) is np.ndarray:
        return array
    if array is None:
        raise error(Status.ERR_NULL, f"{name} is None, not {wanted}")
    if not isinstance(array, np.ndarray):
        raise error(Status.ERR_DTYPE, f"{name} is a {type(array).__module__}.{type(array).__name__}, not {wanted}")
    if isinstance(array, np.ma.MaskedArray):
        raise error(Status.ERR_DTYPE, f"{name} is a masked array, whose mask would be ignored")
    return array


def view(name: str, array: object, lowest_ndim: int = 1, wanted: str = "a numpy.ndarray") -> View:
    """The view of an input array; `name` is what errors call it, `wanted` what might be given."""
    array = ndarray(name, array, wanted)
    dtype = DTYPES.get(array.dtype)
    if dtype is None:
        raise _dtype_error(name, array.dtype)
    if not lowest_ndim <= array.ndim <= MAX_NDIM:
        raise error(Status.ERR_SHAPE, f"{name} has {array.ndim} dimensions, not {lowest_ndim} to {MAX_NDIM}")
    return array.__array_interface__["data"][0], dtype, array.shape, _strides(name, array)


def optional_view(name: str, array: object) -> View | None:
    """The view of an array that may be left out."""
    return None if array is None else view(name, array)


def writable_view(name: str, array: object, lowest_ndim: int = 1) -> View:
    """The view of an array that the call will fill."""
    result = view(name, array, lowest_ndim)
    if not array.flags.writeable:  # type: ignore[attr-defined]
        raise error(Status.ERR_VALUE, f"{name} is read-only")
    return result


def empty(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FloatArray:
    """A new array for a result."""
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as cause:  # ValueError: more bytes than an address can count
        code = Status.ERR_MEMORY if isinstance(cause, MemoryError) else Status.ERR_SIZE
        raise error(code, f"{name} of shape {shape} and dtype {dtype} could not be allocated") from cause


def memory(
    address: int, shape: tuple[int, ...], dtype: np.dtype[Any], *, strides: tuple[int, ...] | None = None, keep: object = None
) -> npt.NDArray[Any]:
    """An array over memory that may be written; it keeps what holds the memory alive."""
    return np.asarray(
        _Memory({"version": 3, "data": (address, False), "shape": shape, "strides": strides, "typestr": dtype.str}, keep)
    )


class _Memory:
    """What NumPy makes an array of, and refers to from then on."""

    __slots__ = ("__array_interface__", "_keep")

    def __init__(self, interface: dict[str, Any], keep: object) -> None:
        self.__array_interface__ = interface
        self._keep = keep


def _strides(name: str, array: npt.NDArray[Any]) -> tuple[int, ...]:
    size, strides, uneven = array.itemsize, [], False
    for stride in array.strides:  # plain loops: short calls spend their time here
        strides.append(stride // size)
        uneven = uneven or stride % size != 0
    if uneven and any(extent > 1 and stride % size for extent, stride in zip(array.shape, array.strides, strict=True)):
        raise error(Status.ERR_STRIDE, f"{name} has strides {array.strides} in bytes, not multiples of its item size {size}")
    return tuple(strides)  # where an extent is 1, the rounding down does not matter


def _dtype_error(name: str, dtype: np.dtype[Any]) -> SubquadError:
    if dtype.newbyteorder("=") in DTYPES:
        return error(Status.ERR_DTYPE, f"{name} is {dtype.str}, byte-swapped; convert it with .astype('{dtype.name}')")
    return error(Status.ERR_DTYPE, f"{name} is {dtype}; {ACCEPTED}")
