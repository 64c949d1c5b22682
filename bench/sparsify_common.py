"""What the sparsify benches share: matrices, whitening and scores by their definitions, and one number of threads for every BLAS."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import scipy.linalg
import scipy.sparse
import subquad
from threadpoolctl import threadpool_limits

MIB = 2**20
BLOCK = 1 << 15  # columns converted to float64 at a time


@contextmanager
def clock(threads: int) -> Iterator[Callable[[], float]]:
    """Every BLAS of this process with so many threads, and what to time with: one thread by its own processor time."""
    with threadpool_limits(threads):
        yield time.thread_time if threads == 1 else time.perf_counter


def skewed(n: int, d: int, dtype: str, seed: int, order: str = "C") -> np.ndarray:
    """Columns of widely different norms, and rows too: leverage scores differ by factors of hundreds."""
    shape = (n, d) if order == "C" else (d, n)
    filled = subquad.fill_uniform(shape, seed, 0, -1.0, 1.0, dtype=np.dtype(dtype))
    x = filled if order == "C" else filled.T
    x *= np.exp(np.random.default_rng(seed).standard_normal(d)).astype(dtype)
    x *= np.exp(np.linspace(0, 3, n))[:, None].astype(dtype)
    return x


def sparse(n: int, d: int, density: float, dtype: str, seed: int) -> scipy.sparse.csc_array:
    """CSC: every entry is there with the probability `density`, whatever the others; columns of different norms."""
    random = np.random.default_rng(seed)
    counts, indices, values = [], [], []
    for first in range(0, d, BLOCK):
        width = min(BLOCK, d - first)
        most = int(n * width * density + 10 * np.sqrt(n * width * density) + 10)
        places = np.cumsum(random.geometric(density, most)) - 1
        places = places[: np.searchsorted(places, n * width)]
        counts.append(np.bincount(places // n, minlength=width))
        indices.append((places % n).astype(np.int32))
        norms = np.exp(random.standard_normal(width, np.float32))
        values.append((random.standard_normal(len(places), np.float32) * np.repeat(norms, counts[-1])).astype(dtype))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32)
    return scipy.sparse.csc_array((np.concatenate(values), np.concatenate(indices), offsets), shape=(n, d))


def block(x: np.ndarray | scipy.sparse.csc_array, first: int) -> np.ndarray:
    """The columns from `first` on in float64."""
    some = x[:, first : first + BLOCK]
    return (some if isinstance(some, np.ndarray) else some.toarray()).astype(np.float64)


def exact_scores(x: np.ndarray | scipy.sparse.csc_array, last: int | None = None) -> np.ndarray:
    """Leverage scores of the first columns in float64, by the Gram matrix: right for the well-conditioned x of these benches."""
    d = x.shape[1]
    gram = sum(some @ some.T for some in (block(x, first) for first in range(0, d, BLOCK)))
    factor = np.linalg.cholesky(gram)
    parts = []
    for first in range(0, d if last is None else last, BLOCK):
        white = scipy.linalg.solve_triangular(factor, block(x, first), lower=True, overwrite_b=True, check_finite=False)
        parts.append(np.einsum("ij,ij->j", white, white))
    return np.concatenate(parts)[:last]


def whitened(x: np.ndarray) -> np.ndarray:
    """V [rank, d] with V V' = 1 and the range of x': what a sparsifier is measured on."""
    q, r = np.linalg.qr(x.T.astype(np.float64))
    u, s, _ = np.linalg.svd(r)
    return (q @ u[:, s > 1e-10 * s[0]]).T


def measured_epsilon(v: np.ndarray, indices: np.ndarray, weights: np.ndarray) -> float:
    """e of weighted columns, by the whitened matrix they are of."""
    chosen = v[:, indices] * np.sqrt(weights)
    return float(np.abs(np.linalg.eigvalsh(chosen @ chosen.T) - 1).max())
