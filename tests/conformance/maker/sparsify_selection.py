"""What a sparsifier must come out as: X itself, a factor of X X', what the barriers promise, or the columns that arrive first."""

from dataclasses import dataclass

import numpy as np

import oracle
import philox
import sparsify_budgets
import sparsify_oracle

ARRIVALS = 0x5350415253000003  # stream of the arrival times: docs/math/sparsify.md


@dataclass
class Expected:
    """Of Y: which columns with which weights, or None where that is open; e of the certificate, and Y Y'."""

    indices: np.ndarray | None
    weights: np.ndarray | None
    weight_error: float  # relative, of the largest
    e: oracle.REAL
    e_error: float
    yy: np.ndarray
    yy_error: float


def expected(row, w, dtype):
    return {"itself": itself, "gram": gram, "deterministic": barriers, "sampled": sampled}[row["kind"]](row, w, dtype)


def itself(row, w, dtype):
    d = w.x.shape[1]
    return Expected(np.arange(d), np.ones(d, dtype=oracle.REAL), 0.0, oracle.REAL(0), 0.0, w.gram, 0.0)


def gram(row, w, dtype):
    e_error = sparsify_budgets.certificate(w, 0.0, w.rank, 0.0, dtype)
    return Expected(None, None, 0.0, oracle.REAL(0), e_error, w.gram, sparsify_budgets.gram(w, dtype))


def promise(options, rank):
    """Largest certificate of the deterministic method."""
    if "sparsify_eps" in options:
        return options["sparsify_eps"]
    c = options["sparsify_columns"] / rank
    return 2 * np.sqrt(c) / (c + 1)


def barriers(row, w, dtype):
    e = promise(row["options"], w.rank)
    e_error = e + sparsify_budgets.certificate(w, 0.0, w.x.shape[1], e, dtype)
    yy_error = sparsify_budgets.gram(w, dtype) + e * np.abs(np.diag(w.gram)).max(initial=0)
    return Expected(None, None, 0.0, oracle.REAL(0), e_error, w.gram, yy_error)


def unit_arrivals(count, seed):
    """Of columns at rate 1: -log of uniform numbers of 53 bits, two words each."""
    words = philox.first_words(2 * count, seed, ARRIVALS).astype(np.float64)
    high, low = np.floor(words[0::2] / 2**5), np.floor(words[1::2] / 2**6)
    return -np.log((high * 2**26 + low + 0.5).astype(oracle.REAL) * oracle.REAL(2) ** -53)


def limit(options, rank):
    """Until when columns are kept whose number follows from eps."""
    eps, delta = oracle.REAL(options["sparsify_eps"]), options.get("sparsify_delta", 0.01)
    return np.log(2 * oracle.REAL(rank) / delta) / ((1 + eps) * np.log1p(eps) - eps)


def sampled(row, w, dtype):
    """The columns that arrive first, by exact scores; refuses inputs where round-off might choose others."""
    options, taus = row.get("made", row["options"]), w.scores
    error = sparsify_budgets.scores(w, dtype)
    arrivals = unit_arrivals(taus.size, options.get("seed", 0))
    times = np.where(taus > 0, arrivals / np.where(taus > 0, taus, 1), np.inf)
    order = np.argsort(times, kind="stable")
    if "sparsify_eps" in options:
        end, last = limit(options, w.rank), oracle.REAL(np.inf)
    else:
        m = options["sparsify_columns"]
        end, last = times[order[m]], taus[order[m]]
    kept = np.sort(order[times[order] < end])
    if np.isfinite(end):
        others = (taus > 0) & (times != end)
        near = np.abs(times[others] / end - 1) * np.minimum(taus[others], last)
        assert (near > 4 * error).all(), f"{row['name']}: the choice hangs on round-off"
    weights = -1 / np.expm1(-end * taus[kept])
    weight_error = sparsify_budgets.selection(taus[kept], end, last, error) if np.isfinite(end) else 0.0
    e = sparsify_oracle.certificate(w, kept, weights)
    y = sparsify_oracle.factor(w.x, kept, weights)
    e_error = sparsify_budgets.certificate(w, weight_error, kept.size, e, dtype)
    yy_error = (weight_error + (kept.size + 4) * np.finfo(dtype).eps) * np.abs(y @ y.T).max(initial=0)
    return Expected(kept, weights, float(weight_error), e, e_error, y @ y.T, yy_error)
