"""Tensors as the arrays of the library: which are taken, and the four dimensions [batch, heads, n, d] without copies."""

from __future__ import annotations  # signatures show short names

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy.typing as npt
import torch

from .._constants import Status
from .._errors import error

_broadcast_shapes: Callable[..., Iterable[int]] = torch.broadcast_shapes  # which has no types
_DTYPES = (torch.float32, torch.float64)


class Heads(NamedTuple):
    """query, key and value of four dimensions, and the leading dimensions that the output has."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    leading: tuple[int, ...]


def ndarray(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """A view of the tensor's memory."""
    return tensor.detach().numpy()


def tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    """A tensor in the array's memory."""
    return torch.from_numpy(array)


def check_tensor(name: str, value: object) -> None:
    """A dense tensor in this machine's memory; `name` is what errors call it."""
    if not isinstance(value, torch.Tensor):
        raise error(Status.ERR_TYPE, f"{name} is a {type(value).__module__}.{type(value).__name__}, not a torch.Tensor")
    if value.device.type != "cpu":
        raise error(
            Status.ERR_UNSUPPORTED, f"{name} is on device {value.device}: subquad computes on the CPU only; move it with .cpu()"
        )
    if value.is_nested or value.layout is not torch.strided:
        kind = "nested" if value.is_nested else f"of layout {value.layout}"
        raise error(Status.ERR_UNSUPPORTED, f"{name} is {kind}: only dense tensors are served")


def check_inputs(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
    """One dtype that the library has, and extents that fit."""
    tensors = {"query": query, "key": key, "value": value}
    for name, given in tensors.items():
        check_tensor(name, given)
        if given.dtype not in _DTYPES:
            hint = "; convert it with .float()" if given.dtype.is_floating_point else ""
            raise error(Status.ERR_DTYPE, f"{name} is {given.dtype}, not torch.float32 or torch.float64{hint}")
        if given.dtype != query.dtype:
            raise error(Status.ERR_DTYPE, f"{name} is {given.dtype}, but query is {query.dtype}")
        if given.dim() < 2:
            raise error(Status.ERR_SHAPE, f"{name} has {given.dim()} dimensions, not 2 or more")
    if query.shape[-1] != key.shape[-1]:
        raise error(Status.ERR_SHAPE, f"key has rows of {key.shape[-1]} numbers, but query of {query.shape[-1]}")
    if key.shape[-2] != value.shape[-2]:
        raise error(Status.ERR_SHAPE, f"value has {value.shape[-2]} rows, but key has {key.shape[-2]}")


def as_heads(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, enable_gqa: bool) -> Heads:
    """Views [batch, heads, n, d]; leading dimensions are broadcast as SDPA does it, but for grouped heads, which stay fewer."""
    tensors = {"query": query, "key": key, "value": value}
    shapes = [tuple(given.shape[:-2]) for given in tensors.values()]
    if enable_gqa:
        _check_groups(*shapes)
        batches = _broadcast([shape[:-1] for shape in shapes])
        heads, kv_heads = shapes[0][-1], shapes[1][-1]
        leading = (*batches, heads)
    else:
        leading = _broadcast(shapes)
        if len(leading) < 2:  # one dimension is a batch: masks may differ along it
            batches, heads, kv_heads = leading, 1, 1
            tensors = {name: given.unsqueeze(-3) for name, given in tensors.items()}
        else:
            batches, heads = leading[:-1], leading[-1]
            kv_heads = (
                1 if all(shape[-1:] in ((), (1,)) for shape in shapes[1:]) else heads
            )  # one for all is grouped, not repeated
    counts = {"query": heads, "key": kv_heads, "value": kv_heads}
    q, k, v = (_four_dimensions(name, given, (*batches, counts[name])) for name, given in tensors.items())
    return Heads(q, k, v, leading)


def _check_groups(q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...]) -> None:
    if not (q and k and v):
        raise error(Status.ERR_SHAPE, "enable_gqa needs tensors with heads: [.., heads, n, d]")
    if k[-1] != v[-1]:
        raise error(Status.ERR_UNSUPPORTED, f"value has {v[-1]} heads, but key has {k[-1]}: subquad needs as many of both")
    if q[-1] != k[-1] and (k[-1] == 0 or q[-1] % k[-1]):
        raise error(Status.ERR_SHAPE, f"query has {q[-1]} heads, not a multiple of the {k[-1]} of key and value")


def _broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    q, k, v = shapes
    if q == k == v:
        return q
    try:
        return tuple(_broadcast_shapes(q, k, v))
    except RuntimeError:
        grouped = "; grouped heads need enable_gqa=True" if len({len(q), len(k), len(v)}) == 1 else ""
        raise error(
            Status.ERR_SHAPE, f"query, key and value have leading dimensions {q}, {k} and {v}, which do not broadcast{grouped}"
        ) from None


def _four_dimensions(name: str, given: torch.Tensor, leading: tuple[int, ...]) -> torch.Tensor:
    shape = (*leading, *given.shape[-2:])
    expanded = given if given.shape == shape else given.expand(shape)
    if len(shape) == 4:
        return expanded
    try:
        return expanded.view(math.prod(leading[:-1]), *shape[-3:])
    except RuntimeError:
        raise error(
            Status.ERR_STRIDE,
            f"{name} of shape {tuple(given.shape)} and strides {given.stride()} has leading dimensions that cannot be joined without a "
            "copy; make one with .contiguous(), after .expand() where it is broadcast",
        ) from None
