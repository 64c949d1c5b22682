"""Checks of arguments before anything is computed: what a task would refuse on a worker is refused here, by name."""

from __future__ import annotations  # signatures show short names

import math
from typing import Any

import dask.array as da
import numpy as np

from .._column_blocks import FLOATS
from .._constants import Status
from .._errors import error
from .._forward import attention
from .._scalars import integer
from .._settings import as_key_ranges


def dask_array(name: str, array: object) -> da.Array:
    """The array itself, where it is one whose chunks the library can read; `name` is what errors call it."""
    if array is None:
        raise error(Status.ERR_NULL, f"{name} is None, not a dask.array.Array")
    if not isinstance(array, da.Array):
        kind = f"{type(array).__module__}.{type(array).__name__}"
        raise error(Status.ERR_DTYPE, f"{name} is a {kind}, not a dask.array.Array; dask.array.from_array makes one")
    if not isinstance(array._meta, np.ndarray) or isinstance(array._meta, np.ma.MaskedArray):
        raise error(Status.ERR_DTYPE, f"{name} has chunks of {type(array._meta).__name__}, not numpy.ndarray")
    if array.dtype not in FLOATS:
        known = ", ".join(str(known) for known in FLOATS)
        raise error(Status.ERR_DTYPE, f"{name} is {array.dtype.str}, not one of {known}")
    if any(math.isnan(extent) for extent in array.shape):
        raise error(Status.ERR_SHAPE, f"{name} has chunks of unknown sizes, {array.chunks}; compute_chunk_sizes() finds them")
    return array


def same_dtype(first: str, **arrays: da.Array) -> None:
    """Whether all have the dtype of the one named first."""
    wanted = arrays[first].dtype
    for name, array in arrays.items():
        if array.dtype != wanted:
            raise error(Status.ERR_DTYPE, f"{name} is {array.dtype}, not {wanted} as {first}")


def has_shape(name: str, array: da.Array, shape: tuple[int, ...], why: str) -> None:
    if array.shape != shape:
        raise error(Status.ERR_SHAPE, f"{name} has shape {array.shape}, not {shape} to fit {why}")


def attention_arrays(q: object, k: object, v: object) -> tuple[da.Array, da.Array, da.Array]:
    """q, k and v, whose shapes and dtypes fit together."""
    queries, keys, values = (dask_array(name, array) for name, array in (("q", q), ("k", k), ("v", v)))
    same_dtype("q", q=queries, k=keys, v=values)
    if not 2 <= queries.ndim <= 4:
        raise error(Status.ERR_SHAPE, f"q has {queries.ndim} dimensions, not 2 to 4")
    for name, array in (("k", keys), ("v", values)):
        if array.ndim != queries.ndim:
            raise error(Status.ERR_SHAPE, f"{name} has {array.ndim} dimensions, q has {queries.ndim}")
    d = queries.shape[-1]
    if d == 0:
        raise error(Status.ERR_SHAPE, f"q has shape {queries.shape}: d, its last extent, is 0")
    has_shape("k", keys, (*queries.shape[:-3], *keys.shape[-3:-1], d), "q (same batch and d)")
    has_shape("v", values, (*keys.shape[:-1], values.shape[-1]), "k (same batch, heads and n_k)")
    if queries.ndim > 2:
        heads, shared = queries.shape[-3], keys.shape[-3]
        if heads % shared if shared else heads:
            raise error(Status.ERR_SHAPE, f"q has {heads} heads, not a multiple of the {shared} heads of k")
    return queries, keys, values


def first_position(q: da.Array, k: da.Array, causal: object, causal_offset: int | None) -> int:
    """causal_offset, as `attention` takes it where it is left out."""
    if causal_offset is not None:
        return causal_offset
    n_q, n_k = q.shape[-2], k.shape[-2]
    if causal and n_q != n_k:
        raise error(
            Status.ERR_CONFLICT,
            f"causal_offset is unset, but n_q = {n_q} and n_k = {n_k} differ: say where query 0 stands (0: with key 0; {n_k - n_q}: the "
            "last query with the last key)",
        )
    return 0


def ranges_of(key_ranges: Any, batch: int) -> Any:
    """key_ranges as an int64 array [batch, 2], or None."""
    ranges = as_key_ranges(key_ranges)
    if ranges is None:
        return None
    if not isinstance(ranges, np.ndarray) or ranges.dtype != np.int64:
        raise error(Status.ERR_DTYPE, f"key_ranges is {getattr(ranges, 'dtype', type(ranges).__name__)}, not int64")
    if ranges.shape not in {(1, 2), (batch, 2)}:
        wanted = f"(1, 2) or ({batch}, 2) (start and end per batch element)"
        raise error(Status.ERR_SHAPE, f"key_ranges has shape {ranges.shape}, not {wanted}")
    for at in (ranges[:, 0] > ranges[:, 1]).nonzero()[0][:1]:
        raise error(Status.ERR_VALUE, f"key_ranges[{at}] is {tuple(ranges[at].tolist())}: start is beyond end")
    return np.broadcast_to(ranges, (batch, 2))


def try_settings(dtype: Any, threads: object, **settings: Any) -> None:
    """Whether `attention` takes these keyword arguments: a problem of one query and one key tells before any worker is asked."""
    one = np.zeros((1, 1, 1, 1), dtype)
    attention(one, one, one, threads=integer("threads", threads, lowest=1), **settings)
