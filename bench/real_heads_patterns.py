"""Fixed patterns at the time that the library takes: errors of windows, verticals and slashes, and blocks on the model's heads.

A pattern's budget is a share of the causal pairs, and its time is taken to be that share of exact attention's: as if it chose what to
keep at no cost, and ran at exact attention's rate. Each is given what it could not know: verticals and slashes come from the whole
attention matrix, and their split is the best of three for each head; blocks are ranked by the scores of mean queries and keys.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
from real_heads_model import Model, one_head
from subquad.demo import engine
from subquad.demo.forward import hidden_states

LENGTH = 4096
LAYER_STRIDE = 10
TOLERANCES = (0.2, 0.1, 0.05)
SINKS = 4
BLOCK = 64
SPLITS = (0.25, 0.5, 0.75)

Errors = dict[tuple[str, float], list[float]]


def rows(model: Model) -> list[dict[str, str]]:
    """First the library's errors and times at each tolerance, then each pattern's at the same times."""
    layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def kept(layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        if layer % LAYER_STRIDE == 0:
            layers.append((q, k, v))
        return engine.exact(q, k, v)

    hidden_states(model.weights, model.tokens(LENGTH), kept)
    errors, shares = _library(layers)
    for q, k, v in layers:
        for head in range(len(q)):
            _patterns(*(x[0] for x in one_head(head, q, k, v)), shares, errors)
    return [
        {
            "time / exact": f"{shares[tol]:.3f}",
            "attention": f"auto, tol {tol:g}" if method == "auto" else method,
            "error: median": f"{np.median(found):.4f}",
            "95 %": f"{np.quantile(found, 0.95):.4f}",
            "worst": f"{max(found):.4f}",
        }
        for (method, tol), found in sorted(errors.items(), key=lambda item: -item[0][1])
    ]


def _library(layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[Errors, dict[float, float]]:
    """Errors, and the share of exact attention's time, by tolerance."""
    errors: Errors = {}
    seconds = dict.fromkeys(("exact", *TOLERANCES), 0.0)
    for q, k, v in layers:
        start = time.perf_counter()
        reference = engine.exact(q, k, v)
        seconds["exact"] += time.perf_counter() - start
        for tol in TOLERANCES:
            start = time.perf_counter()
            o, _ = engine.auto(q, k, v, tol=tol)
            seconds[tol] += time.perf_counter() - start
            errors.setdefault(("auto", tol), []).extend(engine.relative_errors(o, reference))
    return errors, {tol: seconds[tol] / seconds["exact"] for tol in TOLERANCES}


def _patterns(q: np.ndarray, k: np.ndarray, v: np.ndarray, shares: dict[float, float], errors: Errors) -> None:
    """Every pattern at every budget on one head."""
    n, d = q.shape
    weights = (q @ k.T) / np.float32(np.sqrt(d))
    weights[np.triu_indices(n, 1)] = -np.inf
    weights = np.exp(weights - weights.max(axis=1, keepdims=True))
    reference = (weights @ v) / weights.sum(axis=1, keepdims=True)

    def error(mask: np.ndarray) -> float:
        some = weights * mask
        o = (some @ v) / np.maximum(some.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return float(np.linalg.norm(o - reference) / np.linalg.norm(reference))

    probabilities = weights / weights.sum(axis=1, keepdims=True)
    choices: dict[str, Callable[[float], Iterator[np.ndarray]]] = {
        "window and sinks": lambda share: _window(n, share),
        "verticals and slashes": lambda share: _vertical_slash(probabilities, share),
        "blocks": lambda share: _blocks(q, k, share),
    }
    for tol, share in shares.items():
        for name, masks in choices.items():
            errors.setdefault((name, tol), []).append(min(map(error, masks(min(share, 1.0)))))


def _window(n: int, share: float) -> Iterator[np.ndarray]:
    """The last keys of each query and the first of all. A window of w keys has about n w - w^2 / 2 pairs."""
    lags = np.subtract.outer(np.arange(n), np.arange(n))
    width = n * (1 - np.sqrt(1 - share))
    yield (lags < width) | (np.arange(n) < SINKS)


def _vertical_slash(probabilities: np.ndarray, share: float) -> Iterator[np.ndarray]:
    """The columns and the diagonals that hold most, each within its part of the budget."""
    n = len(probabilities)
    lags = np.subtract.outer(np.arange(n), np.arange(n))
    columns = probabilities.sum(axis=0)
    diagonals = np.bincount(lags[lags >= 0], probabilities[lags >= 0], n)
    # A column j and a diagonal of lag j have n - j pairs each.
    pairs = n - np.arange(n)
    budget = share * n * (n + 1) / 2
    for split in SPLITS:
        vertical = _most(columns, pairs, split * budget)
        # Columns have taken some pairs of each diagonal already: those at keys 0 .. n - 1 - lag.
        left = pairs - np.cumsum(vertical)[::-1]
        slash = _most(diagonals, np.maximum(left, 1), budget - pairs[vertical].sum())
        slash[0] = True
        yield vertical[None, :] | slash[np.maximum(lags, 0)]


def _most(gain: np.ndarray, cost: np.ndarray, budget: float) -> np.ndarray:
    """Which to take, the largest gain per cost first, until the budget is spent."""
    order = np.argsort(-gain / cost)
    taken = np.zeros(len(gain), bool)
    taken[order[np.cumsum(cost[order]) <= budget]] = True
    return taken


def _blocks(q: np.ndarray, k: np.ndarray, share: float) -> Iterator[np.ndarray]:
    """Blocks of 64 by 64 by the scores of their means; the diagonal and the first are always kept."""
    count = len(q) // BLOCK
    means = [x.reshape(count, BLOCK, -1).mean(axis=1) for x in (q, k)]
    scores = means[0] @ means[1].T
    scores[np.triu_indices(count, 1)] = -np.inf
    scores[np.arange(count), np.arange(count)] = scores[:, 0] = np.inf
    kept = np.zeros((count, count), bool)
    for row in range(count):
        # As many of the row's blocks as the budget's share of them, and at least one.
        most = max(1, round(share * (row + 1)))
        kept[row, np.argsort(-scores[row, : row + 1])[:most]] = True
    yield np.kron(kept, np.ones((BLOCK, BLOCK), bool))
