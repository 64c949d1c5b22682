"""Reproducible numbers for tests, the same in every language."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ._arrays import FloatArray
from ._constants import Status
from ._errors import error
from ._library import raw
from ._outputs import Outputs
from ._scalars import integer, real
from ._tensors import Kind, takes_tensors


@overload
def fill_uniform(
    shape: int | Iterable[int], seed: int, stream: int, low: float, high: float, dtype: npt.DTypeLike, *, out: None = None
) -> FloatArray: ...
@overload
def fill_uniform(
    shape: int | Iterable[int], seed: int, stream: int, low: float, high: float, dtype: npt.DTypeLike, *, out: Kind
) -> Kind: ...
@takes_tensors
def fill_uniform(
    shape: int | Iterable[int], seed: int, stream: int, low: float, high: float, dtype: npt.DTypeLike, *, out: Any = None
) -> Any:
    """A new array of numbers in [low, high) that are a pure function of (seed, stream, position).

        x[i] = low + (high - low) w / 2^24,   w the top 24 bits of word i mod 4 of Philox4x32-10(counter = (i / 4, stream), key = seed),

    for element number i in row-major order, rounded to the dtype. The same on every machine and in every language of the library.

    shape: 1 to 4 extents. seed, stream: 0 .. 2^64 - 1. low <= high, both finite. dtype: float32 or float64. out: an array of this shape and
    dtype to fill and return, with any strides.

    Raises `SubquadError`: ERR_VALUE, ERR_SHAPE, ERR_DTYPE, ERR_TYPE, ERR_STRIDE, ERR_SIZE, ERR_MEMORY.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC11, section 3.3.

    >>> import subquad
    >>> subquad.fill_uniform(3, seed=1, stream=0, low=-1, high=1, dtype="float64").dtype
    dtype('float64')
    """
    key = [integer(name, value, 0, 2**64 - 1) for name, value in (("seed", seed), ("stream", stream))]
    limits = [real(name, value) for name, value in (("low", low), ("high", high))]
    try:
        kind = np.dtype(dtype)
    except TypeError as cause:
        raise error(Status.ERR_DTYPE, f"dtype is {dtype!r}, not a dtype") from cause
    extents = _extents(shape)
    with Outputs(out, kind, {"x": extents}) as filled:
        x = filled.results(None)
        if x.shape != extents:
            raise error(Status.ERR_SHAPE, f"out has shape {x.shape}, not {extents} as shape says")
        if x.dtype != kind:
            raise error(Status.ERR_DTYPE, f"out is {x.dtype}, not {kind} as dtype says")
        raw.subquad_fill_uniform(*filled.views, *key, *limits)
        return x


def _extents(shape: int | Iterable[int]) -> tuple[int, ...]:
    extents = tuple(integer("shape", extent) for extent in (shape if isinstance(shape, Iterable) else [shape]))
    if any(extent < 0 for extent in extents):
        raise error(Status.ERR_SHAPE, f"x has shape {extents} with a negative extent")
    return extents
