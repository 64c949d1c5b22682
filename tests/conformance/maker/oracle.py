"""Attention, its gradients and merging in longdouble, by the textbook formulas of the header, without any tiling.

The intermediate matrices of a head are kept, for budgets.py."""

from dataclasses import dataclass

import numpy as np

REAL = np.longdouble
assert np.finfo(REAL).nmant > np.finfo(np.float64).nmant, "the oracle needs a longdouble wider than double"


class LagNotCoveredError(Exception):
    """A visible pair's lag lies outside lag_bias."""


@dataclass
class Problem:
    """Inputs of one attention call with the batch dimension made explicit, all in longdouble."""

    q: np.ndarray  # B x H_q x n_q x d
    k: np.ndarray  # B x H_kv x n_k x d
    v: np.ndarray  # B x H_kv x n_k x d_v
    scale: REAL
    causal: bool = False
    offset: int = 0
    key_offset: int = 0
    lag_bias: np.ndarray | None = None  # H_q or 1 x L
    lag_min: int = 0
    key_ranges: np.ndarray | None = None  # B or 1 x 2
    group_of_head: object = None  # query head -> key/value head; None: the header's rule

    def key_head(self, head):
        if self.group_of_head:
            return self.group_of_head(head)
        return head // (self.q.shape[1] // self.k.shape[1])

    def lags(self, origin=0):
        """Lag of every pair, less origin. Beyond 2^62 only the sign matters, and int64 could not hold it."""
        n_q, n_k = self.q.shape[2], self.k.shape[2]
        shift = min(max(self.offset - self.key_offset - origin, -(2**62)), 2**62)
        return np.arange(n_q)[:, None] - np.arange(n_k)[None, :] + shift

    def visible(self, batch):
        lags = self.lags()
        seen = lags >= 0 if self.causal else np.ones(lags.shape, dtype=bool)
        if self.key_ranges is not None:
            start, end = self.key_ranges[batch if self.key_ranges.shape[0] > 1 else 0]
            position = np.arange(self.k.shape[2]) + self.key_offset
            seen = seen & ((position >= start) & (position < end))[None, :]
        return seen

    def bias(self, head, seen):
        if self.lag_bias is None:
            return np.zeros(seen.shape, dtype=REAL)
        row = self.lag_bias[head if self.lag_bias.shape[0] > 1 else 0]
        entry = self.lags(self.lag_min)
        if seen.any() and (entry[seen].min() < 0 or entry[seen].max() >= row.size):
            raise LagNotCoveredError
        return np.where(seen, row[np.clip(entry, 0, max(row.size - 1, 0))] if row.size else REAL(0), REAL(0))


@dataclass
class Head:
    """One head's matrices, n_q x n_k: who is seen, logits, weights that sum to 1 per row, and its results."""

    seen: np.ndarray
    logits: np.ndarray
    bias: np.ndarray
    weights: np.ndarray
    o: np.ndarray
    lse: np.ndarray


def attention_head(p, batch, head):
    seen = p.visible(batch)
    k, v = p.k[batch, p.key_head(head)], p.v[batch, p.key_head(head)]
    bias = p.bias(head, seen)
    logits = p.scale * (p.q[batch, head] @ k.T) + bias
    lse = np.full(seen.shape[0], -np.inf, dtype=REAL)
    weights = np.zeros(seen.shape, dtype=REAL)
    rows = seen.any(axis=1)
    if rows.any():
        masked = np.where(seen[rows], logits[rows], -np.inf)
        top = masked.max(axis=1, keepdims=True)
        lse[rows] = top[:, 0] + np.log(np.exp(masked - top).sum(axis=1))
        weights[rows] = np.exp(masked - lse[rows][:, None])
    return Head(seen, logits, bias, weights, weights @ v, lse)


def heads(p):
    """Every (batch, head) with its matrices."""
    for batch in range(p.q.shape[0]):
        for head in range(p.q.shape[1]):
            yield batch, head, attention_head(p, batch, head)


def attention(p):
    o = np.zeros(p.q.shape[:3] + p.v.shape[3:], dtype=REAL)
    lse = np.zeros(p.q.shape[:3], dtype=REAL)
    for batch, head, h in heads(p):
        o[batch, head], lse[batch, head] = h.o, h.lse
    return o, lse


def pairs(p):
    return sum(int(p.visible(batch).sum()) for batch in range(p.q.shape[0])) * p.q.shape[1]


def merge(o_parts, lse_parts):
    """Join partial results; o_parts: parts x .. x n_q x d_v, lse_parts: parts x .. x n_q."""
    top = lse_parts.max(axis=0)
    safe = np.where(np.isneginf(top), REAL(0), top)
    lse = np.where(
        np.isneginf(top), -np.inf, safe + np.log(np.maximum(np.exp(lse_parts - safe).sum(axis=0), np.finfo(REAL).tiny))
    )
    weights = np.where(np.isneginf(lse_parts), REAL(0), np.exp(lse_parts - np.where(np.isneginf(lse), REAL(0), lse)))
    return (weights[..., None] * o_parts).sum(axis=0), lse, weights


@dataclass
class Gradients:
    dq: np.ndarray
    dk: np.ndarray
    dv: np.ndarray
    d_lag_bias: np.ndarray | None


def zero_gradients(p):
    d_lag_bias = None if p.lag_bias is None else np.zeros_like(p.lag_bias)
    return Gradients(np.zeros_like(p.q), np.zeros_like(p.k), np.zeros_like(p.v), d_lag_bias)


def backward(p, d_o, whole=None):
    """Gradients of sum(o * d_o). whole: (o, lse) of the merged result when p holds a slice of its keys."""
    o_all, lse_all = whole or attention(p)
    g = zero_gradients(p)
    for batch, head, h in heads(p):
        kv = p.key_head(head)
        weights, d_logits = logit_gradient(p, h, batch, head, d_o, o_all, lse_all)
        g.dv[batch, kv] += weights.T @ d_o[batch, head]
        g.dq[batch, head] += p.scale * (d_logits @ p.k[batch, kv])
        g.dk[batch, kv] += p.scale * (d_logits.T @ p.q[batch, head])
        if g.d_lag_bias is not None:
            row = g.d_lag_bias[head if p.lag_bias.shape[0] > 1 else 0]
            np.add.at(row, p.lags(p.lag_min)[h.seen], d_logits[h.seen])
    return g


def logit_gradient(p, h, batch, head, d_o, o_all, lse_all):
    """Weights normalised by the whole's log-sum-exp, and the gradient in the logits."""
    weights = np.where(h.seen, np.exp(np.where(h.seen, h.logits - lse_all[batch, head][:, None], -np.inf)), REAL(0))
    d_o, o = d_o[batch, head], o_all[batch, head]
    d_logits = weights * (d_o @ p.v[batch, p.key_head(head)].T - (d_o * o).sum(axis=1)[:, None])
    return weights, d_logits
