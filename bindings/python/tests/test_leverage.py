"""Leverage scores: exact ones beside the oracle, sketched ones within their factor."""

import numpy as np
import pytest
import subquad
from sparsify_reference import DTYPES, KINDS, LAYOUTS, check_scores, generic, ill_conditioned, most_failures, sparse, whiten

import sparsify_budgets


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 50), (6, 200), (9, 5), (4, 4), (13, 257)])
def test_exact(n, d, kind, dtype):
    x = kind(n, d, dtype)
    scores, report = subquad.leverage_scores(x, method="exact", return_report=True)
    w = check_scores(x, scores)
    assert (report["rank"], report["scores"]) == (w.rank, "exact")
    assert abs(scores.sum() - w.rank) <= d * sparsify_budgets.scores(w, dtype)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (3, 7)])
@pytest.mark.parametrize("method", ["exact", "sketch", None])
def test_nothing(method, shape):
    scores, report = subquad.leverage_scores(np.zeros(shape), method=method, return_report=True)
    assert (scores == np.zeros(shape[1])).all()
    assert report["rank"] == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("method", ["exact", "sketch"])
def test_layouts(method, layout, dtype):
    x = generic(6, 300, dtype)
    scores = subquad.leverage_scores(layout(x), method=method)
    if method == "exact":
        check_scores(x, scores)
    plain = subquad.leverage_scores(x, method=method)
    budget = sparsify_budgets.scores(whiten(x), dtype)
    assert np.abs(scores - plain).max() <= 2 * budget * max(1, plain.max())


def test_a_condition_of_1e10():
    x, b = ill_conditioned(3, 120)
    w = whiten(b)
    w.condition = 1e10
    scores, report = subquad.leverage_scores(x, method="exact", return_report=True)
    check_scores(x, scores, w)
    assert report["rank"] == 3


@pytest.mark.parametrize("x", [generic(5, 6000), generic(5, 6000, np.float32), sparse(5, 6000), sparse(5, 6000, "csr")])
def test_sketched_scores_are_within_their_factor(x):
    """chance: all at once, with probability 1 - delta for each seed on its own."""
    delta, seeds = 0.2, 60
    w = whiten(x if isinstance(x, np.ndarray) else x.toarray())
    misses = 0
    for seed in range(seeds):
        scores, report = subquad.leverage_scores(x, method="sketch", delta=delta, seed=seed, return_report=True)
        assert (report["scores"], report["rank"]) == ("sketch", 5)
        factor = report["score_factor"]
        assert 1 < factor < 20
        slack = sparsify_budgets.scores(w, x.dtype)
        misses += bool(((scores > factor * w.scores + slack) | (scores * factor < w.scores - slack)).any())
    assert misses <= most_failures(seeds, delta)


def test_the_default_is_one_of_both():
    x = generic(5, 500)
    scores, report = subquad.leverage_scores(x, return_report=True)
    assert report["scores"] in ("exact", "sketch")
    assert scores.tobytes() == subquad.leverage_scores(x, method=report["scores"]).tobytes()


@pytest.mark.parametrize("method", ["exact", "sketch"])
@pytest.mark.parametrize("threads", [2, 3, None])
def test_the_same_bits_for_any_number_of_threads(threads, method):
    x = generic(20, 5000, np.float32)
    assert subquad.leverage_scores(x, method=method, threads=threads).tobytes() == (
        subquad.leverage_scores(x, method=method, threads=1).tobytes()
    )


def test_the_seed_is_that_of_the_sketch():
    x = generic(5, 6000)
    first, again, other = (subquad.leverage_scores(x, method="sketch", seed=seed) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert (first != other).any()
