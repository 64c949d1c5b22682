"""What the choice of columns does not depend on: how x lies in memory, threads, and chance beyond the seed."""

import numpy as np
import pytest
import subquad
from sparsify_reference import DTYPES, LAYOUTS, METHODS, check_certificate, check_columns, generic


def parts(s):
    """Everything that must be the same."""
    selection = [] if s.method == "gram" else [s.indices.tobytes(), s.weights.tobytes()]
    return [*selection, s.y.tobytes(), s.epsilon, s.certificate, s.radius, s.rank]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("settings", [*METHODS.values(), {"method": "gram"}, {"eps": 0.9}])
def test_layouts(settings, layout, dtype):
    """The same columns however x lies in memory, with weights and certificates alike to round-off."""
    x = generic(5, 180, dtype)
    plain, other = subquad.sparsify(x, **settings), subquad.sparsify(layout(x), **settings)
    assert plain.shape == other.shape
    if plain.method != "gram":
        assert (plain.indices == other.indices).all()
        check_columns(other, x)
        check_certificate(other, x)


def test_broadcast():
    row = generic(1, 150)
    x = np.broadcast_to(row, (4, 150))
    s = subquad.sparsify(x, columns=40, certify="exact")
    assert s.rank == 1
    check_columns(s, x)
    check_certificate(s, x)


@pytest.mark.parametrize("settings", [*METHODS.values(), {"method": "gram"}, {"eps": 0.9}])
@pytest.mark.parametrize("threads", [1, 2, 3, 7, None])
def test_the_same_for_any_number_of_threads(threads, settings):
    x = generic(12, 3000, np.float32)
    first, again = subquad.sparsify(x, **settings, threads=1), subquad.sparsify(x, **settings, threads=threads)
    assert first.shape == again.shape
    if first.method != "gram":
        assert (first.indices == again.indices).all()


@pytest.mark.parametrize("settings", [*METHODS.values(), {"method": "gram"}, {"eps": 0.9}])
def test_twice_the_same(settings):
    x = generic(12, 3000)
    assert parts(subquad.sparsify(x, **settings)) == parts(subquad.sparsify(x, **settings))


def test_the_seed_matters():
    """chance: two selections of 30 among 2000 columns agree with probability far below 1e-9."""
    x = generic(5, 2000)
    chosen = [subquad.sparsify(x, columns=30, seed=seed).indices for seed in (0, 1, 2**63 - 1)]
    assert (chosen[0] != chosen[1]).any()
    assert (chosen[0] != chosen[2]).any()
