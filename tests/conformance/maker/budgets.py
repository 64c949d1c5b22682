"""Round-off budgets: how far a correct computation in the case's dtype may stray from the oracle. Derivation: ../README.md.

u is the unit round-off of the dtype. Bounds are absolute and per entry; a case's budget is the largest of its entries'."""

import numpy as np

import numbers_text
import oracle

EXP_ERROR = 4  # of exp and log, in u: 2 units in the last place
TILE = 16  # the fewest keys between two rescalings of a running sum


def unit(dtype):
    return np.finfo(dtype).eps / 2


def smallest(dtype):
    """Weights below it may be flushed to zero."""
    return np.finfo(dtype).tiny


def logit_error(p, h, batch, head, u):
    magnitude = abs(p.scale) * (np.abs(p.q[batch, head]) @ np.abs(p.k[batch, p.key_head(head)]).T)
    return (p.q.shape[3] + 4) * u * magnitude + 3 * u * np.abs(h.bias)


def forward_weight_error(p, h, batch, head, u, rescalings):
    """Logarithm of the factor by which a weight may be wrong."""
    lowest = np.where(h.seen, h.logits, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    highest = np.where(h.seen, h.logits, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    distances = np.where(h.seen, 2 * (highest - h.logits) + (highest - lowest), 0)
    every = (1 + rescalings) * (EXP_ERROR + 1) * u
    return np.where(h.seen, logit_error(p, h, batch, head, u) + every + u * distances, 0)


def forward_head(p, h, batch, head, dtype):
    """Bounds of o and lse of one head; rows that see nothing have none: 0 and -inf are exact."""
    u, v = unit(dtype), p.v[batch, p.key_head(head)]
    keys = h.seen.sum(axis=1, keepdims=True)
    rescalings = 1 + np.ceil(keys / TILE)
    error = forward_weight_error(p, h, batch, head, u, rescalings)
    worst = error.max(axis=1, keepdims=True, initial=0)
    sums = (keys + rescalings + 4) * u
    drift = (h.weights * np.expm1(error))[:, None, :] * np.abs(v.T[None, :, :] - h.o[:, :, None])
    flushed = keys * smallest(dtype) * np.abs(v).max(axis=0, initial=0)
    o_bound = np.exp(worst) * (drift.sum(axis=2) + sums * (h.weights @ np.abs(v) + np.abs(h.o)) + flushed)
    log_keys = np.log(np.maximum(keys, 1))
    lse = np.abs(finite(h.lse))[:, None]
    lse_bound = worst + sums + EXP_ERROR * u * log_keys + 4 * u * (lse + log_keys)
    seeing = keys > 0
    return np.where(seeing, o_bound, 0), np.where(seeing, lse_bound, 0)


def finite(x):
    return np.where(np.isfinite(x), x, 0)


def forward(p, dtype):
    bounds = [forward_head(p, h, batch, head, dtype) for batch, head, h in oracle.heads(p)]
    return {name: max((head[i].max(initial=0) for head in bounds), default=0) for i, name in enumerate(("o", "lse"))}


def logit_gradient_error(p, h, batch, head, d_o, whole, dtype):
    """Of one head: the weights and the errors of their factors, the gradient in the logits and its errors."""
    u = unit(dtype)
    weights, d_logits = oracle.logit_gradient(p, h, batch, head, d_o, *whole)
    v, do, o = p.v[batch, p.key_head(head)], d_o[batch, head], whole[0][batch, head]
    lse = np.abs(finite(whole[1][batch, head]))[:, None]
    exponent = logit_error(p, h, batch, head, u) + (EXP_ERROR + 1) * u + u * (np.abs(h.logits) + 3 * lse)
    factor = np.expm1(np.where(h.seen, exponent, 0))
    difference = np.abs(do @ v.T - (do * o).sum(axis=1, keepdims=True))
    inner = np.abs(do) @ np.abs(v).T
    outer = (np.abs(do) * np.abs(o)).sum(axis=1, keepdims=True)
    products = u * ((p.v.shape[3] + 1) * inner + (p.v.shape[3] + 3) * outer + 3 * difference)
    error = weights * (factor * difference + (1 + factor) * products) + smallest(dtype) * (difference + 1)
    return weights, factor, d_logits, np.where(h.seen, error, 0)


def backward(p, d_o, whole, dtype):
    """whole: (o, lse) of all keys, of which p may hold a slice."""
    u = unit(dtype)
    group = p.q.shape[1] // p.k.shape[1] if p.k.shape[1] else 1
    bound = oracle.zero_gradients(p)
    for batch, head, h in oracle.heads(p):
        kv = p.key_head(head)
        q, k, do = np.abs(p.q[batch, head]), np.abs(p.k[batch, kv]), np.abs(d_o[batch, head])
        weights, factor, d_logits, error = logit_gradient_error(p, h, batch, head, d_o, whole, dtype)
        size = np.abs(d_logits) + error
        keys = h.seen.sum(axis=1, keepdims=True)
        queries = h.seen.sum(axis=0)[:, None] * group
        flushed = np.where(h.seen, smallest(dtype), 0)
        bound.dv[batch, kv] += (weights * factor + flushed).T @ do + (queries + 2) * u * ((weights * (1 + factor)).T @ do)
        bound.dq[batch, head] += abs(p.scale) * (error @ k + (keys + 4) * u * (size @ k))
        bound.dk[batch, kv] += abs(p.scale) * (error.T @ q + (queries + 4) * u * (size.T @ q))
        if bound.d_lag_bias is not None:
            terms = p.q.shape[0] * p.q.shape[1] * min(h.seen.shape)
            row = bound.d_lag_bias[head if p.lag_bias.shape[0] > 1 else 0]
            np.add.at(row, p.lags(p.lag_min)[h.seen], (error + (terms + 1) * u * size)[h.seen])
    return {name: array.max(initial=0) for name, array in vars(bound).items() if array is not None}


def merge(o_parts, lse_parts, weights, lse, dtype):
    """Weights may be computed as exp(lse_p - lse), whose common error does not cancel."""
    u, count = unit(dtype), len(o_parts)
    parts, total = np.abs(finite(lse_parts)), np.abs(finite(lse))
    largest = parts.max(axis=0)
    error = 2 * (EXP_ERROR + 1) * u + u * (parts + 2 * total + largest)
    sums = (count + 4) * u
    flushed = count * smallest(dtype) * np.abs(o_parts).max(initial=0)
    o_bound = ((weights * (np.expm1(error) + sums))[..., None] * np.abs(o_parts)).sum(axis=0) + flushed
    lse_bound = error.max(axis=0) + sums + EXP_ERROR * u * np.log(oracle.REAL(count)) + 4 * u * np.maximum(total, largest)
    return {"o": o_bound.max(initial=0), "lse": lse_bound.max(initial=0)}


def storage(values, dtype):
    """What expected values lose when they are rounded to double and written with a limited number of digits."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0)
    return largest * (unit(np.float64) + 10.0 ** (1 - numbers_text.DIGITS[dtype]) / 2)
