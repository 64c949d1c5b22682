"""Budgets of conv bases: what the header promises (method), or round-off of transforms where that is less. Derivation: ../README.md."""

import numpy as np

import budgets
import conv_oracle

PROMISE = {"float32": 1e-4, "float64": 1e-9}  # of attention, times the largest value: capi/subquad.h, section 9
NARROW = 4  # range of logits within which one transform serves every row
BLOCK = 32  # the fewest rows of a block: the promise of the transposed form adds up over blocks
LEVEL = 5  # of a level of a transform, in u: a rounded twiddle factor, a complex product, a sum
LEAST_LEVELS = 12  # of the transforms of a block, whatever n


def transforms(head, rows, x, unit):
    """Bound of the errors of the entries of sum_r conv(rows[r]) x[segment r], computed by transforms."""
    levels = max(LEAST_LEVELS, int(np.ceil(np.log2(max(head.n, 1)))) + 2)
    each = unit * (3 * LEVEL * levels + 4)
    basis, total = head.basis_of_column(), np.zeros(x.shape[1])
    for r, row in enumerate(rows):
        total += np.abs(row).sum() * np.sqrt((x[basis == r].astype(float) ** 2).sum(axis=0))
    return 2 * np.sqrt(2) * each * total.max(initial=0)


def transposed_transforms(head, rows, x, unit):
    """The same for every r: conv(rows[r])' x, of which a segment's rows are taken."""
    whole = conv_oracle.Head(head.n, [0], head.kernels[:1], head.errors[:1])
    return max((transforms(whole, row[None, :], x, unit) for row in rows), default=0)


def multiply(head, x, unit, transposed=False):
    """Of H x or H' x. Sums of n products come on top, for what is computed without transforms."""
    sizes, errors = np.abs(head.dense()), head.dense(head.errors)
    if transposed:
        sizes, errors = sizes.T, errors.T
    through = (transposed_transforms if transposed else transforms)(head, head.kernels, x, unit)
    return (errors @ np.abs(x) + (head.n + 4) * unit * (sizes @ np.abs(x))).max(initial=0) + through


def weight_error(logit_errors, logits, unit, rescalings=0):
    """Logarithm of the factor by which a weight may be wrong: that of its logit, of the exponential, and of its argument."""
    seen = np.tri(logits.shape[0], dtype=bool)
    size = np.where(seen, np.abs(logits), 0)
    reach = size.max(initial=0) * 2
    every = (1 + rescalings) * (budgets.EXP_ERROR + 1)
    return np.where(seen, logit_errors + unit * (every + 2 * (size + reach)), 0)


def is_narrow(head, a):
    seen = np.tri(head.n, dtype=bool)
    return np.ptp(a.logits[seen]) <= NARROW if head.n else True


def scaled_weights(head, a):
    """Kernels exp(B - top), a column without a basis counted as one of zeros, and every row's sum of them."""
    top = a.logits[np.tri(head.n, dtype=bool)].max(initial=0)
    padded = head
    if head.n and (not head.starts or head.starts[0] > 0):
        zeros = np.zeros((1, head.n))
        padded = conv_oracle.Head(head.n, [0, *head.starts], np.vstack([zeros, head.kernels]), np.vstack([zeros, head.errors]))
    kernels = np.exp(padded.kernels - top)
    for row, start in enumerate(padded.starts):
        kernels[row, head.n - start :] = 0
    return padded, kernels, np.exp(a.lse - top)


def sum_error(head, a, unit):
    """Relative, of a row's sum of weights, where it is computed by transforms too."""
    padded, kernels, sums = scaled_weights(head, a)
    return transforms(padded, kernels, np.ones((head.n, 1)), unit) / sums


def apply(head, a, v, dtype):
    """Bounds of o and lse of one head."""
    unit = budgets.unit(dtype)
    o_bound = PROMISE[dtype] * np.abs(v).max(initial=0)
    worst = weight_error(head.dense(head.errors), a.logits, unit)
    if is_narrow(head, a) and head.n:
        padded, kernels, sums = scaled_weights(head, a)
        o = np.abs(a.weights @ v).max(axis=1, initial=0)
        drift = 2 * ((a.weights * np.expm1(worst)) @ np.abs(v)).max(axis=1, initial=0)
        direct = 2 * (head.n + 4) * unit * (a.weights @ np.abs(v)).max(axis=1, initial=0)
        o_bound = min(
            o_bound, (transforms(padded, kernels, v, unit) / sums + o * sum_error(head, a, unit) + drift + direct).max()
        )
    keys = np.arange(1, head.n + 1)
    lse_bound = worst.max(axis=1, initial=0) + (keys + 4) * unit + budgets.EXP_ERROR * unit * np.log(keys)
    lse_bound = lse_bound + 4 * unit * (np.abs(a.lse) + np.log(keys))
    return o_bound + np.expm1(2 * head.errors.max(initial=0)) * np.abs(v).max(initial=0), lse_bound.max(initial=0)


def fit(head, q, k, scale, dtype):
    """Of the logits that a fit gives, but for a constant per row, where q and k have the head's basis up to their rounding. Alternating
    least squares leave no larger sum of squares than there was: the deviations of the logits, of their means over lags by transforms
    in double, and of six roundings of a kernel, in every pair."""
    size = abs(scale) * np.sqrt((q.astype(float) ** 2).sum(axis=0)) @ np.sqrt((k.astype(float) ** 2).sum(axis=0))
    levels = max(LEAST_LEVELS, int(np.ceil(np.log2(head.n))) + 2)
    of_means = 2 * np.sqrt(2) * (3 * LEVEL * levels + 4) * budgets.unit("float64") * size
    of_kernels = 6 * budgets.unit(dtype) * np.abs(head.kernels).max()
    deviation = logits(q, k, scale, dtype).max() + of_means + of_kernels
    return float(np.sqrt(head.n * (head.n + 1) / 2) * deviation)


def blocks_sum(x):
    """Sum over blocks of each one's largest |x|."""
    return sum(np.abs(x[first : first + BLOCK]).max(initial=0) for first in range(0, x.shape[0], BLOCK))


def apply_transposed(head, a, x, dtype):
    """y = P' x, which a logit's error changes in proportion too."""
    unit = budgets.unit(dtype)
    bound = PROMISE[dtype] * blocks_sum(x)
    sizes = a.weights.T @ np.abs(x)
    if is_narrow(head, a) and head.n:
        padded, kernels, sums = scaled_weights(head, a)
        relative = (
            2 * weight_error(head.dense(head.errors), a.logits, unit).max(initial=0)
            + sum_error(head, a, unit).max()
            + 2 * (head.n + 4) * unit
        )
        through = transposed_transforms(padded, kernels, x / sums[:, None], unit)
        bound = min(bound, through + np.expm1(relative) * sizes.max(initial=0))
    return bound + np.expm1(2 * head.errors.max(initial=0)) * sizes.max(initial=0)


def row_gradients(head, v, d_o, dtype):
    """Of rows of dS, in the l1 norm, for each |k| or |v| <= 1 that they meet: three applies by their promise, the logits' errors by
    |dS~[i,:] - dS[i,:]|_1 <= 6 tanh(e) |d_o[i,:]|_1 max|v|, and sums in the dtype."""
    unit = budgets.unit(dtype)
    sums = 4 * unit * (head.n + sum(v.shape) + 8)
    return np.abs(d_o).sum(axis=1) * np.abs(v).max(initial=0) * (6 * np.tanh(head.errors.max(initial=0)) + 2 * sums)


def gradients(head, a, q, k, v, d_o, scale, dtype):
    """Of d_v + 1 applies to d columns each; o, in rowsum(d_o * o), errs as any apply does."""
    promise, largest_v = PROMISE[dtype], np.abs(v).max(initial=0)
    flow = np.abs(d_o).sum(axis=1) * largest_v
    rows = row_gradients(head, v, d_o, dtype)
    dq = abs(scale) * ((rows + 3 * promise * flow) * np.abs(k).max(initial=0)).max(initial=0)
    delta = (np.abs(d_o) * np.abs(a.weights @ v)).sum(axis=1) + promise * flow
    channels = sum(largest_v * blocks_sum(d_o[:, c : c + 1] * q) for c in range(v.shape[1]))
    through = promise * (channels + blocks_sum(delta[:, None] * q))
    of_delta = promise * (a.weights.T @ (flow[:, None] * np.abs(q))).max(initial=0)
    dk = abs(scale) * (through + of_delta + (rows[:, None] * np.abs(q)).sum(axis=0).max(initial=0))
    return {"dq": dq, "dk": dk, "dv": apply_transposed(head, a, d_o, dtype)}


def logits(q, k, scale, dtype, bias=0.0):
    """Errors of the logits of one head: inner products of d terms, scaled, shifted by a bias."""
    return (q.shape[1] + 4) * budgets.unit(dtype) * abs(scale) * (np.abs(q) @ np.abs(k).T) + 3 * budgets.unit(dtype) * np.abs(
        bias
    )
