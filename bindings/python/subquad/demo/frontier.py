"""Error against time on the heads of a few layers: the library at several tolerances, and a fixed window with sinks at several widths."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from functools import partial

import numpy as np

from . import engine
from .measured import FrontierPoint
from .weights import Floats
from .whole_model import Layer

TOLERANCES = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
WIDTHS = (64, 128, 256, 512, 1024)


def contenders() -> Iterable[tuple[str, str, Callable[[Floats, Floats, Floats], Floats]]]:
    """(method, setting, attention)."""
    for tol in TOLERANCES:
        yield "auto", f"tol {tol:g}", partial(_output, tol)
    for width in WIDTHS:
        yield "window and sinks", f"{width}", partial(engine.window, width=width)


def trace(layers: Collection[Layer], step: Callable[[], object]) -> list[FrontierPoint]:
    """Times are shares of exact attention's, measured beside each. step is called once per contender."""
    points = []
    for method, setting, attention in contenders():
        seconds, exact_seconds = 0.0, 0.0
        errors: list[float] = []
        for q, k, v in layers:
            start = time.perf_counter()
            o = attention(q, k, v)
            middle = time.perf_counter()
            reference = engine.exact(q, k, v)
            seconds += middle - start
            exact_seconds += time.perf_counter() - middle
            errors += engine.relative_errors(o, reference)
        median, high = np.quantile(errors, (0.5, 0.95))
        points.append(FrontierPoint(method, setting, seconds / exact_seconds, float(median), float(high)))
        step()
    return points


def _output(tol: float, q: Floats, k: Floats, v: Floats) -> Floats:
    return engine.auto(q, k, v, tol=tol)[0]
