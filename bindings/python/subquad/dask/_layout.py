"""Chunks of queries, keys and values that fit together: each chunk of queries meets whole chunks of keys."""

# mypy: allow-untyped-calls
# Dask's methods have no types.
from __future__ import annotations  # signatures show short names

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import dask.array as da

#: Which chunk of each dimension.
Place = tuple[int, ...]


def edges(*chunks: Sequence[int]) -> list[int]:
    """Where any of these chunkings of one dimension begins or ends a chunk; two edges at least."""
    found = {0}.union(*(itertools.accumulate(sizes) for sizes in chunks))
    return sorted(found) if len(found) > 1 else [0, 0]


def sizes(cuts: Sequence[int]) -> tuple[int, ...]:
    return tuple(end - start for start, end in itertools.pairwise(cuts))


class Heads(NamedTuple):
    """A common chunking of query heads and key/value heads. `shared[i]` is the chunk of k and v that chunk i of q reads."""

    q: list[int]
    kv: list[int]
    shared: list[int]


def heads(q: Sequence[int], kv: Sequence[Sequence[int]]) -> Heads:
    """Each chunk of query heads lies within one group that shares a key/value head, or holds whole groups."""
    kv_cuts = edges(*kv)
    if not sum(q):
        return Heads([0, 0], [0, kv_cuts[-1]], [0])
    group = sum(q) // kv_cuts[-1]
    cuts = set()
    for start, end in itertools.pairwise(sorted({*edges(q), *(group * cut for cut in kv_cuts)})):
        cuts |= {start, end}
        if start // group != (end - 1) // group:
            cuts |= {-(-start // group) * group, end // group * group}
    q_cuts = sorted(cuts)
    ranges = [(start // group, -(-end // group)) for start, end in itertools.pairwise(q_cuts)]
    distinct = sorted(set(ranges))
    return Heads(q_cuts, [start for start, _ in distinct] + [distinct[-1][1]], [distinct.index(pair) for pair in ranges])


class Layout:
    """q, k and v in chunks that fit, and which pairs of them there are to compute.

    Leading dimensions get the common refinement of the arrays' chunks, with heads cut where their groups ask for it; so do the rows of k
    and v; rows of q stay as they are. The last dimension is one chunk. Empty chunks are left out.
    """

    def __init__(self, q: da.Array, k: da.Array, v: da.Array, offset: int | None, key_offset: int, ranges: Any) -> None:
        """offset: of query 0 where attention is causal, else None. ranges: of visible keys, [batch, 2], or None."""
        self._offset, self._key_offset, self._ranges = offset, key_offset, ranges
        self.q_rows, self.k_rows = edges(q.chunks[-2]), edges(k.chunks[-2], v.chunks[-2])
        self.batch = edges(*(array.chunks[0] for array in (q, k, v))) if q.ndim == 4 else [0, 1]
        self._heads = heads(q.chunks[-3], [k.chunks[-3], v.chunks[-3]]) if q.ndim > 2 else Heads([0, 1], [0, 1], [0])
        self.q = self.as_queries(q)
        self.k, self.v = self._in_chunks(k, self._heads.kv, self.k_rows), self._in_chunks(v, self._heads.kv, self.k_rows)

    def as_queries(self, array: da.Array) -> da.Array:
        """An array shaped like q, or like o, in chunks of queries."""
        return self._in_chunks(array, self._heads.q, self.q_rows)

    def lse_chunks(self) -> tuple[tuple[int, ...], ...]:
        """The chunks of lse."""
        chunks: tuple[tuple[int, ...], ...] = self.q.chunks[:-1]
        return chunks

    def _in_chunks(self, array: da.Array, head_cuts: list[int], rows: list[int]) -> da.Array:
        lead = [self.batch, head_cuts][4 - array.ndim :] if array.ndim > 2 else []
        result: da.Array = array.rechunk((*map(sizes, lead), sizes(rows), array.shape[-1:]))
        return result

    def query_places(self) -> Iterator[Place]:
        """Every chunk of queries, its leading dimensions and rows."""
        return itertools.product(*(range(len(chunk)) for chunk in self.lse_chunks()))

    def key_lead(self, place: Place) -> Place:
        """The leading dimensions of the chunks of k and v that a chunk of queries reads."""
        return (*place[:-2], self._heads.shared[place[-2]]) if len(place) > 1 else ()

    def key_parts(self, place: Place) -> list[int]:
        """The chunks of key rows of which a chunk of queries sees anything."""
        first, last = self.q_rows[place[-1]], self.q_rows[place[-1] + 1] - 1
        return [
            part
            for part, (start, end) in enumerate(itertools.pairwise(self.k_rows))
            if first <= last and start < end and self._sees(place, last, start + self._key_offset, end + self._key_offset)
        ]

    def ranges(self, place: Place) -> Any:
        """The key ranges of a chunk's batch elements."""
        return None if self._ranges is None else self._ranges[self._batch_of(place)].copy()

    def _sees(self, place: Place, last: int, start: int, end: int) -> bool:
        """Whether queries up to the last see any of the positions from start to before end."""
        if self._offset is not None and last + self._offset < start:
            return False
        if self._ranges is None:
            return True
        low, high = self._ranges[self._batch_of(place)].T
        return bool((low.clip(start, end) < high.clip(start, end)).any())

    def _batch_of(self, place: Place) -> slice:
        which = place[0] if len(place) == 3 else 0
        return slice(self.batch[which], self.batch[which + 1])
