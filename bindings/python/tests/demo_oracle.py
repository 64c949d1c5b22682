"""A tiny model of random weights, and the forward pass of such models written as its definition says, in float64."""

import numpy as np
from subquad.demo.weights import Shape, Weights

SHAPE = Shape(layers=2, heads=4, kv_heads=2, dimension=8, rope_base=100.0, norm_epsilon=1e-5, context=64)
FEED_FORWARD = 48
WORDS = 40
MATRICES = {
    "attn_q": (32, 32),
    "attn_k": (16, 32),
    "attn_v": (16, 32),
    "attn_output": (32, 32),
    "ffn_gate": (FEED_FORWARD, 32),
    "ffn_up": (FEED_FORWARD, 32),
    "ffn_down": (32, FEED_FORWARD),
}


def tiny_weights(seed=1):
    random = np.random.default_rng(seed)

    def normal(*shape):
        return (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def norm():
        return random.uniform(0.5, 1.5, 32).astype(np.float32)

    blocks = tuple(
        {name: normal(*shape) for name, shape in MATRICES.items()} | {"attn_norm": norm(), "ffn_norm": norm()}
        for _ in range(SHAPE.layers)
    )
    return Weights(SHAPE, {"token_embd": normal(WORDS, 32), "output_norm": norm()}, blocks)


def turned(row, position):
    """One row of one head: each pair (2l, 2l+1) turned by its own angle."""
    out = np.empty_like(row)
    for pair in range(SHAPE.dimension // 2):
        angle = position * SHAPE.rope_base ** (-2 * pair / SHAPE.dimension)
        x, y = row[2 * pair], row[2 * pair + 1]
        out[2 * pair] = x * np.cos(angle) - y * np.sin(angle)
        out[2 * pair + 1] = x * np.sin(angle) + y * np.cos(angle)
    return out


def attention(q, k, v):
    """[heads, n, d], causal, row by row."""
    o = np.zeros_like(q)
    group = len(q) // len(k)
    for head, i in np.ndindex(q.shape[:2]):
        logits = k[head // group, : i + 1] @ q[head, i] / np.sqrt(q.shape[2])
        share = np.exp(logits - logits.max())
        o[head, i] = share / share.sum() @ v[head // group, : i + 1]
    return o


def hidden_states(weights, tokens):
    def normed(x, weight):
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + SHAPE.norm_epsilon) * weight

    def heads(rows):
        return np.stack(np.split(rows, rows.shape[1] // SHAPE.dimension, axis=1))

    x = weights.top["token_embd"].astype(np.float64)[tokens]
    for block in weights.blocks:
        y = normed(x, block["attn_norm"])
        q, k = (
            np.array([[turned(row, i) for i, row in enumerate(head)] for head in heads(y @ block[name].T)])
            for name in ("attn_q", "attn_k")
        )
        o = attention(q, k, heads(y @ block["attn_v"].T))
        x = x + np.concatenate(list(o), axis=1) @ block["attn_output"].T
        y = normed(x, block["ffn_norm"])
        gate = y @ block["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ block["ffn_up"].T)) @ block["ffn_down"].T
    return normed(x, weights.top["output_norm"])


def perplexity(weights, tokens, hidden):
    """1 over the geometric mean of the probabilities that the model gave to what came."""
    logits = hidden @ weights.top["token_embd"].T.astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = [chances[place, token] for place, token in enumerate(tokens[1:])]
    return 1 / np.prod(given) ** (1 / len(given))
