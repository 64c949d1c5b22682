"""What the demo measures with: the window that it compares to, errors, the choice of heads, text read in pieces."""

import demo_oracle
import numpy as np
import pytest
from demo_made_up import head
from demo_oracle import SHAPE, WORDS
from reference import assert_within, fill, problem
from subquad.demo import engine, forward, growth

import budgets
import oracle


@pytest.mark.parametrize(("n", "width"), [(97, 16), (96, 32), (40, 64), (1, 8)])
def test_window_and_sinks(n, width):
    """Against attention over the pairs that it is to keep, row by row."""
    q, k, v = (fill(stream, heads, n, 8, dtype=np.float32) for stream, heads in ((0, 4), (1, 2), (2, 2)))
    o = engine.window(q, k, v, width)
    # roundoff: a row's budget with all keys covers one with fewer, and the merge of two parts.
    budget = 2 * budgets.forward(problem(q, k, v, causal=True), np.float32)["o"]
    for number, i in np.ndindex(4, n):
        first = max(0, i - i % width - width)
        keys = np.union1d(np.arange(min(engine.SINKS, i + 1)), np.arange(first, i + 1))
        row = problem(q[number : number + 1, i : i + 1], *(x[number // 2 : number // 2 + 1, keys] for x in (k, v)))
        assert_within(o[number, i], oracle.attention(row)[0], budget, "o")


def test_what_is_read_of_a_report():
    """Of heads so short that nothing is cheaper than exact attention."""
    q, k, v = (fill(stream, heads, 100, 8, dtype=np.float32) for stream, heads in ((0, 4), (1, 2), (2, 2)))
    o, reports = engine.auto(q, k, v, tol=0.1)
    assert (o == engine.exact(q, k, v)).all()
    assert len(reports) == 4
    for report in reports:
        assert (report.pairs, report.computed, report.screened, report.share) == (5050, 5050, 0, 1)
        assert (report.estimated, report.parts, report.all_pairs) == (0, ("exact",), True)
        assert report.fallback
        assert report.seconds > 0


def test_relative_errors():
    reference = np.array([[[3.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 0.0]]], np.float32)
    o = reference + np.array([[[0.0, 0.5]], [[0.25, 0.0]]], np.float32)
    # Binary fractions: no rounding but the root's.
    assert engine.relative_errors(o, reference) == pytest.approx([0.5**0.5 / 5, 0.125**0.5], rel=1e-15)


def test_typical_heads():
    """Quartiles of the pairs computed, among the first layers."""
    heads = [head(layer, number, computed=100 * layer + number) for layer in range(3) for number in range(4)]
    assert growth.typical_heads(list(reversed(heads)), 2) == [(0, 2), (1, 0), (1, 2)]
    assert growth.typical_heads(heads[:1], 1) == [(0, 0)] * 3


def test_lengths():
    assert growth.lengths(growth.PIECE) == [growth.PIECE]
    assert growth.lengths(5 * growth.PIECE) == [growth.PIECE, 2 * growth.PIECE, 4 * growth.PIECE]


def test_text_read_in_pieces(monkeypatch):
    """Each piece is what the model makes of it alone, at its place in the whole."""
    monkeypatch.setattr(growth, "PIECE", 16)
    weights = demo_oracle.tiny_weights()
    tokens = np.random.default_rng(5).integers(0, WORDS, 40)
    wanted = [(0, 1), (1, 2), (1, 3)]
    steps = []
    whole = growth.long_heads(weights, tokens, wanted, lambda: steps.append(None))
    assert len(steps) == 3
    assert [x.shape for x in whole] == [(3, 40, SHAPE.dimension)] * 3
    for first in (0, 16, 32):
        layers = {}

        def keep(layer, q, k, v, layers=layers):
            layers[layer] = q, k[[0, 0, 1, 1]], v[[0, 0, 1, 1]]
            return engine.exact(q, k, v)

        forward.hidden_states(weights, tokens[first : first + 16], keep, first=first)
        for place, (layer, number) in enumerate(wanted):
            for x, expected in zip(whole, layers[layer], strict=True):
                assert (x[place, first : first + 16] == expected[number]).all()
