"""Round-off budgets of leverage scores and sparsifiers. Derivation: ../README.md."""

import numpy as np

import budgets

DISTORTION = 0.5  # of lengths by a sketch
SKETCHED = (1 / (1 + DISTORTION) ** 2, 1 / (1 - DISTORTION) ** 2)  # a score by a sketch over the exact one


def per_row(shape, unit):
    """Relative error of a row of X that accounts for all errors of a QR factor of X': n reflections of vectors of d entries, each an inner
    product and an update, and n more for a solve with the factor."""
    n, d = shape
    return n * (2 * d + 7) * unit


def projection(w, dtype):
    """Of the whitened columns, all together: the rows' errors against the least singular value, which is at least 1/condition."""
    return np.sqrt(max(w.x.shape[0], 1)) * per_row(w.x.shape, budgets.unit(dtype)) * w.condition


def scores(w, dtype):
    p = projection(w, dtype)
    return 2 * p + p**2 + (w.rank + 2) * budgets.unit(dtype)


def certificate(w, weight_error, width, e, dtype):
    """weight_error: relative, of the largest; width: columns of Y."""
    p, unit = projection(w, dtype), budgets.unit(dtype)
    spread = (1 + e) * (1 + weight_error) * (1 + p) ** 2 - (1 + e)
    return spread + (width + w.rank + 4) * w.rank * unit * (1 + e)


def gram(w, dtype):
    """Entries of Y Y' where Y is the QR factor's transpose."""
    largest = np.abs(np.diag(w.gram)).max(initial=0)
    relative = per_row(w.x.shape, budgets.unit(dtype)) + 2 * budgets.unit(dtype)
    return largest * ((1 + relative) ** 2 - 1)


def selection(taus, time, last, error):
    """Relative error of the weights 1 / (1 - exp(-z)), z = time tau, where scores err by `error` and time is an exponential over the score
    `last`: d log weight = -z / (e^z - 1) d log z."""
    z = time * taus
    return (z / np.expm1(z) * (error / taus + error / last)).max(initial=0)


def logits(x, scale, gram_error, unit):
    """Of a logit scale <y_i, y_j>: that of Y Y', and of the sum of m products."""
    largest = (x**2).sum(axis=1).max(initial=0)
    return abs(scale) * (gram_error + (x.shape[1] + 4) * unit * largest)
