"""Heads of the kinds that models have, by seed, and how far from exact attention a result is. Budgets: `method` for what tol promises,
`chance` for how many heads or intervals may miss it."""

import numpy as np
import scipy.stats
import subquad

D = 64
SLACK = 1.25  # true error over tol that is promised of 95 % of heads
P_MISS = 0.05
P_FAIL = 1e-3  # of a test, were its seed drawn anew


def noise(seed, stream, *shape, dtype=np.float32):
    """Independent, of mean 0 and variance 1."""
    return subquad.fill_uniform(shape, seed=seed, stream=stream, low=-np.sqrt(3), high=np.sqrt(3), dtype=dtype)


def rotations(n, d=D):
    """Rows whose inner products depend on the lag alone and fall with it."""
    angles = np.arange(n)[:, None] * np.geomspace(1, 1e-3, d // 2)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def local(seed, n, d=D):
    """Near keys weigh most: logits of about 16 at lag 0, with noise."""
    near = 2 * rotations(n, d)
    return near + 0.5 * noise(seed, 0, n, d), near + 0.5 * noise(seed, 1, n, d)


def heavy(seed, n, d=D):
    """A few keys that all queries attend to."""
    direction = noise(seed, 2, d) / np.sqrt(d)
    q, k = 0.5 * noise(seed, 0, n, d), 0.5 * noise(seed, 1, n, d)
    columns = np.unique(np.concatenate([[0], np.arange(1, 12) * (n // 17) + seed % 13]))
    k[columns] += 10 * direction
    return q + 6 * direction, k


def needles(seed, n, d=D):
    """A local head, of which some queries attend to one far key each."""
    q, k = local(seed, n, d)
    rows = n - 1 - np.arange(12) * (n // 40)
    keys = 7 + seed % 5 + np.arange(12) * (n // 60)
    q[rows] = 30 * np.sqrt(d) * k[keys] / (k[keys] ** 2).sum(axis=1, keepdims=True)  # a logit of 30, of all others far less
    return q, k


def diffuse(seed, n, d=D):
    """Every key weighs about the same."""
    return 0.5 * noise(seed, 0, n, d), 0.5 * noise(seed, 1, n, d)


KINDS = [local, heavy, needles, diffuse]


def head(kind, seed, n, d=D, dtype=np.float32):
    """q, k, v of one head."""
    q, k = kind(seed, n, d)
    return q.astype(dtype), k.astype(dtype), noise(seed, 3, n, d, dtype=dtype)


def heads(n, seeds=1, kinds=KINDS, first_seed=100, **settings):
    """Heads of each kind, so many of each: q, k, v of [heads, n, d]."""
    made = [head(kind, first_seed + seed, n, **settings) for seed in range(seeds) for kind in kinds]
    return tuple(np.stack(arrays) for arrays in zip(*made, strict=True))


def exact(q, k, v, *, tol=None, budget=None, estimate=None, parts=None, strict_causal=False, seed=0, **settings):
    """Exact attention where a call with these settings would not be."""
    return subquad.attention(q, k, v, **settings)


def errors(o, reference):
    """|o - reference|_F / |reference|_F of each head."""
    o, reference = o.astype(np.float64), reference.astype(np.float64)
    return (np.linalg.norm(o - reference, axis=(-2, -1)) / np.linalg.norm(reference, axis=(-2, -1))).ravel()


def chance(trials, p=P_MISS):
    """So many of the trials may miss: more do with probability P_FAIL at most where each misses with probability p."""
    return int(scipy.stats.binom.ppf(1 - P_FAIL, trials, p))


def listed(value):
    """A report's value of each head, where one head's is not a list."""
    return value if isinstance(value, list) else [value]


def approximated(report):
    """Which heads are not exact."""
    return np.array([parts != "exact" for parts in listed(report["parts"])])
