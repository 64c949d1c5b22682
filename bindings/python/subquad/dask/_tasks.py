"""What workers run. Each is a call of the library on NumPy arrays, which stand in one chunk each."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .._arrays import FloatArray
from .._backward import attention_backward
from .._errors import SubquadError, error
from .._forward import attention
from .._merge import merge


class Part(NamedTuple):
    """Attention of some queries over some keys."""

    o: FloatArray
    lse: FloatArray


def _aligned(*arrays: FloatArray) -> list[FloatArray]:
    """What came over the network, or back from a disk, may begin at any byte."""
    return [np.require(array, requirements=["ALIGNED"]) for array in arrays]


@contextmanager
def _placing(where: str) -> Iterator[None]:
    """Errors name elements by their place in a chunk: let them say in which."""
    try:
        yield
    except SubquadError as failure:
        raise error(failure.code, f"{where}: {failure.message}") from None


def _place(q: FloatArray, k: FloatArray, first_query: int, first_key: int) -> str:
    queries, keys = f"{first_query} .. {first_query + q.shape[-2] - 1}", f"{first_key} .. {first_key + k.shape[-2] - 1}"
    return f"in the chunk of queries {queries} and keys {keys}, counted from its first"


class Call:
    """A call with the settings that all chunks share; each chunk adds where it begins."""

    def __init__(self, offset: int, key_offset: int, settings: dict[str, Any]) -> None:
        self._offset, self._key_offset, self._settings = offset, key_offset, settings

    def positions(self, first_query: int, first_key: int) -> dict[str, Any]:
        return self._settings | {"causal_offset": self._offset + first_query, "key_offset": self._key_offset + first_key}


class Forward(Call):
    def __call__(self, q: Any, k: Any, v: Any, ranges: Any, first_query: int, first_key: int) -> Part:
        with _placing(_place(q, k, first_query, first_key)):
            settings = self.positions(first_query, first_key)
            return Part(*attention(*_aligned(q, k, v), key_ranges=ranges, return_lse=True, **settings))


class Backward(Call):
    def __call__(
        self, q: Any, k: Any, v: Any, o: Any, lse: Any, d_o: Any, ranges: Any, first_query: int, first_key: int
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        with _placing(_place(q, k, first_query, first_key)):
            settings = self.positions(first_query, first_key)
            dq, dk, dv, _ = attention_backward(*_aligned(q, k, v, o, lse, d_o), key_ranges=ranges, **settings)
            return dq, dk, dv


class Join:
    """Parts over different keys as the part over all of them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __call__(self, parts: Sequence[Part]) -> Part:
        o_parts, lse_parts = zip(*parts, strict=True)
        return Part(*merge(_aligned(*o_parts), _aligned(*lse_parts), threads=self._threads))


def nothing(shape: tuple[int, ...], dtype: Any) -> Part:
    """What queries get that see no key."""
    return Part(np.zeros(shape, dtype), np.full(shape[:-1], -np.inf, dtype))


def total(parts: Sequence[FloatArray]) -> FloatArray:
    """The sum of two parts or more."""
    result = parts[0] + parts[1]
    for part in parts[2:]:
        result += part
    return result
