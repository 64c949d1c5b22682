"""Graphs of tasks, in Dask's own form: a dictionary of keys and tuples (function, arguments)."""

# mypy: allow-untyped-calls
# Dask's methods have no types.
from __future__ import annotations  # signatures show short names

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

Key = tuple[Any, ...]
Tasks = dict[Key, Any]

FAN_IN = 4  # parts that one task joins: each costs memory at that worker, and a smaller number costs rounds


def joined(tasks: Tasks, name: str, parts: Sequence[Key], join: Callable[[list[Any]], Any], number: Iterator[int]) -> Key:
    """The key of all parts joined by a tree, whose shape depends on their number alone: so do the bits of the result."""
    while len(parts) > 1:
        above: list[Key] = []
        for first in range(0, len(parts), FAN_IN):
            some = list(parts[first : first + FAN_IN])
            if len(some) > 1:
                key = (name, next(number))
                tasks[key] = (join, some)
                some = [key]
            above += some
        parts = above
    return parts[0]


def array_of(layers: dict[str, Tasks], made_of: Sequence[da.Array], chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    """The array whose chunks are the tasks of the last layer, which come from those of the layers before it, and these from arrays."""
    graph = HighLevelGraph.merge(*(array.dask for array in made_of))
    below = {layer for array in made_of for layer in array.__dask_layers__()}
    dependencies = dict(graph.dependencies)
    for name in layers:
        dependencies[name] = set(below)
        below.add(name)
    meta = np.empty((0,) * len(chunks), made_of[0].dtype)
    every: dict[str, Any] = {**graph.layers, **layers}
    return da.Array(HighLevelGraph(every, dependencies), name, chunks, meta=meta)
