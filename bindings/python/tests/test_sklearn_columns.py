"""ColumnSparsifier: the columns, weights and promises of `subquad.sparsify`, for every kind of X that scikit-learn knows."""

import numpy as np
import pytest
import scipy.sparse
import subquad
from reference import assert_within
from sparsify_reference import REAL, fill, generic, sparse
from test_examples import NUMBER, numbers, run

import budgets

pytest.importorskip("sklearn", reason="the extra subquad[sklearn] is not installed")

from subquad.sklearn import ColumnSparsifier

SETTINGS = [{"columns": 60}, {"eps": 0.9}, {"method": "deterministic", "columns": 40}, {"method": "deterministic", "eps": 0.7}]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["dense", "csc", "csr"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_sparsify(settings, layout, dtype):
    x = generic(6, 400, dtype) if layout == "dense" else sparse(6, 400, layout, dtype)
    chooser = ColumnSparsifier(**settings, random_state=7)
    y = chooser.fit_transform(x)
    s = subquad.sparsify(x, **settings, seed=7)
    assert (chooser.columns_ == s.indices).all()
    assert (chooser.weights_ == s.weights).all()
    assert (chooser.epsilon_, chooser.certificate_, chooser.rank_) == (s.epsilon, s.certificate, s.rank)
    assert chooser.report_["rank"] == s.rank
    assert (y.dtype, y.shape) == (dtype, s.shape)
    expected = s.y
    if layout != "dense":
        assert (y.format, y.nnz) == (layout, expected.nnz)
        y, expected = y.toarray(), expected.toarray()
    # roundoff: of both, a root rounded to the dtype and a product
    assert_within(y, expected, 2 * 3 * budgets.unit(dtype) * np.abs(expected).max(), "Y")
    assert chooser.get_support().nonzero()[0].tolist() == chooser.get_support(indices=True).tolist() == s.indices.tolist()


@pytest.mark.parametrize("settings", SETTINGS)
def test_combinations_of_the_fitted_rows(settings):
    """e holds for rows that `fit` has not seen, where they are combinations of those that it has: also in their distances."""
    x = generic(6, 400)
    chooser = ColumnSparsifier(**settings, random_state=0).fit(x)
    assert chooser.certificate_ == "exact"
    rows = fill(5, 30, 6) @ x
    y, wide = chooser.transform(rows).astype(REAL), rows.astype(REAL)
    norms = np.sqrt((wide**2).sum(axis=1))
    # roundoff: of the rows, sums of 6 products that leave the span; of Y, 3 u; of e, below, all relative to |a| |b| (1 + e)
    size = np.abs(fill(5, 30, 6)).sum(axis=1).max() * np.abs(x).max() * np.sqrt(x.shape[1]) / norms.min()
    slack = (1 + chooser.epsilon_) * (2 * 7 * size * chooser.weights_.max() + 400 * x.shape[1]) * budgets.unit(np.float64)
    assert (np.abs(y @ y.T - wide @ wide.T) <= (chooser.epsilon_ + slack) * np.outer(norms, norms)).all()
    apart = [((z[:, None] - z) ** 2).sum(axis=2)[np.triu_indices(30, 1)] for z in (y, wide)]
    slack *= 4 * (norms.max() ** 2 / apart[1].min())  # of differences, against the least of them
    assert (np.abs(apart[0] / apart[1] - 1) <= chooser.epsilon_ + slack).all()


def test_unweighted():
    x = generic(6, 400)
    chooser = ColumnSparsifier(columns=40, weighted=False, random_state=0).fit(x)
    assert (chooser.transform(x) == x[:, chooser.columns_]).all()
    assert (chooser.weights_ != 1).all()


@pytest.mark.parametrize("layout", ["dense", "csc", "csr"])
@pytest.mark.parametrize("weighted", [True, False])
def test_inverse(weighted, layout):
    x = generic(6, 400, np.float32) if layout == "dense" else sparse(6, 400, layout, np.float32)
    chooser = ColumnSparsifier(columns=40, weighted=weighted, random_state=0).fit(x)
    back = chooser.inverse_transform(chooser.transform(x))
    if layout != "dense":
        x, back = x.toarray(), back.toarray()
    assert back.dtype == np.float32
    expected = x * chooser.get_support()
    # roundoff: the root rounded twice, a product and a quotient
    assert_within(back, expected, 4 * budgets.unit(np.float32) * np.abs(x).max(), "X")
    with pytest.raises(ValueError, match="X has 400 features, but 40 columns"):
        chooser.inverse_transform(x)


def test_other_kinds_of_input():
    """What scikit-learn converts: formats, integers, lists; and indices of csr out of order, which `sparsify` refuses."""
    whole = np.floor(fill(2, 5, 90, low=-4, high=5))
    columns = ColumnSparsifier(columns=20, random_state=0).fit(whole).columns_
    csr = scipy.sparse.csr_array(whole)
    for i in range(5):
        entries = slice(csr.indptr[i], csr.indptr[i + 1])
        csr.indices[entries], csr.data[entries] = csr.indices[entries][::-1].copy(), csr.data[entries][::-1].copy()
    csr.has_sorted_indices = False
    before = csr.indices.tobytes()
    kinds = [whole.astype(int), whole.tolist(), np.asfortranarray(whole), whole[::-1][::-1], csr, scipy.sparse.coo_array(whole)]
    for kind in kinds:
        chooser = ColumnSparsifier(columns=20, random_state=0).fit(kind)
        y = chooser.transform(kind)
        assert y.dtype == np.float64
        assert (chooser.columns_ == columns).all()
        assert ((y.toarray() if scipy.sparse.issparse(y) else y) == whole[:, columns] * np.sqrt(chooser.weights_)).all()
    assert csr.indices.tobytes() == before


def test_all_columns():
    x = generic(6, 10)
    chooser = ColumnSparsifier(columns=50).fit(x)
    assert (chooser.transform(x) == x).all()
    assert (chooser.epsilon_, chooser.rank_) == (0, None)


def test_seeds():
    x = generic(6, 400)

    def chosen(random_state):
        return ColumnSparsifier(columns=30, random_state=random_state).fit(x).columns_.tolist()

    assert chosen(3) == chosen(np.int64(3)) != chosen(4)
    state = np.random.RandomState(0)
    first, second = chosen(state), chosen(state)
    assert first != second
    assert first == chosen(np.random.RandomState(0))
    kept = np.random.get_state()  # the global state is what None is about
    try:
        np.random.seed(5)
        first = chosen(None)
        np.random.seed(5)
        assert first == chosen(None) != chosen(None)
    finally:
        np.random.set_state(kept)


def test_the_example():
    """Its e holds for what it prints of all pairs, to the digits that it prints; deterministic choice keeps its bound."""
    text = run("column_sparsifier.py", "--samples", 60, "--wavelengths", 2000)
    printed = 0.005
    for method in ("deterministic", "leverage"):
        for line in [line for line in text.splitlines() if method in line]:
            columns, e, low, high = numbers(
                rf"{NUMBER} by {method}.*e = {NUMBER}, squared distances times {NUMBER} to {NUMBER}", line
            )
            assert 1 - e - 2 * printed <= low <= high <= 1 + e + 2 * printed
            assert method == "leverage" or e <= 2 * (columns / 15) ** 0.5 / (columns / 15 + 1) + printed
    assert text.count(" by ") == 6
