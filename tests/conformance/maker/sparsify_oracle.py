"""Leverage scores, certificates and selections in longdouble, from an orthonormal basis of the rows of X."""

from dataclasses import dataclass

import numpy as np

import oracle

REAL = oracle.REAL
INDEPENDENT = 1e-9  # of a row scaled to norm 1, what must be left of it once the rows before are projected out


@dataclass
class Whitened:
    """X and what its leverage scores and certificates are made of."""

    x: np.ndarray  # n x d
    v: np.ndarray  # rank x d, orthonormal rows with the span of those of X: column j is the whitened x_j
    condition: float  # of X on its range, rows scaled to norm 1

    @property
    def rank(self):
        return self.v.shape[0]

    @property
    def scores(self):
        return (self.v**2).sum(axis=0)

    @property
    def gram(self):
        return self.x @ self.x.T


def scaled_rows(x):
    norms = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return x / np.where(norms == 0, 1, norms)


def whiten(x):
    """By Gram-Schmidt, every row orthogonalised twice against those before it, the largest remainder first."""
    rows, basis = [row.copy() for row in scaled_rows(x)], []
    while rows:
        largest = max(range(len(rows)), key=lambda i: float(rows[i] @ rows[i]))
        row = rows.pop(largest)
        for _ in range(2):
            for unit in basis:
                row = row - (unit @ row) * unit
        size = np.sqrt(row @ row)
        if size > INDEPENDENT:
            basis.append(row / size)
            rows = [other - (basis[-1] @ other) * basis[-1] for other in rows]
    v = np.array(basis, dtype=REAL).reshape(len(basis), x.shape[1])
    return Whitened(x, v, condition(x, len(basis)))


def condition(x, rank):
    """To double's accuracy, which is enough for a budget."""
    values = np.linalg.svd(scaled_rows(x).astype(np.float64), compute_uv=False) if x.size else np.ones(1)
    return float(values[0] / values[rank - 1]) if rank else 1.0


def eigenvalues(m):
    """Of a small symmetric matrix, by Jacobi rotations."""
    m, n = m.copy(), m.shape[0]
    while n > 1:
        off = np.abs(m - np.diag(np.diag(m)))
        p, q = np.unravel_index(off.argmax(), m.shape)
        if off[p, q] <= np.finfo(REAL).eps * np.abs(m).max():
            break
        theta = (m[q, q] - m[p, p]) / (2 * m[p, q])
        t = (1 if theta >= 0 else -1) / (abs(theta) + np.sqrt(theta**2 + 1))
        c = 1 / np.sqrt(t**2 + 1)
        turn = np.array([[c, t * c], [-t * c, c]], dtype=REAL)
        m[:, [p, q]] = m[:, [p, q]] @ turn
        m[[p, q], :] = turn.T @ m[[p, q], :]
        m[p, q] = m[q, p] = 0  # what rounding leaves there might never end
    return np.diag(m)


def certificate(w, indices, weights):
    """Largest |eigenvalue - 1| of the whitened Y Y'."""
    v = w.v[:, indices]
    return np.abs(eigenvalues((v * weights) @ v.T) - 1).max(initial=0)


def factor(x, indices, weights):
    return np.sqrt(weights) * x[:, indices]
