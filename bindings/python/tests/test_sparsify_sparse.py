"""Sparse matrices of SciPy give what the same matrix in memory gives, and a sparse Y."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import subquad
from reference import assert_within
from sparsify_reference import SETTINGS, check, check_same, check_scores, sparse, whiten

import budgets
import sparsify_budgets

N, D = 6, 400


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["csc", "csr"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_sparse(settings, layout, dtype, index_dtype, kind):
    x = sparse(N, D, layout, dtype, index_dtype=index_dtype, kind=kind)
    before = [array.tobytes() for array in (x.data, x.indices, x.indptr)]
    s = subquad.sparsify(x, **settings, certify="exact")
    w = check(s, x.toarray(), settings)
    check_same(s, subquad.sparsify(sparse(N, D, "csc", dtype), **settings), w)
    assert [array.tobytes() for array in (x.data, x.indices, x.indptr)] == before
    if s.method == "gram":
        assert isinstance(s.y, np.ndarray)
        return
    assert type(s.y) is type(x)
    assert (s.y.format, s.y.dtype, s.y.shape) == (layout, dtype, s.shape)
    assert s.y.nnz == x[:, s.indices].nnz
    expected = np.sqrt(s.weights) * x.toarray()[:, s.indices]
    assert_within(s.y.toarray(), expected, 3 * budgets.unit(dtype) * np.abs(expected).max(), "y")


@pytest.mark.parametrize("shape", [(3, 400), (60, 3000)])
@pytest.mark.parametrize("settings", [{"columns": 150}, {"eps": 0.9}])
@pytest.mark.parametrize("layout", ["csc", "csr"])
def test_sampling_from_a_dense_twin(layout, settings, shape):
    """The same columns, where scores are exact for both, and where they are sketched for both (in the same way, at this density)."""
    x = sparse(*shape, layout, share=0.6)
    s, plain = (subquad.sparsify(matrix, **settings, certify=False) for matrix in (x, x.toarray()))
    assert s.report["scores"] == plain.report["scores"]
    assert (s.indices == plain.indices).all()


@pytest.mark.parametrize("layout", ["csc", "csr"])
@pytest.mark.parametrize("method", ["exact", "sketch"])
def test_sparse_scores(method, layout):
    x = sparse(N, D, layout)
    scores = subquad.leverage_scores(x, method=method)
    if method == "exact":
        check_scores(x.toarray(), scores)
    plain = subquad.leverage_scores(x.toarray(), method=method)
    budget = sparsify_budgets.scores(whiten(x.toarray()), x.dtype)
    assert_within(scores, plain, 2 * budget * max(1, plain.max()), "scores")


@pytest.mark.parametrize("layout", ["csc", "csr"])
def test_places_that_are_named_twice_add_up(layout):
    x = sparse(N, D, layout)
    twice = x.copy()
    twice.data = np.repeat(x.data / 2, 2)
    twice.indices = np.repeat(x.indices, 2)
    twice.indptr = 2 * x.indptr
    assert (twice.toarray() == x.toarray()).all()
    s = subquad.sparsify(twice, columns=40, certify="exact")
    check_same(s, subquad.sparsify(x, columns=40), check(s, x.toarray(), {"columns": 40}))
    assert s.y.nnz == 2 * x[:, s.indices].nnz


def test_csc_need_not_be_sorted():
    x = sparse(N, D)
    turned = x.copy()
    for column in range(D):
        entries = slice(x.indptr[column], x.indptr[column + 1])
        turned.indices[entries], turned.data[entries] = x.indices[entries][::-1].copy(), x.data[entries][::-1].copy()
    turned.has_sorted_indices = False
    assert (subquad.sparsify(turned, columns=40).indices == subquad.sparsify(x, columns=40).indices).all()


def test_entries_beyond_the_last_offset_are_not_read():
    x = sparse(N, D)
    longer = x.copy()
    longer.data, longer.indices = np.append(x.data, np.nan), np.append(x.indices, np.int32(10**6))
    assert (subquad.sparsify(longer, columns=40).indices == subquad.sparsify(x, columns=40).indices).all()


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (7, 0), (4, 9)])
@pytest.mark.parametrize("layout", ["csc", "csr"])
def test_nothing_stored(layout, shape):
    x = getattr(scipy.sparse, f"{layout}_array")(shape, dtype=np.float32)
    s = subquad.sparsify(x, columns=2)
    assert (s.shape[0], s.epsilon) == (shape[0], 0)
    assert s.y.nnz == 0
    assert (subquad.leverage_scores(x) == np.zeros(shape[1])).all()


def test_scipy_is_not_imported():
    """Nobody who has no sparse matrix needs it."""
    script = """
import sys, numpy as np, subquad
x = np.ones((2, 9))
subquad.sparsify(x, columns=3).y, subquad.leverage_scores(x)
try:
    subquad.sparsify(object(), columns=3)
except TypeError as failure:
    print(failure)
print("scipy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    said, imported = done.stdout.splitlines()
    assert said.startswith("x is a builtins.object, not a numpy.ndarray, a csc or csr matrix of scipy.sparse, or")
    assert imported == "False"
