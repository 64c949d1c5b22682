"""Time against length, far beyond what the model reads at once, on its own queries, keys and values.

The text is read in pieces, each at its place in the whole: within a piece the model attends to that piece, and rope turns queries and
keys by their places in the whole. What one head has of all pieces together is then as long as the text, nowhere repeated, and has the
statistics of the model's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from . import engine
from .forward import Tokens, hidden_states
from .measured import GrowthPoint, Head
from .weights import Floats, Weights
from .whole_model import Layer

PIECE = 2048
# PyTorch is left out beyond, for time's sake.
LONGEST_TORCH = 32768


def typical_heads(heads: Sequence[Head], layers: int) -> list[tuple[int, int]]:
    """(layer, head) of those in the first layers that computed as many pairs as a quarter, a half and three quarters of them do at most."""
    ordered = sorted((head for head in heads if head.layer < layers), key=lambda head: head.report.computed)
    chosen = (ordered[len(ordered) * quarter // 4] for quarter in (1, 2, 3))
    return [(head.layer, head.head) for head in chosen]


def long_heads(weights: Weights, tokens: Tokens, wanted: Sequence[tuple[int, int]], step: Callable[[], object]) -> Layer:
    """q, k and v of the heads wanted, each [heads wanted, n, d], of all tokens. step is called once per piece."""
    shape = (len(wanted), len(tokens), weights.shape.dimension)
    q, k, v = (np.empty(shape, np.float32) for _ in range(3))
    group = weights.shape.heads // weights.shape.kv_heads
    for first in range(0, len(tokens), PIECE):
        part = slice(first, first + PIECE)

        def attention(layer: int, layer_q: Floats, layer_k: Floats, layer_v: Floats, part: slice = part) -> Floats:
            for place, (wanted_layer, head) in enumerate(wanted):
                if layer == wanted_layer:
                    q[place, part] = layer_q[head]
                    k[place, part], v[place, part] = layer_k[head // group], layer_v[head // group]
            return engine.exact(layer_q, layer_k, layer_v)

        hidden_states(weights, tokens[part], attention, first=first, layers=1 + max(layer for layer, _ in wanted))
        step()
    return q, k, v


def lengths(longest: int) -> list[int]:
    """Doublings of a piece, up to longest."""
    return [PIECE << doubling for doubling in range((longest // PIECE).bit_length())]


def measure(heads: Layer, tol: float, step: Callable[[], object]) -> Iterator[GrowthPoint]:
    """Seconds per head at each length. step is called once per length."""
    for n in lengths(heads[0].shape[1]):
        q, k, v = (x[:, :n] for x in heads)
        contenders: dict[str, Callable[[], object]] = {
            "auto": partial(engine.auto, q, k, v, tol=tol),
            "exact": partial(engine.exact, q, k, v),
        }
        if engine.has_torch() and n <= LONGEST_TORCH:
            contenders["torch"] = partial(engine.torch_attention, q, k, v)
        for method, call in contenders.items():
            start = time.perf_counter()
            call()
            yield GrowthPoint(method, n, (time.perf_counter() - start) / len(q))
        step()
