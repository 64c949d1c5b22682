"""Attention time of all heads of the model against exact attention and PyTorch's, one thread and two; and far beyond its length."""

import statistics
import time
from collections.abc import Callable

import numpy as np
from common import alternate
from conv_common import exact_rows, sampled_rows
from real_heads_model import Model
from subquad.demo import engine
from subquad.demo.forward import hidden_states
from subquad.demo.growth import long_heads

LENGTH = 8192
REPEATS = 3
LONG = 32768
LONGEST = 131072
GROWTH_HEADS = [(layer, head) for layer in (2, 7, 12, 17, 22, 27) for head in (1, 4, 7)]
ERROR_ROWS = 128


def rows(model: Model, tolerances: tuple[float, ...]) -> list[dict[str, str]]:
    """All 270 heads: per layer the contenders take turns; sums over the layers of medians."""
    sums: dict[tuple[int, str], float] = {}

    def timed(_layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        for threads in (1, 2):
            contenders: dict[str, Callable[[], object]] = {
                "exact": lambda threads=threads: engine.exact(q, k, v, threads),
                "torch": lambda threads=threads: engine.torch_attention(q, k, v, threads),
            }
            for tol in tolerances:
                contenders[f"tol {tol:g}"] = lambda tol=tol, threads=threads: engine.auto(q, k, v, threads, tol=tol)
            for name, seconds in alternate(contenders, 0, REPEATS).items():
                sums[threads, name] = sums.get((threads, name), 0) + statistics.median(seconds)
        return engine.exact(q, k, v)

    hidden_states(model.weights, model.tokens(LENGTH), timed)
    return [
        {
            "threads": str(threads),
            "attention": name,
            "seconds": f"{seconds:.2f}",
            "exact / this": f"{sums[threads, 'exact'] / seconds:.2f}",
            "torch / this": f"{sums[threads, 'torch'] / seconds:.2f}",
        }
        for (threads, name), seconds in sums.items()
    ]


def long_rows(model: Model, tolerances: tuple[float, ...]) -> list[dict[str, str]]:
    """32,768 tokens, the model run past its length. A head's time is its share, by the report's seconds, of its layer's."""
    exact: list[float] = []
    auto: dict[float, list[tuple[float, bool]]] = {tol: [] for tol in tolerances}

    def timed(_layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        o = engine.exact(q, k, v)
        exact.append(time.perf_counter() - start)
        for tol, mine in auto.items():
            start = time.perf_counter()
            _, reports = engine.auto(q, k, v, tol=tol)
            per_second = (time.perf_counter() - start) / sum(report.seconds for report in reports)
            mine += [(report.seconds * per_second, report.all_pairs) for report in reports]
        return o

    hidden_states(model.weights, model.tokens(LONG), timed)
    # Exact attention does the same work for every head.
    a_head = sum(exact) / (model.weights.shape.layers * model.weights.shape.heads)
    return [
        {"tol": f"{tol:g}", **_long_row(a_head, np.array([d for d, _ in mine]), np.array([not s for _, s in mine]))}
        for tol, mine in auto.items()
    ]


def _long_row(exact: float, auto: np.ndarray, counted: np.ndarray) -> dict[str, str]:
    return {
        "heads": str(len(auto)),
        "exact / auto": f"{exact * len(auto) / auto.sum():.2f}",
        "heads neither exact nor screened": str(int(counted.sum())),
        "their exact / auto": f"{exact * counted.sum() / auto[counted].sum():.2f}" if counted.any() else "-",
        "slowest head: auto / exact": f"{auto.max() / exact:.2f}",
    }


def growth_rows(model: Model, tolerances: tuple[float, ...]) -> list[dict[str, str]]:
    """time(131072) / time(32768) of heads from all depths, on text read in pieces; errors on sampled rows, against float64."""
    heads = long_heads(model.weights, model.tokens(LONGEST), GROWTH_HEADS, lambda: None)
    found = []
    for tol in tolerances:
        times, counted, errors = np.zeros((2, len(GROWTH_HEADS))), np.ones(len(GROWTH_HEADS), bool), []
        for place in range(len(GROWTH_HEADS)):
            for column, n in enumerate((LONG, LONGEST)):
                q, k, v = (x[place : place + 1, :n] for x in heads)
                start = time.perf_counter()
                o, (report,) = engine.auto(q, k, v, tol=tol)
                times[column, place] = time.perf_counter() - start
                counted[place] &= not report.all_pairs
            chosen = sampled_rows(LONGEST, ERROR_ROWS, place)
            reference = exact_rows(q[0], k[0], v[0], chosen)
            errors.append(np.linalg.norm(o[0, chosen] - reference) / np.linalg.norm(reference))
        found.append(
            {
                "tol": f"{tol:g}",
                "heads": str(len(GROWTH_HEADS)),
                "growth": f"{times[1].sum() / times[0].sum():.2f}",
                "heads neither exact nor screened": str(int(counted.sum())),
                "their growth": f"{times[1, counted].sum() / times[0, counted].sum():.2f}" if counted.any() else "-",
                f"seconds a head at {LONG}, {LONGEST}": "{:.3f}, {:.3f}".format(*times.mean(axis=1)),
                f"error on {ERROR_ROWS} rows at {LONGEST}: median, worst": f"{np.median(errors):.4f}, {max(errors):.4f}",
            }
        )
    return found
