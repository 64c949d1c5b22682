"""Choosing columns: what is chosen, its weights and its certificate, for matrices of every kind."""

import numpy as np
import pytest
import subquad
from reference import assert_within
from sparsify_reference import (
    DTYPES,
    KINDS,
    METHODS,
    P_FAIL,
    barrier_bound,
    check_certificate,
    check_columns,
    dependent,
    duplicates,
    gaps,
    generic,
    ill_conditioned,
    most_failures,
    radius,
    whiten,
)

import budgets
import sparsify_budgets


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", METHODS.values(), ids=METHODS)
def test_columns_and_certificate(settings, kind, dtype):
    x = kind(6, 200, dtype)
    s = subquad.sparsify(x, **settings, certify="exact")
    check_columns(s, x)
    check_certificate(s, x)
    assert s.method == settings["method"]
    assert (s.shape[0], s.dtype) == (6, dtype)
    assert s.shape[1] <= 30
    assert_within(np.array(s.radius), np.array(radius(x)), 204 * budgets.unit(np.float64) * radius(x), "radius")
    assert s.report["width"] == s.shape[1]
    assert (s.report["epsilon"], s.report["certificate"], s.report["rank"]) == (s.epsilon, s.certificate, s.rank)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [1, 5, 6, 7, 50, 90])
def test_leverage_keeps_as_many_columns_as_asked_for(columns, kind, dtype):
    """Also fewer than the rank, where e is at least 1: some direction is lost."""
    x = kind(6, 200, dtype)
    s = subquad.sparsify(x, columns=columns, certify="exact")
    assert s.shape[1] == columns
    assert (x[:, s.indices] != 0).any(axis=0).all()
    check_certificate(s, x)
    if columns < s.rank:
        assert s.epsilon >= 1 - sparsify_budgets.certificate(whiten(x), 0, columns, 1, dtype)


def sampling_time(s, w):
    """T of the weights 1 / (1 - exp(-T tau)), and T by each column."""
    assert s.report["scores"] == "exact"
    times = -np.log1p(-1 / s.weights) / w.scores[s.indices].astype(np.float64)
    return np.median(times), times


def test_weights_of_leverage_sampling():
    """One T serves all columns."""
    x = generic(6, 200)
    w = whiten(x)
    s = subquad.sparsify(x, columns=40)
    time, times = sampling_time(s, w)
    # roundoff of the weights, by way of the logarithm, and of the scores
    taus = w.scores[s.indices].astype(np.float64)
    z = time * taus
    budget = 4 * budgets.unit(np.float64) * np.expm1(z) / z + sparsify_budgets.scores(w, x.dtype) / taus
    assert (np.abs(times / time - 1) <= budget + budget.max()).all()


def test_every_column_is_kept_as_often_as_its_weight_says():
    """chance: the expectation of weight times presence is 1. With eps the columns are independent of each other. By Bernstein the mean of
    N such numbers, in [0, w] and of variance w - 1, strays by more than t with probability 2 exp(-N t^2 / (2 (w - 1) + 2 w t / 3)) at most.
    """
    x, seeds = generic(2, 150), 200
    found = [subquad.sparsify(x, eps=0.9, delta=0.5, seed=seed, certify=False) for seed in range(seeds)]
    w = whiten(x)
    time, _ = sampling_time(found[0], w)
    weights = -1 / np.expm1(-time * w.scores.astype(np.float64))
    assert np.median(weights) > 1.1
    counts = np.bincount(np.concatenate([s.indices for s in found]), minlength=150)
    log_p = np.log(2 * 150 / P_FAIL)
    t = 2 * weights * log_p / (3 * seeds) + np.sqrt(2 * (weights - 1) * log_p / seeds)
    assert (np.abs(counts * weights / seeds - 1) <= t).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_eps_is_reached(dtype):
    """chance: with probability 1 - delta, for each seed on its own."""
    x, seeds, delta = generic(3, 4000, dtype), 60, 0.2
    misses = 0
    for seed in range(seeds):
        s = subquad.sparsify(x, eps=0.6, delta=delta, seed=seed, certify="exact")
        assert s.shape[1] < 2000
        assert s.report["epsilon_bound"] <= 0.6
        misses += s.epsilon > 0.6
    assert misses <= most_failures(seeds, delta)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [7, 12, 24, 54, 96])
def test_the_deterministic_bound(columns, kind, dtype):
    x = kind(6, 300, dtype)
    s = subquad.sparsify(x, method="deterministic", columns=columns, certify="exact")
    w = check_certificate(s, x)
    c = columns / w.rank
    bound = barrier_bound(c)
    assert s.shape[1] <= columns
    budget = sparsify_budgets.certificate(w, 0, s.shape[1], bound, dtype)
    assert s.epsilon <= bound + budget
    assert s.epsilon <= s.report["epsilon_barriers"] + budget
    assert s.report["epsilon_barriers"] <= bound + budget
    assert_within(np.array(s.report["epsilon_bound"]), np.array(bound), 8 * budgets.unit(np.float64), "bound")


@pytest.mark.parametrize("eps", [0.3, 0.5, 0.9])
def test_deterministic_eps_is_reached(eps):
    x = generic(4, 500)
    s = subquad.sparsify(x, method="deterministic", eps=eps, certify="exact")
    w = check_certificate(s, x)
    assert s.epsilon <= eps + sparsify_budgets.certificate(w, 0, s.shape[1], eps, x.dtype)
    assert barrier_bound((s.report["steps"] - 1) / w.rank) > eps  # never more steps than the bound asks for


@pytest.mark.parametrize("method", METHODS)
def test_a_condition_of_1e10(method):
    """Of x, not of its rows' span: a Gram matrix would have lost it."""
    x, b = ill_conditioned(3, 120)
    s = subquad.sparsify(x, method=method, columns=40, certify="exact")
    w = whiten(b)
    w.condition = 1e10
    assert s.rank == 3
    assert 1e9 < s.report["condition"] < 1e12
    check_certificate(s, x, w)
    if method == "deterministic":
        bound = barrier_bound(40 / 3)
        assert s.epsilon <= bound + sparsify_budgets.certificate(w, 0, 40, bound, x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_gram(kind, dtype):
    """Y Y' = X X' with as many columns as the rank."""
    x = kind(6, 200, dtype)
    w = whiten(x)
    s = subquad.sparsify(x, method="gram", certify="exact")
    y = s.y
    assert (s.method, s.shape, y.shape, y.dtype) == ("gram", (6, w.rank), (6, w.rank), dtype)
    wide = y.astype(w.x.dtype)
    assert_within((wide @ wide.T).astype(np.float64), w.gram, sparsify_budgets.gram(w, dtype), "y y'")
    assert s.epsilon <= sparsify_budgets.certificate(w, 0, w.rank, 0, dtype)
    for columns in ("indices", "weights"):
        with pytest.raises(subquad.SubquadError, match=columns) as caught:
            getattr(s, columns)
        assert caught.value.name == "ERR_UNSET"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "d", "columns"), [(3, 7, 7), (3, 7, 1000), (7, 3, 3), (5, 1, 1), (0, 4, 4), (4, 0, 1), (0, 0, 9)])
def test_as_many_columns_as_x_has_are_x_itself(n, d, columns, method, dtype):
    x = generic(n, d, dtype)
    if d > 2:
        x[:, 1] = 0
    s = subquad.sparsify(x, method=method, columns=columns, certify="exact")
    assert (s.indices == np.arange(d)).all()
    assert (s.weights == 1).all()
    assert s.y.tobytes() == x.tobytes()
    assert (s.epsilon, s.certificate, s.ratio_bound()) == (0, "exact", 1)


@pytest.mark.parametrize(
    "settings", [*METHODS.values(), {"method": "gram"}, {"eps": 0.5}, {"method": "deterministic", "eps": 0.5}]
)
@pytest.mark.parametrize("shape", [(0, 40), (3, 40), (3, 0), (0, 0)])
def test_nothing_to_choose_from(shape, settings):
    """No rows, no columns, or zeros only: no error, and no error made."""
    x = np.zeros(shape)
    s = subquad.sparsify(x, **settings, certify="exact")
    assert not s.rank
    assert s.shape[0] == shape[0]
    assert s.shape[1] <= shape[1]
    assert s.epsilon == 0
    assert not s.y.any()
    if settings.get("method") != "gram":
        check_columns(s, x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [generic, dependent, gaps, duplicates])
def test_fewer_columns_than_rows(kind, method):
    x = kind(20, 9)
    s = subquad.sparsify(x, method=method, columns=8, certify="exact") if whiten(x).rank < 8 or method == "leverage" else None
    if s is None:
        with pytest.raises(ValueError, match="columns"):
            subquad.sparsify(x, method=method, columns=8)
        return
    check_columns(s, x)
    check_certificate(s, x)


@pytest.mark.parametrize("certify", ["auto", "exact", "estimate", False])
@pytest.mark.parametrize("method", METHODS)
def test_certificates(method, certify):
    x = generic(6, 900)
    s = subquad.sparsify(x, method=method, columns=30, certify=certify)
    exact = subquad.sparsify(x, method=method, columns=30, certify="exact")
    assert (s.indices == exact.indices).all()
    if certify is False:
        assert (s.epsilon, s.certificate) == (None, None)
        assert "epsilon" not in s.report
        assert "certificate" not in s.report
        with pytest.raises(subquad.SubquadError) as caught:
            s.ratio_bound()
        assert caught.value.name == "ERR_UNSET"
        return
    assert s.certificate == "exact"  # which the selection has made as cheap as any other
    assert_within(np.array(s.epsilon), np.array(exact.epsilon), sparsify_budgets.certificate(whiten(x), 0, 30, 1, x.dtype), "e")


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_estimate_is_a_lower_one(dtype):
    """Of larger matrices, whose selection leaves the exact certificate dear."""
    x = generic(60, 5000, dtype)
    estimate, exact = (subquad.sparsify(x, columns=400, certify=certify) for certify in ("estimate", "exact"))
    assert (estimate.certificate, exact.certificate) == ("estimate", "exact")
    assert (estimate.indices == exact.indices).all()
    budget = sparsify_budgets.certificate(whiten(x), 0, 400, exact.epsilon, dtype)
    assert 0 < estimate.epsilon <= exact.epsilon + budget
