"""Sparsifiers: attention, the softmax's error beside its bound, pairs, and their life."""

import copy
import gc
import pickle
import threading

import numpy as np
import pytest
import subquad
from conv_reference import softmax as causal_softmax
from reference import assert_within, fill, problem
from sparsify_reference import REAL, check_certificate, check_columns, generic, radius, softmax, sparse, whiten

import budgets
import oracle
import sparsify_budgets

DTYPES = [np.float32, np.float64]
SETTINGS = [{"columns": 60}, {"method": "deterministic", "columns": 40}, {"method": "gram"}]


def small(n, d, dtype=np.float64, stream=0):
    """Rows of norm about 1: logits that leave the softmax something to say."""
    return (generic(n, d, dtype, stream) / np.sqrt(d / 3)).astype(dtype)


def check_attention(s, y_q, y_k, v, **settings):
    o, lse, report = s.attention(v, return_lse=True, return_report=True, **settings)
    whole = problem(y_q, y_k, v, **({"scale": 1.0} | settings))
    roundoff = budgets.forward(whole, v.dtype)
    expected_o, expected_lse = oracle.attention(whole)
    assert (o.dtype, lse.dtype) == (v.dtype, v.dtype)
    assert (o.shape, lse.shape) == ((y_q.shape[0], v.shape[1]), (y_q.shape[0],))
    assert_within(o, expected_o, roundoff["o"], "o")
    assert_within(lse, expected_lse, roundoff["lse"], "lse")
    assert report["pairs"] == oracle.pairs(whole)
    assert s.attention(v, **settings).tobytes() == o.tobytes()
    return o


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "settings", [{}, {"scale": 0.25}, {"scale": -2.0}, {"causal": True}, {"causal": True, "causal_offset": 3}]
)
@pytest.mark.parametrize("how", SETTINGS)
def test_attention(how, settings, dtype):
    x, v = small(9, 200, dtype), fill(5, 9, 4, dtype=dtype)
    s = subquad.sparsify(x, **how)
    y = s.y
    o = check_attention(s, y, y, v, **settings)
    out = np.full((9, 8), np.nan, dtype)[:, ::2]
    assert s.attention(v, out=out, **settings) is out
    assert (out == o).all()
    strided = np.asfortranarray(v)[::-1].copy()[::-1]
    assert (s.attention(strided, **settings) == o).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, {"scale": 0.5}, {"causal": True, "causal_offset": 2}])
@pytest.mark.parametrize("how", SETTINGS)
def test_attention_of_a_pair(how, settings, dtype):
    q, k, v = small(5, 200, dtype), small(7, 200, dtype, stream=1), fill(5, 7, 3, dtype=dtype)
    s = subquad.sparsify_pair(q, k, **how)
    check_attention(s, s.y_q, s.y_k, v, **settings)


@pytest.mark.parametrize("layout", ["csc", "csr"])
def test_attention_of_a_sparse_matrix(layout):
    x, v = sparse(9, 300, layout), fill(5, 9, 4)
    s = subquad.sparsify(x, columns=60)
    y = s.y.toarray()
    o, plain = s.attention(v), subquad.attention(y, y, v, scale=1.0)
    assert_within(o, plain, 2 * budgets.forward(problem(y, y, v, scale=1.0), v.dtype)["o"], "o")


@pytest.mark.parametrize("shape", [(0, 5, 2), (4, 0, 2), (4, 5, 0), (0, 0, 0)])
def test_attention_of_nothing(shape):
    n, d, width = shape
    s = subquad.sparsify(np.zeros((n, d)), columns=3)
    assert (s.attention(np.ones((n, width))) == np.ones((n, width))).all()  # equal weights


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 0.25, -1.5])
@pytest.mark.parametrize("how", SETTINGS)
def test_softmax_error(how, scale, dtype):
    """The oracle's, and within the certificate's bound."""
    x = small(8, 200, dtype)
    s = subquad.sparsify(x, **how, certify="exact")
    check_softmax_error(s, s.softmax_error(x, scale=scale), (x, x), (s.y, s.y), scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", SETTINGS)
def test_softmax_error_of_a_pair(how, dtype):
    q, k = small(8, 200, dtype), small(5, 200, dtype, stream=1)
    s = subquad.sparsify_pair(q, k, **how, certify="exact")
    check_softmax_error(s, s.softmax_error(q, k, scale=0.5), (q, k), (s.y_q, s.y_k), 0.5)


def check_softmax_error(s, found, true, taken, scale):
    p, p_tilde = (softmax(scale * (a.astype(REAL) @ b.astype(REAL).T)) for a, b in (true, taken))
    error, ratio = np.abs(p - p_tilde).max(), np.exp(np.abs(np.log(p) - np.log(p_tilde)).max())
    # roundoff: two sums of products, of d and of m terms, per logit, and their exponentials
    largest = max(radius(a) for a in true)
    slack = abs(scale) * 4 * (true[0].shape[1] + s.shape[1] + 4) * budgets.unit(s.dtype) * largest * (1 + s.epsilon)
    slack += 8 * budgets.EXP_ERROR * budgets.unit(np.float64)
    assert isinstance(found.error, float)
    assert tuple(found) == (found.error, found.ratio)
    assert_within(np.array(found.error), np.array(error), slack, "error")
    assert_within(np.array(found.ratio), np.array(ratio), slack * ratio, "ratio")
    assert found.ratio <= s.ratio_bound(scale) * (1 + slack)
    bound = np.exp(2 * s.epsilon * abs(scale) * s.radius)
    assert_within(
        np.array(s.ratio_bound(scale)), np.array(bound), 16 * budgets.unit(np.float64) * bound * (1 + np.log(bound)), "bound"
    )


@pytest.mark.parametrize("other", [sparse(8, 200), sparse(8, 200, "csr")])
def test_softmax_error_of_other_kinds(other):
    """However the matrix is given; the same numbers to round-off."""
    x = other.toarray()
    s = subquad.sparsify(other, columns=60)
    blocks = subquad.column_blocks(lambda first, last: x[:, first:last], *x.shape, x.dtype, block_columns=11)
    errors = np.array([s.softmax_error(given, scale=0.1) for given in (x, other, blocks)])
    assert (np.abs(errors - errors[0]) <= 16 * 200 * budgets.unit(x.dtype) * radius(x)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", SETTINGS[:2])
def test_pairs(how, dtype):
    """The selection is that of the stack; each half of Y is of the kind that q or k is."""
    q, k = sparse(4, 250, "csc", dtype), sparse(6, 250, "csr", dtype, stream=8)
    stack = np.concatenate([q.toarray(), k.toarray()])
    s = subquad.sparsify_pair(q.toarray(), k.toarray(), **how, certify="exact")
    plain = subquad.sparsify(stack, **how, certify="exact")
    assert (s.indices == plain.indices).all()
    check_certificate(s, stack)
    y = check_columns(s, stack)
    assert (s.y_q.tobytes(), s.y_k.tobytes()) == (y[:4].tobytes(), y[4:].tobytes())
    norms = [np.sqrt((part.toarray().astype(np.float64) ** 2).sum(axis=1).max()) for part in (q, k)]
    assert_within(
        np.array(s.radius), np.array(norms[0] * norms[1]), 600 * budgets.unit(np.float64) * norms[0] * norms[1], "radius"
    )

    blocks = subquad.column_blocks(lambda first, last: k.toarray()[:, first:last], *k.shape, dtype)
    for pair in ((q, k), (q, k.toarray()), (q.toarray(), k), (q, blocks), (np.asfortranarray(q.toarray()), blocks)):
        other = subquad.sparsify_pair(*pair, **how, certify="exact")
        if s.method == "leverage" and other.report["scores"] == s.report["scores"]:
            assert (other.indices == s.indices).all()
        check_certificate(other, stack)
        assert [hasattr(part, "toarray") for part in (other.y_q, other.y_k)] == [hasattr(part, "toarray") for part in pair]
        halves = [part.toarray() if hasattr(part, "toarray") else part for part in (other.y_q, other.y_k)]
        expected = np.sqrt(other.weights) * stack[:, other.indices]
        assert_within(np.concatenate(halves), expected, 3 * budgets.unit(dtype) * np.abs(expected).max(), "y")
    both = subquad.sparsify_pair(q, k, **how)
    assert (both.y.format, both.y.shape) == ("csc", both.shape)
    assert (both.y.toarray() == np.concatenate([both.y_q.toarray(), both.y_k.toarray()])).all()
    assert isinstance(subquad.sparsify_pair(q, k.toarray(), **how).y, np.ndarray)


def test_a_pair_of_nothing():
    q, k = np.zeros((0, 9)), generic(3, 9)
    s = subquad.sparsify_pair(q, k, columns=5)
    assert (s.shape, s.y_q.shape, s.y_k.shape, s.radius) == ((3, 5), (0, 5), (3, 5), 0)
    assert s.attention(np.ones((3, 2))).shape == (0, 2)


def test_repr():
    x = np.eye(3, 8, dtype=np.float32)
    s = subquad.sparsify(x, columns=8)
    assert repr(s) == "Sparsifier(shape=(3, 8), method='leverage', epsilon=0 (exact), dtype=float32)"
    s.close()
    assert repr(s) == "Sparsifier(shape=(3, 8), method='leverage', epsilon=0 (exact), dtype=float32, closed)"
    assert repr(subquad.sparsify(x, columns=2, certify=False)) == "Sparsifier(shape=(3, 2), method='leverage', dtype=float32)"


@pytest.mark.parametrize("x", [generic(3, 40), sparse(3, 40)])
def test_results_are_copies(x):
    s = subquad.sparsify(x, columns=9)
    before = s.y if isinstance(x, np.ndarray) else s.y.toarray()
    for array in (s.indices, s.weights, s.y if isinstance(x, np.ndarray) else s.y.data):
        array[...] = 7
    if isinstance(x, np.ndarray):
        x[...] = 5
    else:
        x.data[...] = 5
    after = s.y if isinstance(x, np.ndarray) else s.y.toarray()
    assert (after == before).all()
    assert (s.weights != 7).all()


CALLS = {
    "indices": lambda s: s.indices,
    "weights": lambda s: s.weights,
    "y": lambda s: s.y,
    "y_q": lambda s: s.y_q,
    "ratio_bound": lambda s: s.ratio_bound(),
    "attention": lambda s: s.attention(np.zeros((3, 1))),
    "softmax_error": lambda s: s.softmax_error(np.zeros((3, 40))),
}


@pytest.mark.parametrize("x", [generic(3, 40), sparse(3, 40)])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_closed(call, x):
    with subquad.sparsify(x, columns=9) as s:
        epsilon = s.epsilon
    s.close()  # again
    with pytest.raises(ValueError, match=r"^the Sparsifier is closed") as caught:
        call(s)
    assert caught.value.name == "ERR_NULL"
    assert (s.shape, s.epsilon, s.method, s.report["width"]) == ((3, 9), epsilon, "leverage", 9)


def test_the_sparsifier_of_one_matrix_has_no_parts():
    s = subquad.sparsify(generic(3, 40), columns=9)
    for name in ("y_q", "y_k"):
        with pytest.raises(ValueError, match=f"^{name} belongs to a pair") as caught:
            getattr(s, name)
        assert caught.value.name == "ERR_CONFLICT"


@pytest.mark.parametrize("twin", [pickle.dumps, copy.copy, copy.deepcopy])
def test_there_is_no_pickling(twin):
    with pytest.raises(TypeError, match="a Sparsifier cannot be pickled"):
        twin(subquad.sparsify(generic(3, 40), columns=9))


def test_closing_waits_for_the_calls_of_other_threads():
    s, v = subquad.sparsify(small(600, 900, np.float32), columns=100, certify=False), fill(0, 600, 64, dtype=np.float32)
    expected = s.attention(v)
    results = []

    def work():
        try:
            for _ in range(50):
                results.append(s.attention(v, threads=1))
        except ValueError:
            results.append(expected)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    while not results:
        pass
    s.close()
    for worker in workers:
        worker.join()
    assert all(result.tobytes() == expected.tobytes() for result in results)


def test_collection_releases_the_memory():
    destroyed = []
    s = subquad.sparsify(generic(3, 40), columns=9)
    destroy = s._handle._destroy
    s._handle._destroy = lambda pointer: (destroyed.append(pointer), destroy(pointer))
    del s
    gc.collect()
    assert len(destroyed) == 1


def test_values_of_the_oracle():
    """The softmax of the tests, by the one of the conv bases: a last row sees all."""
    h = fill(0, 5, 5).astype(REAL)
    assert np.abs(softmax(h)[-1] - causal_softmax(h)[0][-1]).max() <= 16 * np.finfo(REAL).eps
    w = whiten(generic(3, 20))
    assert np.abs(w.v @ w.v.T - np.eye(3)).max() <= 20 * np.finfo(REAL).eps
    assert sparsify_budgets.certificate(w, 0, 20, 0, np.float64) > 0
