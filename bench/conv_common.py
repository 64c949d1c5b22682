"""What the conv-basis benches share: queries and keys whose logits have a conv basis, and attention's rows by its definition."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import subquad

WINDOW = 32  # entries that recovery compares
KEYS = 1 << 16  # converted to float64 at a time


@dataclass
class Structured:
    """A problem with a conv basis, and what recovery has to know of it."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    starts: np.ndarray
    delta: float

    def recover(self, threads: int = 1) -> subquad.ConvBasis:
        return subquad.conv_basis_recover(
            self.q, self.k, bases=len(self.starts), window=WINDOW, delta=self.delta, threads=threads
        )


def structured(n: int, bases: int, seed: int, d: int = 64, largest: float = 5.0) -> Structured:
    """One query and a key per segment, turned by rotary positions: logits are functions of the lag and the key's segment, in ±largest."""
    random = np.random.default_rng(seed)
    frequencies = 10000.0 ** (-np.arange(d // 2) / (d // 2))
    query, *keys = random.normal(size=(bases + 1, d // 2)) + 1j * random.normal(size=(bases + 1, d // 2))
    starts = np.concatenate([[0], np.sort(random.choice(np.arange(1, n - WINDOW), bases - 1, replace=False))])
    lags = np.unique(np.concatenate([np.arange(min(n, 2048)), random.integers(0, n, 2048)]))
    waves = np.exp(1j * np.outer(lags, frequencies))
    kernels = np.array([(waves @ (query * key.conj())).real for key in keys]) / np.sqrt(d)
    factors = largest / np.abs(kernels).max(axis=1)
    heads = np.concatenate([np.zeros((1, WINDOW)), kernels[:, :WINDOW] * factors[:, None]])
    delta = min(np.abs(heads[r] - heads[s]).sum() for r in range(1, bases + 1) for s in range(r))

    q, k = np.empty((n, d), np.float32), np.empty((n, d), np.float32)
    key_of = np.array(keys) * factors[:, None]
    for first in range(0, n, KEYS):
        rows = np.arange(first, min(first + KEYS, n))
        turn = np.exp(1j * np.outer(rows, frequencies))
        segment = np.searchsorted(starts, rows, side="right") - 1
        for array, numbers in ((q, query * turn), (k, key_of[segment] * turn)):
            array[rows, 0::2], array[rows, 1::2] = numbers.real, numbers.imag
    v = subquad.fill_uniform((n, d), seed, 2, -1.0, 1.0, dtype=np.float32)
    return Structured(q, k, v, starts, 0.9 * float(delta))


def sampled_rows(n: int, count: int, seed: int) -> np.ndarray:
    """Rows spread over all lengths, the last among them."""
    return np.unique(np.append(np.random.default_rng(seed).integers(0, n, count - 1), n - 1))


def attention_rows(logits_of: Callable[[int], np.ndarray], v: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of causal attention in float64. logits_of(i): the logits of row i, keys 0 .. i."""
    out = np.zeros((len(rows), v.shape[1]))
    for place, i in enumerate(rows):
        logits = logits_of(int(i))
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        for first in range(0, i + 1, KEYS):
            last = min(first + KEYS, i + 1)
            out[place] += weights[first:last] @ v[first:last].astype(np.float64)
    return out


def exact_rows(q: np.ndarray, k: np.ndarray, v: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of causal attention with logits q k' / sqrt(d), in float64."""

    def logits(i: int) -> np.ndarray:
        query = q[i].astype(np.float64) / np.sqrt(q.shape[1])
        parts = [k[first : min(first + KEYS, i + 1)].astype(np.float64) @ query for first in range(0, i + 1, KEYS)]
        return np.concatenate(parts)

    return attention_rows(logits, v, rows)


def kernel_rows(starts: np.ndarray, kernels: np.ndarray, v: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of causal attention with the logits of a conv basis in cumulative form, in float64."""
    ends = np.append(starts[1:], kernels.shape[1])

    def logits(i: int) -> np.ndarray:
        row = np.zeros(i + 1)
        for start, end, kernel in zip(starts, np.minimum(ends, i + 1), kernels, strict=True):
            if start < end:
                row[start:end] = kernel[i - end + 1 : i - start + 1][::-1]
        return row

    return attention_rows(logits, v, rows)


def kernel_columns(starts: np.ndarray, kernels: np.ndarray, x: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Rows `keys` of the transposed product, y = A' D^-1 x, with the logits of a conv basis in cumulative form, in float64."""
    n = kernels.shape[1]
    basis = subquad.ConvBasis(starts=starts, kernels=kernels.astype(np.float64), cumulative=True)
    _, lse = basis.apply(np.zeros((n, 1)), return_lse=True)  # sums of the rows: accurate to round-off whatever the logits are
    out = np.empty((len(keys), x.shape[1]))
    for place, j in enumerate(keys):
        kernel = kernels[np.searchsorted(starts, j, side="right") - 1]
        out[place] = np.exp(kernel[: n - j].astype(np.float64) - lse[j:]) @ x[j:].astype(np.float64)
    return out
