"""Matrices to sparsify, by seed, and what the library says of them beside the longdouble oracle, each within its budget.

Budgets: round-off from sparsify_budgets; `method` for what is promised always; `chance` for what is random, see `most_failures`."""

import math

import numpy as np
import scipy.sparse
from reference import assert_within, fill

import budgets
import oracle
import sparsify_budgets
import sparsify_oracle

REAL = oracle.REAL
P_FAIL = 1e-9  # of each assertion about something random

DTYPES = [np.float32, np.float64]
METHODS = {"leverage": {"method": "leverage", "columns": 30}, "deterministic": {"method": "deterministic", "columns": 30}}

LAYOUTS = {
    "fortran": np.asfortranarray,
    "stepped": lambda x: np.repeat(np.repeat(x, 3, axis=0), 2, axis=1)[::3, ::2],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "inside a larger array": lambda x: np.pad(x, 2)[2:-2, 2:-2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "fortran, reversed rows": lambda x: np.asfortranarray(x[::-1])[::-1],
}


def generic(n, d, dtype=np.float64, stream=0):
    return fill(stream, n, d, dtype=dtype)


def dependent(n, d, dtype=np.float64):
    """Every third row is the sum of the two before it, exactly, and row 0 comes twice: small whole numbers."""
    x = np.floor(fill(1, n, d, low=-4, high=5))
    x[2::3] = x[1 : n - 1 : 3] + x[0 : n - 2 : 3]
    x[-1] = x[0]
    return x.astype(dtype)


def gaps(n, d, dtype=np.float64):
    """Every other column is zero, and so is a row."""
    x = generic(n, d, dtype)
    x[:, ::2] = 0
    x[n // 2] = 0
    return x


def duplicates(n, d, dtype=np.float64):
    """Each column comes three times."""
    return np.repeat(generic(n, -(-d // 3), dtype), 3, axis=1)[:, :d]


def dominant(n, d, dtype=np.float64):
    """One column dwarfs all others, and so has a leverage score near 1."""
    x = generic(n, d, dtype)
    x[:, d // 3] *= 1000
    return x


def near_duplicates(n, d, dtype=np.float64):
    """Columns that differ from a few others only a little."""
    few = np.tile(generic(n, n + 1, dtype), -(-d // (n + 1)))[:, :d]
    return (few + 1e-3 * generic(n, d, dtype, stream=1)).astype(dtype)


def uneven(n, d, dtype=np.float64):
    """Rows of sizes eight orders of magnitude apart: each is as good as another."""
    return (generic(n, d, dtype) * 10.0 ** np.linspace(-4, 4, n)[:, None]).astype(dtype)


def skewed(n, d, dtype=np.float64):
    """Columns of sizes that fall off."""
    return (generic(n, d, dtype) / np.arange(1, d + 1)).astype(dtype)


KINDS = [generic, dependent, gaps, duplicates, dominant, near_duplicates, uneven, skewed]


def ill_conditioned(n, d):
    """(x, b), x = a b exactly, with a nearly singular and b as good as any: their rows span the same space, so what is said of the
    columns of x must hold of those of b.

    Row i of a holds the powers of 10^5 from 10^(5 i) down to 1: scaled to norm 1, rows differ by 10^-5 and less."""
    b = np.floor(fill(2, n, d, low=-9, high=10))
    a = np.tril(10.0 ** (5 * np.maximum(np.arange(n)[:, None] - np.arange(n), 0)))
    assert (np.abs(a) @ np.abs(b)).max() < 2**53
    return a @ b, b


def sparse(n, d, layout="csc", dtype=np.float64, share=0.2, index_dtype=np.int32, kind="array", stream=3):
    """A sparse matrix of scipy with about that share of its places filled."""
    values = np.where(fill(stream, n, d, low=0, high=1) < share, generic(n, d, dtype), 0).astype(dtype)
    x = getattr(scipy.sparse, f"{layout}_{kind}")(values)
    x.indices, x.indptr = x.indices.astype(index_dtype), x.indptr.astype(index_dtype)
    return x


def whiten(x):
    return sparsify_oracle.whiten(np.asarray(x, dtype=REAL))


def check_scores(x, scores, whitened=None):
    """Exact scores within round-off of the oracle's; they sum to the rank."""
    w = whitened or whiten(x)
    assert scores.dtype == np.float64
    assert scores.shape == x.shape[1:]
    assert_within(scores, w.scores, sparsify_budgets.scores(w, x.dtype), "scores")
    return w


def check_columns(s, x):
    """Indices, weights and y fit together; returns y."""
    indices, weights, y = s.indices, s.weights, s.y
    n, m = s.shape
    assert (indices.dtype, weights.dtype, y.dtype) == (np.int64, np.float64, x.dtype)
    assert (indices.shape, weights.shape, y.shape) == ((m,), (m,), (n, m))
    assert (np.diff(indices) > 0).all()
    assert m == 0 or (indices[0] >= 0 and indices[-1] < x.shape[1])
    assert (weights > 0).all()
    expected = np.sqrt(weights.astype(REAL)) * x[:, indices].astype(REAL)
    # roundoff: a square root and a product in the dtype, each rounded once, and the root to the dtype
    assert_within(y, expected, 3 * budgets.unit(x.dtype) * np.abs(expected).max(initial=0), "y")
    return y


def check_certificate(s, x, whitened=None):
    """epsilon is the oracle's for these columns and weights."""
    w = whitened or whiten(x)
    e = sparsify_oracle.certificate(w, s.indices, s.weights)
    assert s.certificate == "exact"
    assert_within(np.array(s.epsilon), np.array(e), sparsify_budgets.certificate(w, 0, s.shape[1], e, x.dtype), "epsilon")
    assert s.rank == w.rank
    return w


def radius(x):
    return (x.astype(REAL) ** 2).sum(axis=1).max(initial=0)


def most_failures(trials, p, p_fail=P_FAIL):
    """The least count that so many trials, each failing with probability at most p, exceed with probability at most p_fail."""
    tail, count = 1.0, 0
    while True:
        tail -= math.comb(trials, count) * p**count * (1 - p) ** (trials - count)
        if tail <= p_fail:
            return count
        count += 1


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def barrier_bound(c):
    """What the deterministic method promises with c columns per unit of the rank."""
    return 2 * np.sqrt(c) / (c + 1)


#: One call of every kind, for what must not depend on how x is given.
SETTINGS = {
    "leverage": {"columns": 40},
    "eps": {"eps": 0.9},
    "deterministic": {"method": "deterministic", "columns": 40},
    "deterministic eps": {"method": "deterministic", "eps": 0.7},
    "gram": {"method": "gram"},
}


def check_same(s, plain, w):
    """Two results for one matrix that was read in different ways: the same columns, weights of sampling alike to round-off."""
    assert (s.shape, s.rank, s.method, s.dtype) == (plain.shape, plain.rank, plain.method, plain.dtype)
    if s.method == "gram":
        return
    assert (s.indices == plain.indices).all()
    if s.method == "leverage":
        # roundoff: of T and of tau in 1 / (1 - exp(-T tau)), whose logarithm changes by no more than that of T tau; in both results
        relative = 2 * 2 * sparsify_budgets.scores(w, s.dtype) / w.scores[w.scores > 0].min(initial=1)
        assert np.abs(np.log(s.weights / plain.weights)).max(initial=0) <= relative


def check(s, x, settings):
    """What every result must be, for one of SETTINGS. Returns the oracle's x."""
    w = whiten(x)
    assert (s.shape[0], s.rank, s.dtype) == (x.shape[0], w.rank, x.dtype)
    if s.method == "gram":
        assert s.shape[1] == w.rank
        assert s.epsilon <= sparsify_budgets.certificate(w, 0, w.rank, 0, x.dtype)
        return w
    check_certificate(s, x, w)
    assert s.shape[1] <= settings.get("columns", x.shape[1])
    if s.method == "deterministic":
        bound = settings.get("eps") or barrier_bound(settings["columns"] / w.rank)
        assert s.epsilon <= bound + sparsify_budgets.certificate(w, 0, s.shape[1], bound, x.dtype)
    return w
