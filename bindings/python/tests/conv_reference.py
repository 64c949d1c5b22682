"""Conv bases by seed, the dense matrices they stand for, and results beside the longdouble oracle, each within its budget.

Budgets: `roundoff` of products by transforms, `method` for attention, which is promised in the header."""

import numpy as np
import pytest
import subquad
from reference import assert_within, fill

import budgets
import oracle

METHOD = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-9}  # of attention, times the largest value


def starts_of(n, bases, first=0):
    """`bases` starts spread over the columns from `first` on."""
    return first + np.arange(bases) * (n - first) // max(bases, 1)


def kernels_of(n, bases, *leading, dtype=np.float64, size=2.0, stream=7):
    """Cumulative kernels, logits in [-size, size]."""
    return fill(stream, *leading, bases, n, dtype=dtype, low=-size, high=size)


def make(n, bases, *leading, first=0, dtype=np.float64, size=2.0):
    """A basis with the same starts in every head."""
    starts = np.broadcast_to(starts_of(n, bases, first), (*leading, bases))
    kernels = kernels_of(n, bases, *leading, dtype=dtype, size=size)
    return subquad.ConvBasis(starts=starts, kernels=kernels, cumulative=True)


def dense(starts, kernels):
    """H by its definition, in longdouble: [.., n, n] from starts [.., k] and cumulative kernels [.., k, n]."""
    *leading, bases, n = kernels.shape
    h = np.zeros((*leading, n, n), oracle.REAL)
    for head in np.ndindex(*leading):
        edges = [*starts[head], n]
        for r in range(bases):
            for j in range(edges[r], edges[r + 1]):
                h[*head, j:, j] = kernels[*head, r, : n - j]
    return h


def dense_of(basis):
    return dense(basis.starts, basis.kernels(cumulative=True))


def softmax(h):
    """The weights of causal attention with logits h, and the log of the row sums."""
    n = h.shape[-1]
    logits = np.where(np.tri(n, dtype=bool), h, -np.inf)
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(logits - top)
    sums = weights.sum(axis=-1, keepdims=True)
    return weights / sums, (top + np.log(sums))[..., 0]


def largest(array):
    return np.abs(array).max(initial=0)


def differences(value, step):
    """Slope of a function at 0, and the error of it: see test_backward.test_differences."""
    fine, coarse = ((value(h) - value(-h)) / (2 * h) for h in (step, 2 * step))
    return fine, abs(coarse - fine) / 3 + (2 * step) ** 4


def unit(dtype):
    return budgets.unit(dtype)


def product_roundoff(basis, x):
    """Of H x and H' x, whichever way: each entry is, per segment, a convolution of a kernel with a stretch of x.

    A transform of 2 n entries errs by at most 4 u log2(2 n) relative to its argument's 2-norm, a convolution takes three of them; a sum
    of products has at most as many terms as are worth more than a transform, which costs as many roundings as log2(2 n) stages do."""
    kernels = np.abs(basis.kernels(cumulative=True)).astype(oracle.REAL)
    stages = np.log2(2 * max(basis.n, 2))
    norms = np.sqrt((kernels**2).sum(axis=-1)).sum(axis=-1).max(initial=0)
    vector = np.sqrt((np.abs(x).astype(oracle.REAL) ** 2).sum(axis=-1 if x.ndim == 1 else -2)).max(initial=0)
    return 12 * unit(basis.dtype) * stages * norms * vector


def lse_roundoff(basis, h):
    """Errors of the exponentials and their arguments, of a sum of n positive terms in double, and of the logarithm and its rounding."""
    size, n = np.abs(h).max(initial=0), max(basis.n, 1)
    ends = 2 * budgets.EXP_ERROR + 4 * (size + np.log(n))
    return unit(basis.dtype) * ends + 2 * n * unit(np.float64)


def check_apply(basis, v, **settings):
    """o within the promised bound of the oracle's, lse within round-off; returns both."""
    o, lse = basis.apply(v, return_lse=True, **settings)
    h = dense_of(basis)
    weights, expected_lse = softmax(h)
    group = basis.heads // v.shape[-3] if v.ndim > 2 and v.shape[-3] else basis.heads
    heads = v if v.ndim < 3 else np.repeat(v, group, axis=-3)
    expected = weights @ heads.astype(oracle.REAL)
    assert o.dtype == lse.dtype == v.dtype
    assert o.shape[:-1] == lse.shape
    assert_within(o, expected, METHOD[o.dtype] * np.abs(v).max(initial=0), "o")
    assert_within(lse, expected_lse, lse_roundoff(basis, h), "lse")
    return o, lse


def least_difference(columns):
    """delta: the least l1 distance of two of the columns' first entries [r, T], or of one from zero."""
    all_columns = np.concatenate([np.zeros((1, columns.shape[1])), columns])
    distances = np.abs(all_columns[:, None] - all_columns[None]).sum(axis=-1)
    return float(distances[np.triu_indices(len(all_columns), 1)].min(initial=np.inf))


def pieces(n, bases, *heads, kv_heads=(), d=4, dtype=np.float64, stream=10):
    """Constant queries, and keys constant on `bases` pieces: their logits have a conv basis for any scale and any bilinear form."""
    q = np.repeat(fill(stream, *heads, 1, d, dtype=dtype, low=0.5, high=1.5), n, axis=-2)
    values = fill(stream + 1, *kv_heads, bases, d, dtype=dtype, low=-2, high=2)
    return q, np.repeat(values, np.diff([*starts_of(n, bases), n]), axis=-2)


def recovery(q, k, bases, window=2, scale=None):
    """The options of conv_basis_recover for `pieces`: half of the least delta of any head."""
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    heads = int(np.prod(q.shape[:-2]))
    queries = q.reshape(heads, *q.shape[-2:])
    keys = k.reshape(-1, *k.shape[-2:])
    deltas = []
    for head in range(heads):
        logits = scale * keys[head * len(keys) // heads][starts_of(q.shape[-2], bases)] @ queries[head, 0]
        deltas.append(least_difference(np.repeat(logits[:, None], window, axis=1)))
    return {"bases": bases, "window": window, "delta": min(deltas) / 2}


def check_multiply(basis, x, **settings):
    """H x and H' x within round-off of the dense products."""
    h, wide = dense_of(basis), x.astype(oracle.REAL)
    roundoff = product_roundoff(basis, x)
    y = basis.multiply(x, **settings)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert_within(y, h @ wide, roundoff, "H x")
    transposed = basis.multiply_transposed(x)
    assert_within(transposed, np.swapaxes(h, -1, -2) @ wide, roundoff, "H' x")
    return y


def changed(array, index, value):
    """A copy with one other element."""
    result = array.copy()
    result[index] = value
    return result


def refused(name, words, function, *arguments, **settings):
    """The call fails with the code of this name and a text that matches."""
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        function(*arguments, **settings)
    assert caught.value.name == name, caught.value
