"""Queries and keys with structure. Most have logits with a conv basis up to the rounding of q and k: both turned by angles that grow with
their position, so that a logit depends on the lag and on the piece of keys alone."""

import itertools

import numpy as np

import case_list
import philox


def turned(vectors, angles):
    """vectors: .. x n x d with d even; the pair (f, f + d/2) of row i turned by i * angles[f]."""
    n, half = vectors.shape[-2], vectors.shape[-1] // 2
    turns = np.arange(n)[:, None] * angles[None, :]
    a, b = vectors[..., :half], vectors[..., half:]
    return np.concatenate([a * np.cos(turns) - b * np.sin(turns), a * np.sin(turns) + b * np.cos(turns)], axis=-1)


def pair(name, n, d, starts, batch, heads, constant, dtype):
    """q [.., H_q, n, d] and k [.., H_kv, n, d] of the dtype. starts: per key head; keys before the first start are zero."""
    lead = [] if batch is None else [batch]
    lead_q, lead_k = ([*lead, *([] if heads is None else [heads[i]])] for i in range(2))

    def uniform(shape, stream, low=-1.0, high=1.0):
        return philox.fill_uniform(shape, "float64", **case_list.fill(name, stream, low, high))

    q = np.broadcast_to(uniform([*lead_q, 1, d], 0, 0.5, 1.5), [*lead_q, n, d])
    k = np.zeros([*lead_k, n, d])
    pieces = uniform([*lead_k, len(starts) if not nested(starts) else max(len(s) for s in starts), d], 1, -2.0, 2.0)
    for index in np.ndindex(*lead_k):
        own = starts[index[-1]] if nested(starts) else starts
        for r, (first, last) in enumerate(itertools.pairwise([*own, n])):
            k[(*index, slice(first, last))] = pieces[(*index, r)]
    angles = np.zeros(d // 2) if constant else uniform([d // 2], 2, 0.05, 0.6)
    return turned(q, angles).astype(dtype), turned(k, angles).astype(dtype)


def nested(starts):
    return bool(starts) and isinstance(starts[0], list)


def separation(kernels, window):
    """Least l1 distance, over `window` entries, of the kernels of two bases, or of one from zero."""
    rows = [np.zeros(window), *(row[:window] for row in kernels)]
    return min(np.abs(a - b).sum() for a, b in itertools.combinations(rows, 2))


def separated(made, heads):
    """Options of recovery, with half the least distance of two bases for conv_delta."""
    window = made["conv_window"]
    least = min(separation(head.kernels, window) for head in heads.values() if head.starts)
    return {**made, "conv_delta": float(f"{float(least) / 2:.3g}")}


RUN = 64  # keys side by side that belong together, as many as a tile has
FAR = 8.0  # size of q, and of those k that matter


def attending(name, n):
    """q and k [n, 1], the same in any dtype. Odd runs of queries attend to every fourth run of keys, even ones to others; other keys have
    weights below exp(-FAR^2 + FAR)."""
    run = np.arange(n) // RUN
    q, k = (np.round(16 * philox.fill_uniform([n], "float64", **case_list.fill(name, stream))) / 64 for stream in (0, 1))
    side = np.select([run % 4 == 0, run % 4 == 1], [FAR, -FAR])
    return (np.where(run % 2 == 0, FAR, -FAR) + q)[:, None], (side + k)[:, None]
