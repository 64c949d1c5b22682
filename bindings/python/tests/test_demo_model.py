"""The demo's forward pass against its definition, on a tiny model of random weights."""

from dataclasses import replace

import demo_oracle
import numpy as np
import pytest
from demo_oracle import SHAPE, WORDS
from subquad.demo import engine, forward

EPS = float(np.finfo(np.float32).eps)
TOKENS = np.random.default_rng(2).integers(0, WORDS, 37)
# Terms of the longest sums: the feed-forward's, or a row of attention's.
TERMS = max(demo_oracle.FEED_FORWARD, len(TOKENS))


def exact(_layer, q, k, v):
    return engine.exact(q, k, v)


def moved(weights, relative, seed):
    """Every weight changed by relative, up or down."""
    random = np.random.default_rng(seed)

    def change(arrays):
        return {name: array * (1 + relative * random.choice([-1.0, 1.0], array.shape)) for name, array in arrays.items()}

    return replace(weights, top=change(weights.top), blocks=tuple(map(change, weights.blocks)))


def roundoff(weights, result):
    """Budget for a result of float32, result a function of weights.

    A rounded sum of m products is the exact one of factors that are off by at most m eps; so the result is off by what the oracle
    moves by when all weights are: taken from moves that are small yet far above float64's own rounding, the worst of several.
    """
    move = 1e-7
    right = result(weights)
    moves = [np.abs(result(moved(weights, move, seed)) - right).max() for seed in range(5)]
    return max(moves) / move * TERMS * EPS


def test_rope_turns_neighbours():
    x = np.random.default_rng(3).standard_normal((2, 5, SHAPE.dimension)).astype(np.float32)
    positions = np.array([0, 1, 2, 50, 1000])
    turned = forward.rope(x, positions, SHAPE.rope_base)
    for head, row in np.ndindex(x.shape[:2]):
        expected = demo_oracle.turned(x[head, row].astype(np.float64), positions[row])
        # roundoff: sine, cosine, two products and a sum.
        assert np.abs(turned[head, row] - expected).max() <= 4 * EPS * np.abs(x[head, row]).max()


def test_the_order_of_the_file_and_the_usual_one_give_the_same_scores():
    """Elsewhere pairs are (l, l + d/2). The file's order is that one's rows, each pair side by side."""
    random = np.random.default_rng(4)
    q, k = (random.standard_normal((1, 9, SHAPE.dimension)).astype(np.float32) for _ in range(2))
    positions = np.arange(9)
    half = SHAPE.dimension // 2
    angles = np.outer(positions, SHAPE.rope_base ** (-np.arange(half) / half))

    def usual(x):
        left, right = x[..., :half], x[..., half:]
        return np.concatenate(
            [left * np.cos(angles) - right * np.sin(angles), left * np.sin(angles) + right * np.cos(angles)], axis=-1
        )

    order = np.arange(SHAPE.dimension).reshape(2, half).T.ravel()  # 0, half, 1, half + 1, ..
    scores = np.einsum("hid,hjd->hij", *(forward.rope(x[..., order], positions, SHAPE.rope_base) for x in (q, k)))
    expected = np.einsum("hid,hjd->hij", *(usual(x.astype(np.float64)) for x in (q, k)))
    lengths = [np.linalg.norm(x, axis=-1).max() for x in (q, k)]
    # roundoff: a sum of d products, and two turns.
    assert np.abs(scores - expected).max() <= (SHAPE.dimension + 8) * EPS * lengths[0] * lengths[1]


def test_forward_pass():
    weights = demo_oracle.tiny_weights()
    hidden = forward.hidden_states(weights, TOKENS, exact)
    assert hidden.dtype == np.float32
    expected = demo_oracle.hidden_states(weights, TOKENS)
    budget = roundoff(weights, lambda changed: demo_oracle.hidden_states(changed, TOKENS))
    assert np.abs(hidden - expected).max() <= budget


def test_attention_is_given_every_layer():
    seen = []

    def attention(layer, q, k, v):
        seen.append((layer, q.shape, k.shape, v.shape))
        return np.zeros_like(q)

    forward.hidden_states(demo_oracle.tiny_weights(), TOKENS, attention)
    n = len(TOKENS)
    assert seen == [(layer, (4, n, 8), (2, n, 8), (2, n, 8)) for layer in range(2)]
    seen.clear()
    forward.hidden_states(demo_oracle.tiny_weights(), TOKENS, attention, layers=1)
    assert len(seen) == 1


def test_the_first_position_moves_no_score():
    """Rope knows differences of positions only."""
    weights = demo_oracle.tiny_weights()
    here, there = (forward.hidden_states(weights, TOKENS, exact, first=first) for first in (0, 7))
    assert np.abs(here - there).max() <= 2 * roundoff(weights, lambda changed: demo_oracle.hidden_states(changed, TOKENS))


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_perplexity(rows, monkeypatch):
    """In blocks of any size."""
    monkeypatch.setattr(forward, "LOGIT_ROWS", rows)
    weights = demo_oracle.tiny_weights()
    hidden = forward.hidden_states(weights, TOKENS, exact)
    expected = demo_oracle.perplexity(weights, TOKENS, demo_oracle.hidden_states(weights, TOKENS))
    budget = roundoff(
        weights, lambda changed: demo_oracle.perplexity(changed, TOKENS, demo_oracle.hidden_states(changed, TOKENS))
    )
    assert abs(forward.perplexity(weights, TOKENS, hidden) - expected) <= budget
