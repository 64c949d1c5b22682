"""The model on a text, twice: with exact attention, where every head is also approximated and compared, and with the approximation."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from . import engine
from .forward import Tokens, hidden_states, perplexity
from .measured import Head, Measured
from .weights import Floats, Weights

#: A layer's q, k and v.
Layer: TypeAlias = tuple[Floats, Floats, Floats]

# Rows of the call that comes before all that is timed: threads start, memory is fetched.
_WARM_ROWS = 256


def measure(
    weights: Weights, tokens: Tokens, into: Measured, keep: Collection[int], step: Callable[[], object]
) -> dict[int, Layer]:
    """Heads, seconds and perplexities go into `into`. Returns q, k and v of the layers to keep. step is called twice per layer."""
    kept: dict[int, Layer] = {}

    def compare(layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        if layer in keep:
            kept[layer] = q, k, v
        if layer == 0:
            warm = slice(_WARM_ROWS)
            _attend_all(q[:, warm], k[:, warm], v[:, warm], Measured(into.source, _WARM_ROWS, into.tol), layer)
        o = _attend_all(q, k, v, into, layer)
        step()
        return o

    def approximate(_layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        o, _ = engine.auto(q, k, v, tol=into.tol)
        step()
        return o

    for name, attention in (("exact", compare), ("auto", approximate)):
        into.perplexity[name] = perplexity(weights, tokens, hidden_states(weights, tokens, attention))
    return kept


def _attend_all(q: Floats, k: Floats, v: Floats, into: Measured, layer: int) -> Floats:
    """One layer by every method. Returns the exact output."""
    contenders: list[tuple[str, Callable[[], Any]]] = [
        ("exact", lambda: engine.exact(q, k, v)),
        ("auto", lambda: engine.auto(q, k, v, tol=into.tol)),
    ]
    if engine.has_torch():
        contenders.append(("torch", lambda: engine.torch_attention(q, k, v)))
    # Each comes first in turn: for a moment after a matrix product, NumPy's threads still wait for more on the processors.
    turn = layer % len(contenders)
    results = {}
    for name, call in contenders[turn:] + contenders[:turn]:
        start = time.perf_counter()
        results[name] = call()
        into.seconds[name] = into.seconds.get(name, 0.0) + time.perf_counter() - start
    o: Floats = results["exact"]
    approximate, reports = results["auto"]
    errors = engine.relative_errors(approximate, o)
    into.heads += [Head(layer, head, *found) for head, found in enumerate(zip(reports, errors, strict=True))]
    return o
