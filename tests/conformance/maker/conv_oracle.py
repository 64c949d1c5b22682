"""Conv bases in longdouble by their definition, as dense matrices: what the header's section 9 says, without any transform."""

from dataclasses import dataclass

import numpy as np

import oracle

REAL = oracle.REAL


@dataclass
class Head:
    """One head: kernels in cumulative form, of which row r has meaning in its first n - starts[r] entries."""

    n: int
    starts: list
    kernels: np.ndarray  # k x n
    errors: np.ndarray  # k x n: how far each entry may be from what the library keeps

    def basis_of_column(self):
        """Number of the basis that holds each column; -1 before the first start."""
        return np.searchsorted(np.array(self.starts, dtype=np.int64), np.arange(self.n), side="right") - 1

    def dense(self, rows=None, outside=0):
        """The matrix of rows[basis][lag] on and below the diagonal, `outside` in columns without a basis, 0 above."""
        rows = self.kernels if rows is None else rows
        basis = self.basis_of_column()
        lags = np.arange(self.n)[:, None] - np.arange(self.n)[None, :]
        matrix = np.full((self.n, self.n), outside, dtype=REAL)
        held = np.broadcast_to(basis >= 0, lags.shape)
        if self.starts:
            matrix = np.where(held, rows[np.maximum(basis, 0)[None, :], np.maximum(lags, 0)], matrix)
        return np.where(lags >= 0, matrix, REAL(0))

    def exp(self, unit):
        """The basis of M * exp(H), with the errors that exp and its argument add."""
        kernels = [np.exp(row) for row in self.kernels]
        errors = [
            values * (np.expm1(error) + unit * (5 + np.abs(row)))
            for values, row, error in zip(kernels, self.kernels, self.errors, strict=True)
        ]
        starts = list(self.starts)
        if self.n and (not starts or starts[0] > 0):
            starts, kernels, errors = [0, *starts], [np.ones(self.n), *kernels], [np.zeros(self.n), *errors]
        shape = (len(starts), self.n)
        return cut(
            Head(self.n, starts, np.array(kernels, dtype=REAL).reshape(shape), np.array(errors, dtype=REAL).reshape(shape))
        )


def cut(head):
    """Zeros where entries have no meaning."""
    for row, start in enumerate(head.starts):
        head.kernels[row, head.n - start :] = head.errors[row, head.n - start :] = 0
    return head


def head_of(starts, kernels, cumulative, unit):
    """From the arguments of subquad_conv_basis_create for one head: sums of increments are rounded at every step."""
    n = kernels.shape[1]
    starts = [int(start) for start in starts if start < n]
    kernels = kernels[: len(starts)].astype(REAL)
    errors = np.zeros_like(kernels)
    if not cumulative:
        steps = np.arange(len(starts))[:, None]
        errors = steps * unit * np.cumsum(np.abs(kernels), axis=0)
        kernels = np.cumsum(kernels, axis=0)
    return cut(Head(n, starts, kernels, errors))


def head_of_matrix(h):
    """The basis with the fewest bases of a lower-triangular matrix."""
    n, starts = h.shape[0], []
    for j in range(n):
        before = h[j - 1 : n - 1, j - 1] if j else np.zeros(n)
        if (h[j:, j] != before).any():
            starts.append(j)
    return head_of_columns(h, starts, np.zeros_like(h))


def head_of_columns(h, starts, errors):
    """The kernels are the matrix's columns at the starts, from the diagonal down."""
    n = h.shape[0]
    kernels, wrong = np.zeros((len(starts), n), dtype=REAL), np.zeros((len(starts), n), dtype=REAL)
    for row, start in enumerate(starts):
        kernels[row, : n - start], wrong[row, : n - start] = h[start:, start], errors[start:, start]
    return Head(n, list(starts), kernels, wrong)


@dataclass
class Attention:
    """Attention with a head's logits: weights that sum to 1 per row, and the logarithm of their sum before."""

    logits: np.ndarray
    weights: np.ndarray
    lse: np.ndarray


def attention(head):
    logits = head.dense()
    seen = np.tri(head.n, dtype=bool)
    top = np.where(seen, logits, -np.inf).max(axis=1, initial=-np.inf)
    raw = np.where(seen, np.exp(np.where(seen, logits - top[:, None], 0)), REAL(0))
    total = raw.sum(axis=1)
    return Attention(logits, raw / total[:, None], top + np.log(total))


@dataclass
class Gradients:
    dq: np.ndarray
    dk: np.ndarray
    dv: np.ndarray
    d_logits: np.ndarray


def backward(weights, q, k, v, d_o, scale):
    """Gradients of sum(o * d_o) where the weights are taken for softmax(scale q k')."""
    o = weights @ v
    d_logits = weights * (d_o @ v.T - (d_o * o).sum(axis=1)[:, None])
    return Gradients(scale * (d_logits @ k), scale * (d_logits.T @ q), weights.T @ d_o, d_logits)
