"""Functions of NumPy arrays, for tensors of any library that speaks DLPack."""

from __future__ import annotations  # signatures show short names

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np

from ._dlpack import as_numpy, is_tensor, maker, to_fill


class Tensor(Protocol):
    """An array that speaks DLPack: a numpy.ndarray, a torch.Tensor, a jax.Array, and so on.

    It has `__dlpack_device__` too, which JAX's types do not say.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def dtype(self) -> Any: ...
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...


P = ParamSpec("P")
R = TypeVar("R")
#: The kind of arrays that a call takes and returns. NumPy's types may count dimensions too: that of an lse then has one too many.
Kind = TypeVar("Kind", bound=Tensor)


def takes_tensors(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of NumPy arrays take tensors on the CPU, and lists or tuples of them, without copies.

    The arrays that it returns are of the kind of the first argument that is an array; what was given as `out` comes back itself.
    """
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def taken(*args: P.args, **kwargs: P.kwargs) -> R:
        for value in (*args, *kwargs.values()):
            if type(value) not in _PLAIN and _holds_tensor(value):
                result: R = _call(function, names, args, kwargs)
                return result
        return function(*args, **kwargs)

    return taken


#: What most arguments are: not to be asked more about, for the sake of short calls.
_PLAIN = {np.ndarray, NoneType, bool, int, float, str}


def _holds_tensor(value: object) -> bool:
    return any(map(is_tensor, value)) if isinstance(value, list | tuple) else is_tensor(value)


def _call(*call: Any) -> Any:
    """`_call_with_arrays`, which torch.compile leaves out of its graphs: while it makes one, tensors have no memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.compiler.is_compiling():
        return torch.compiler.disable(_call_with_arrays)(*call)
    return _call_with_arrays(*call)


def _call_with_arrays(function: Callable[..., Any], names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call with arrays in place of tensors, and its results as tensors."""
    given = dict(zip(names, args, strict=False)) | kwargs
    make = _maker_of_first({name: given[name] for name in names if name in given and name != "out"})
    out: dict[int, object] = {}  # what was given, by the array that the function fills

    def array(name: str, value: Any) -> Any:
        if not name.startswith("out"):
            return as_numpy(name, value) if is_tensor(value) else value
        filled = to_fill(name, value) if is_tensor(value) else value
        out[id(filled)] = value
        return filled

    def arrays(name: str, value: Any) -> Any:
        if isinstance(value, list | tuple) and (name == "out" or _holds_tensor(value)):
            items = (array(f"{name}[{i}]", item) for i, item in enumerate(value))
            return list(items) if isinstance(value, list) else tuple(items)
        return array(name, value)

    positional = [arrays(name, value) for name, value in zip(names, args, strict=False)]
    keywords = {name: arrays(name, value) for name, value in kwargs.items()}
    return _as_given(function(*positional, *args[len(names) :], **keywords), out, make)


def _as_given(result: Any, out: Mapping[int, object], make: Callable[[Any], Any]) -> Any:
    """What was given as out in place of the arrays that were filled, and tensors in place of new ones."""
    if isinstance(result, np.ndarray):
        return out[id(result)] if id(result) in out else make(result)
    if isinstance(result, tuple):
        items = [_as_given(item, out, make) for item in result]
        return type(result)(*items) if hasattr(result, "_fields") else tuple(items)
    return result


def _maker_of_first(arguments: Mapping[str, Any]) -> Callable[[Any], Any]:
    """What makes results of the kind of the first array among the arguments of a call."""
    for name, value in arguments.items():
        first = value[0] if isinstance(value, list | tuple) and value else value
        if is_tensor(first) and not isinstance(first, np.ndarray):
            return maker(name, first)
        if isinstance(first, np.ndarray):
            break
    return lambda array: array
