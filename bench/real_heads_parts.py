"""What each part of the method costs and buys: time and errors with it and without it, on the model's heads."""

import time

import numpy as np
from real_heads_model import Model
from subquad.demo import engine
from subquad.demo.forward import hidden_states

LENGTH = 8192
LAYER_STRIDE = 3
PARTS = ("heavy", "selection", "centroids", "conv", "screening")


def choices() -> dict[str, tuple[str, ...]]:
    """Which parts may be used: all, all but one, one alone, none."""
    without = {f"without {part}": tuple(other for other in PARTS if other != part) for part in PARTS}
    return {"all": PARTS} | without | {f"{part} alone": (part,) for part in PARTS} | {"window alone": ()}


def rows(model: Model, tolerances: tuple[float, ...]) -> list[dict[str, str]]:
    """Sums over every third layer's heads."""
    seconds: dict[tuple[str, float], float] = {}
    errors: dict[tuple[str, float], list[float]] = {}
    heads: dict[tuple[str, float], list[engine.HeadReport]] = {}
    exact = 0.0

    def compared(layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        nonlocal exact
        o = engine.exact(q, k, v)
        if layer % LAYER_STRIDE:
            return o
        start = time.perf_counter()
        engine.exact(q, k, v)
        exact += time.perf_counter() - start
        for tol in tolerances:
            for name, parts in choices().items():
                start = time.perf_counter()
                approximate, reports = engine.auto(q, k, v, tol=tol, parts=parts)
                seconds[name, tol] = seconds.get((name, tol), 0.0) + time.perf_counter() - start
                errors.setdefault((name, tol), []).extend(engine.relative_errors(approximate, o))
                heads.setdefault((name, tol), []).extend(reports)
        return o

    hidden_states(model.weights, model.tokens(LENGTH), compared)
    return [
        {
            "tol": f"{tol:g}",
            "parts in use": name,
            "time / exact": f"{spent / exact:.3f}",
            "pairs computed": f"{100 * np.mean([report.share for report in heads[name, tol]]):.1f} %",
            "error: median, worst": f"{np.median(errors[name, tol]):.4f}, {max(errors[name, tol]):.4f}",
            "heads exact": _count(heads[name, tol], "exact"),
            **{f"with {part}": _count(heads[name, tol], part) for part in ("screened", *PARTS[:-1])},
        }
        for (name, tol), spent in seconds.items()
    ]


def _count(heads: list[engine.HeadReport], part: str) -> str:
    return str(sum(part in report.parts for report in heads))
