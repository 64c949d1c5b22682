"""Tensors of other libraries as NumPy arrays, and the other way, through DLPack: memory is handed over, not copied."""

from __future__ import annotations  # signatures show short names

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import ACCEPTED, DTYPES, memory
from ._constants import Status
from ._errors import SubquadError, error

#: Device types of DLPack whose memory this process reads as its own: that of the CPU, and what CUDA and ROCm have pinned there.
_IN_REACH = (1, 3, 11)


def is_tensor(value: object) -> bool:
    """Whether it is to be made a plain array: it speaks DLPack, or is of a subclass of NumPy's arrays."""
    return type(value) is not np.ndarray and hasattr(value, "__dlpack__")


def as_numpy(name: str, tensor: Any) -> npt.NDArray[Any]:
    """The memory of a tensor, to read; `name` is what errors call it."""
    if isinstance(tensor, np.ndarray):
        return tensor if isinstance(tensor, np.ma.MaskedArray) else np.asarray(tensor)
    _refuse_lazy(name, tensor)
    try:
        device = tensor.__dlpack_device__()[0]
        array = np.from_dlpack(tensor) if device in _IN_REACH else None
    except Exception as cause:  # whatever the other library raises
        raise _refusal(name, tensor, cause) from cause
    if array is None:
        where = getattr(tensor, "device", f"a device of DLPack's type {int(device)}")
        raise error(Status.ERR_UNSUPPORTED, f"{_described(name, tensor)} on {where}, not on the CPU: move it there first")
    if array.size and array.flags.owndata:  # NumPy's own memory, for want of an address: torch's fake tensors have none
        raise error(Status.ERR_UNSUPPORTED, f"{_described(name, tensor)} without memory")
    return array


def to_fill(name: str, tensor: Any) -> npt.NDArray[Any]:
    """The memory of a tensor, to write."""
    array = as_numpy(name, tensor)
    if isinstance(tensor, np.ndarray) or array.ndim == 0:  # which writable_view refuses where it has to
        return array
    try:
        tensor[:0] = tensor[:0]  # changes nothing, where the tensor may be changed; torch's autograd takes note of a change
    except Exception as cause:
        raise error(Status.ERR_VALUE, f"{_described(name, tensor)} that cannot be filled: {cause}") from cause
    if array.flags.writeable:
        return array
    if _says_what_may_be_written(tensor):
        raise error(Status.ERR_VALUE, f"{_described(name, tensor)} that cannot be filled: its memory is marked read-only")
    # Before its version 1 DLPack does not say, and NumPy assumes that memory may not be written.
    return memory(array.__array_interface__["data"][0], array.shape, array.dtype, strides=array.strides, keep=array)


def maker(name: str, tensor: Any) -> Callable[[Any], Any]:
    """What makes a tensor of this kind of an array: `from_dlpack` of its library."""
    libraries = [sys.modules.get(kind.__module__.partition(".")[0]) for kind in type(tensor).__mro__]
    if hasattr(tensor, "__array_namespace__"):
        libraries.insert(0, tensor.__array_namespace__())
    for library in libraries:
        if hasattr(library, "from_dlpack"):
            return library.from_dlpack  # type: ignore[union-attr, no-any-return]
    raise error(Status.ERR_UNSUPPORTED, f"{_described(name, tensor)}, whose library has no from_dlpack to make results with")


def _described(name: str, tensor: object) -> str:
    return f"{name} is a {type(tensor).__module__}.{type(tensor).__name__}"


def _says_what_may_be_written(tensor: Any) -> bool:
    """Whether it hands its memory over with version 1 of DLPack, which NumPy asks for from 2.1 on."""
    if np.lib.NumpyVersion(np.__version__) < "2.1.0":
        return False
    try:
        capsule = tensor.__dlpack__(max_version=(1, 0))
    except TypeError:  # an exporter from before there were versions
        return False
    return '"dltensor_versioned"' in repr(capsule)


def _refuse_lazy(name: str, tensor: Any) -> None:
    """Tensors of torch that are more than their memory, which is all that DLPack hands over."""
    if getattr(tensor, "requires_grad", False):
        advice = f"subquad.torch computes gradients; where none is wanted, give {name}.detach()"
        raise error(Status.ERR_UNSUPPORTED, f"{_described(name, tensor)} that requires grad: {advice}")
    for bit in ("conj", "neg"):
        is_set = getattr(tensor, f"is_{bit}", None)
        if is_set is not None and is_set():
            advice = f"give {name}.resolve_{bit}()"
            raise error(Status.ERR_UNSUPPORTED, f"{_described(name, tensor)} whose {bit} bit is set: {advice}")


def _refusal(name: str, tensor: Any, cause: Exception) -> SubquadError:
    """The error of a tensor that its library or NumPy does not hand over: for its dtype, or for what they say."""
    known = [str(dtype) for dtype in DTYPES]
    dtype = str(getattr(tensor, "dtype", known[0])).rpartition(".")[2]
    if dtype not in known:
        return error(Status.ERR_DTYPE, f"{name} is {dtype}; {ACCEPTED}")
    return error(Status.ERR_UNSUPPORTED, f"{_described(name, tensor)} that DLPack does not hand over: {cause}")
