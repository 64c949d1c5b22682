"""Made-up heads with peaked weights, of kinds that language models have, for `subquad bench`."""

from __future__ import annotations

import numpy as np

from .._arrays import FloatArray
from .._fill import fill_uniform

KINDS = ("local", "heavy", "needles")
HEAVY_KEYS = 12
NEEDLES = 16
#: Uniform in [-a, a] has standard deviation 1/2.
_NOISE = 0.75**0.5
#: Rows that are turned at a time: what NumPy does with them is over before anyone waits for Ctrl-C.
_ROWS = 1 << 14


def heads(n: int, d: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """q, k, v [3, n, d] in float32, d even: near keys weigh most; all queries attend to few keys; few queries look up one far key each."""
    q, k, v = (fill_uniform((len(KINDS), n, d), seed, stream, -_NOISE, _NOISE, np.float32) for stream in range(3))
    rng = np.random.default_rng(seed)
    for head in (KINDS.index("local"), KINDS.index("needles")):
        _add_rotations(q[head])
        _add_rotations(k[head])
    _add_heavy_keys(q[KINDS.index("heavy")], k[KINDS.index("heavy")], rng)
    _add_needles(q[KINDS.index("needles")], k[KINDS.index("needles")], rng)
    return q, k, v


def _add_rotations(rows: FloatArray) -> None:
    """Rows whose inner products depend on the lag alone, and fall with it."""
    n, d = rows.shape
    frequencies = np.geomspace(1, 1e-3, d // 2)
    for first in range(0, n, _ROWS):
        part = rows[first : first + _ROWS]
        angles = np.arange(first, first + len(part))[:, None] * frequencies
        part += 2 * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _add_heavy_keys(q: FloatArray, k: FloatArray, rng: np.random.Generator) -> None:
    n, d = q.shape
    direction = rng.standard_normal(d) / d**0.5
    q += 6 * direction.astype(np.float32)
    k[rng.integers(n, size=HEAVY_KEYS)] += 10 * direction


def _add_needles(q: FloatArray, k: FloatArray, rng: np.random.Generator) -> None:
    """Queries of the second half point to keys of the first."""
    n, d = q.shape
    queries, keys = rng.integers(n // 2, n, size=NEEDLES), rng.integers(max(n // 2, 1), size=NEEDLES)
    q[queries] = 30 * d**0.5 * k[keys] / (k[keys] ** 2).sum(axis=1, keepdims=True)
