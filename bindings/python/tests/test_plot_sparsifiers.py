"""Pictures of sparsifiers: eigenvalues beside the longdouble oracle, columns, weights, scores."""

import numpy as np
import pytest
import subquad
from plot_made_up import laid_out
from reference import assert_within
from sparsify_reference import dependent, fill, generic, skewed, sparse, uneven, whiten

import sparsify_budgets
import sparsify_oracle

pytest.importorskip("matplotlib", reason="the extra subquad[plot] is not installed")

from subquad import plot

HOW = [{"columns": 40}, {"method": "deterministic", "columns": 40}]


def check_spectrum(ax, s, x):
    """The eigenvalues of the whitened Y Y', largest first, and lines at 1 - e and 1 + e."""
    w = whiten(x)
    v = w.v[:, s.indices]
    expected = np.sort(sparsify_oracle.eigenvalues((v * s.weights) @ v.T))[::-1]
    values = np.asarray(ax.lines[0].get_ydata())
    assert list(ax.lines[0].get_xdata()) == list(range(1, w.rank + 1))
    budget = sparsify_budgets.certificate(w, 0, s.shape[1], expected.max() - 1, x.dtype)
    assert_within(values, expected, budget, "eigenvalues")
    lines = [line.get_ydata()[0] for line in ax.lines[1:]]
    assert lines == ([1] if s.epsilon is None else [1, 1 - s.epsilon, 1 + s.epsilon])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [generic, dependent, skewed, uneven])
@pytest.mark.parametrize("how", HOW)
def test_spectrum(how, kind, dtype):
    x = kind(9, 300, dtype)
    s = subquad.sparsify(x, **how, certify="exact")
    check_spectrum(plot.spectrum(s, x), s, x)


@pytest.mark.parametrize("certify", ["exact", "estimate", False])
def test_certificates(certify):
    x = generic(9, 300)
    s = subquad.sparsify(x, columns=40, certify=certify)
    ax = plot.spectrum(s, x)
    check_spectrum(ax, s, x)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[1:] == ([f"1 - e, 1 + e with e = {s.epsilon:.3g} ({s.certificate})"] if certify else [])


def blocks(x):
    return subquad.column_blocks(lambda first, last: x[:, first:last], *x.shape, x.dtype)


@pytest.mark.parametrize("kind", ["csc", "csr", "blocks", "reversed"])
def test_other_matrices(kind):
    x = sparse(7, 300, "csr" if kind == "csr" else "csc")
    dense = x.toarray()
    given = {"blocks": blocks(dense), "reversed": dense[::-1].copy()[::-1]}.get(kind, x)
    s = subquad.sparsify(given, columns=40)
    check_spectrum(plot.spectrum(s, given), s, dense)


def test_many_blocks(monkeypatch):
    """What is dense at once does not matter."""
    monkeypatch.setattr(subquad.plot._whitened, "_BLOCK", 7 * 40)
    x = sparse(7, 333)
    s = subquad.sparsify(x, columns=50)
    for given in (x, x.tocsr(), x.toarray(), blocks(x.toarray())):
        check_spectrum(plot.spectrum(s, given), s, x.toarray())


def test_pairs():
    q, k = generic(4, 300), sparse(5, 300)
    s = subquad.sparsify_pair(q, k, columns=60)
    check_spectrum(plot.spectrum(s, q, k), s, np.vstack([q, k.toarray()]))


def test_factors_and_all_columns():
    """All eigenvalues are 1 to round-off; fewer columns than the rank leave zeros."""
    x = generic(6, 300)
    w = whiten(x)
    for s in (subquad.sparsify(x, method="gram"), subquad.sparsify(x, columns=300)):
        values = np.asarray(plot.spectrum(s, x).lines[0].get_ydata())
        assert_within(values, np.ones(6), sparsify_budgets.certificate(w, 0, s.shape[1], 0, x.dtype), "eigenvalues")
    few = subquad.sparsify(x, columns=4)
    assert list(plot.spectrum(few, x).lines[0].get_ydata()[4:]) == [0, 0]


@pytest.mark.parametrize("shape", [(3, 9), (0, 5), (3, 0), (0, 0)])
def test_nothing(shape):
    x = np.zeros(shape)
    s = subquad.sparsify(x, columns=2)
    for ax in (plot.spectrum(s, x), plot.columns(s), plot.columns(s, subquad.leverage_scores(x))):
        assert laid_out(ax).lines[0].get_ydata().size == 0


def test_columns():
    x = skewed(6, 300)
    s = subquad.sparsify(x, columns=30)
    ax = plot.columns(s)
    line, one = ax.lines
    assert line.get_xdata().tolist() == s.indices.tolist()
    assert line.get_ydata().tolist() == s.weights.tolist()
    assert list(one.get_ydata()) == [1, 1]
    stems = ax.collections[0].get_segments()
    assert [stem.tolist() for stem in stems] == [[[j, 0], [j, w]] for j, w in zip(s.indices, s.weights, strict=True)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column", "weight")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["30 columns chosen", "weight 1"]


def test_columns_among_all():
    x = skewed(6, 300)
    x[:, 7] = 0
    scores, s = subquad.leverage_scores(x), subquad.sparsify(x, columns=30)
    ax = plot.columns(s, scores)
    every, rings = ax.lines[0], ax.collections[0]
    assert every.get_xdata().tolist() == [j for j in range(300) if j != 7]
    assert every.get_ydata().tolist() == scores[scores > 0].tolist()
    assert rings.get_offsets().tolist() == [[j, scores[j]] for j in s.indices]
    shares = s.weights * scores[s.indices]
    assert np.argsort(rings.get_sizes()).tolist() == np.argsort(shares).tolist()
    assert ax.get_yscale() == "log"
    assert rings.get_zorder() > every.get_zorder()


def test_a_fitted_column_sparsifier():
    pytest.importorskip("sklearn", reason="the extra subquad[sklearn] is not installed")
    from subquad.sklearn import ColumnSparsifier

    for x in (generic(6, 300), sparse(6, 300)):
        s = subquad.sparsify(x, columns=30, seed=3, certify="exact")
        chooser = ColumnSparsifier(columns=30, random_state=3, certify="exact").fit(x)
        dense = x if isinstance(x, np.ndarray) else x.toarray()
        check_spectrum(plot.spectrum(chooser, x), s, dense)
        assert plot.columns(chooser).lines[0].get_ydata().tolist() == s.weights.tolist()
    with pytest.raises(ValueError, match="k is given"):
        plot.spectrum(chooser, x, x)
    with pytest.raises(ValueError, match=r"x, of shape \(6, 30\)"):
        plot.spectrum(chooser, x[:, :30])
    with pytest.raises(TypeError, match="sparsifier is ColumnSparsifier"):
        plot.columns(ColumnSparsifier())


def sparsifier(**how):
    return subquad.sparsify(generic(6, 300), **(how or {"columns": 30}))


def pair():
    return subquad.sparsify_pair(generic(3, 300), generic(4, 300, stream=1), columns=30)


def with_nan(n, d):
    x = generic(n, d)
    x[3, 7] = np.nan
    return x


@pytest.mark.parametrize(
    ("draw", "name", "words"),
    [
        (lambda: plot.spectrum(None, generic(6, 300)), "ERR_TYPE", "sparsifier is None"),
        (lambda: plot.spectrum(sparsifier(), generic(5, 300)), "ERR_SHAPE", "x has 5 rows, but the sparsifier is of 6"),
        (lambda: plot.spectrum(sparsifier(), generic(3, 300), generic(4, 300)), "ERR_SHAPE", "x has 3 rows and k 4"),
        (lambda: plot.spectrum(sparsifier(), generic(3, 300), generic(3, 200)), "ERR_SHAPE", "k has 200 columns, but x has 300"),
        (lambda: plot.spectrum(sparsifier(), [[1.0]]), "ERR_DTYPE", "x is a builtins.list"),
        (lambda: plot.spectrum(sparsifier(), None), "ERR_NULL", "x is None"),
        (lambda: plot.spectrum(sparsifier(), generic(6, 300).astype(int)), "ERR_DTYPE", "x is int64"),
        (lambda: plot.spectrum(sparsifier(), with_nan(6, 300)), "ERR_NONFINITE", r"x\[3, 7\] is nan"),
        (lambda: plot.spectrum(pair(), generic(3, 300), with_nan(4, 300)), "ERR_NONFINITE", r"k\[3, 7\] is nan"),
        (lambda: plot.spectrum(sparsifier(), generic(6, 300), ax=0), "ERR_TYPE", "ax is 0"),
        (lambda: plot.columns([3, 5]), "ERR_TYPE", r"sparsifier is \[3, 5\]"),
        (lambda: plot.columns(sparsifier(method="gram")), "ERR_VALUE", 'method "gram"'),
        (lambda: plot.columns(sparsifier(), np.ones(20)), "ERR_SHAPE", "scores has 20 entries, but column"),
        (lambda: plot.columns(sparsifier(), np.full(300, np.nan)), "ERR_NONFINITE", r"scores\[0\] is nan"),
        (lambda: plot.columns(sparsifier(), -np.ones(300)), "ERR_VALUE", r"scores\[0\] is -1.0, below 0"),
        (lambda: plot.columns(sparsifier(), fill(0, 3, 100)), "ERR_SHAPE", "scores has 2 dimensions"),
    ],
)
def test_bad_input(draw, name, words):
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        draw()
    assert caught.value.name == name


def test_closed():
    s = sparsifier()
    s.close()
    with pytest.raises(ValueError, match="the Sparsifier is closed"):
        plot.columns(s)
