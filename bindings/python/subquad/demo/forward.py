"""The forward pass of a llama-family model, with the attention of each layer given as a function.

    x = embedding[tokens]
    x += attn_output(attention(rope(q), rope(k), v)),   q, k, v = projections of norm(x)      in each layer,
    x += ffn_down(silu(ffn_gate(y)) ffn_up(y)),         y = norm(x)                           likewise.

The file keeps the rows of attn_q and attn_k so that rope turns neighbours (2l, 2l+1): a pair is read as one complex number. (Elsewhere
the model is written with pairs (l, l + d/2). That is another order of the coordinates, the same for q and k, so no score knows it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .weights import Floats, Shape, Weights

Tokens: TypeAlias = NDArray[np.int64]
#: (layer, q [heads, n, d], k and v [kv_heads, n, d]) -> [heads, n, d]; causal, with scale 1/sqrt(d).
Attention: TypeAlias = Callable[[int, Floats, Floats, Floats], Floats]

# Rows of logits at a time: with 49,152 words, 512 rows of float32 are 100 MB.
LOGIT_ROWS = 512


def rope(x: Floats, positions: Tokens, base: float) -> Floats:
    """Turn the pairs (2l, 2l+1) of x [heads, n, d] by positions * base^(-2l/d)."""
    d = x.shape[-1]
    angles = positions[:, None] * base ** (-np.arange(0, d, 2) / d)
    turns = np.exp(1j * angles).astype(np.complex64)
    turned: Floats = (np.ascontiguousarray(x).view(np.complex64) * turns).view(np.float32)
    return turned


def rms_norm(x: Floats, weight: Floats, epsilon: float) -> Floats:
    mean = np.mean(np.square(x), axis=-1, keepdims=True)
    normed: Floats = x / np.sqrt(mean + np.float32(epsilon)) * weight
    return normed


def hidden_states(weights: Weights, tokens: Tokens, attention: Attention, *, first: int = 0, layers: int | None = None) -> Floats:
    """What the last layer says of each token, normalised: [n, width].

    first: the position of the first token. layers: how many layers to run; all unless given.
    """
    shape = weights.shape
    positions = first + np.arange(len(tokens))
    x: Floats = weights.top["token_embd"][tokens]
    for layer, block in enumerate(weights.blocks[:layers]):
        q, k, v = projections(block, shape, rms_norm(x, block["attn_norm"], shape.norm_epsilon), positions)
        o = attention(layer, q, k, v).swapaxes(0, 1).reshape(len(tokens), -1)
        x += o @ block["attn_output"].T
        y = rms_norm(x, block["ffn_norm"], shape.norm_epsilon)
        x += (_silu(y @ block["ffn_gate"].T) * (y @ block["ffn_up"].T)) @ block["ffn_down"].T
    return rms_norm(x, weights.top["output_norm"], shape.norm_epsilon)


def projections(block: Mapping[str, Floats], shape: Shape, y: Floats, positions: Tokens) -> tuple[Floats, Floats, Floats]:
    """q, k and v of one layer, q and k turned by rope."""

    def heads(name: str) -> Floats:
        return np.ascontiguousarray((y @ block[name].T).reshape(len(y), -1, shape.dimension).swapaxes(0, 1))

    q, k = (rope(heads(name), positions, shape.rope_base) for name in ("attn_q", "attn_k"))
    return q, k, heads("attn_v")


def logits(weights: Weights, hidden: Floats) -> Iterator[Floats]:
    """Logits of the next word, [rows, words], block by block. The model's output matrix is its embedding."""
    for first in range(0, len(hidden), LOGIT_ROWS):
        yield hidden[first : first + LOGIT_ROWS] @ weights.top["token_embd"].T


def perplexity(weights: Weights, tokens: Tokens, hidden: Floats) -> float:
    """exp of the mean surprise at every token but the first."""
    surprise, done = 0.0, 0
    for block in logits(weights, hidden[:-1]):
        following = tokens[done + 1 : done + 1 + len(block)]
        largest = block.max(axis=-1, keepdims=True)
        sums = np.exp(block - largest).sum(axis=-1, dtype=np.float64)
        surprise += float(np.sum(np.log(sums) + largest[:, 0] - block[np.arange(len(block)), following]))
        done += len(block)
    return float(np.exp(surprise / (len(tokens) - 1)))


def _silu(x: Floats) -> Floats:
    # Far below zero exp overflows, and x / infinity is what silu is there: 0.
    with np.errstate(over="ignore"):
        gated: Floats = x / (1 + np.exp(-x))
    return gated
