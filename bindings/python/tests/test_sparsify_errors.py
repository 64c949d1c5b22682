"""What sparsifiers refuse, when they are made and when they are used: code, argument and value."""

import numpy as np
import pytest
import scipy.sparse
import subquad
from conv_reference import changed, refused
from reference import fill
from sparsify_reference import generic, sparse

X = generic(4, 30)
V = fill(5, 4, 2)
S = subquad.sparsify(X, columns=10)
Q, K = generic(3, 30), generic(5, 30, stream=1)
PAIR = subquad.sparsify_pair(Q, K, columns=12)


def damaged(part, array):
    """A sparse matrix one of whose arrays was replaced."""
    x = sparse(4, 30)
    setattr(x, part, array(getattr(x, part)))
    return x


def first_row_unsorted():
    x = sparse(4, 30, "csr", share=0.9)
    x.indices[:2] = x.indices[1::-1].copy()
    return x


MATRICES = [
    (None, "ERR_NULL", r"^x is None, not a numpy.ndarray"),
    (
        [[1.0]],
        "ERR_DTYPE",
        r"^x is a builtins.list, not a numpy.ndarray, a csc or csr matrix of scipy.sparse, or subquad.column_blocks",
    ),
    ("x", "ERR_DTYPE", r"^x is a builtins.str"),
    (X.astype(np.float16), "ERR_DTYPE", r"^x is float16"),
    (X.astype(np.int64), "ERR_DTYPE", r"^x\b.*int64"),
    (X.astype(">f8"), "ERR_DTYPE", r"^x is >f8, byte-swapped"),
    (X.astype(complex), "ERR_DTYPE", r"^x is complex128"),
    (np.ma.masked_array(X), "ERR_DTYPE", r"^x is a masked array"),
    (X[0], "ERR_SHAPE", r"^x has 1 dimensions, not 2 \["),
    (X[None], "ERR_SHAPE", r"^x\b.*3"),
    (changed(X, (2, 17), np.nan), "ERR_NONFINITE", r"^x\[2, 17\] is nan"),
    (changed(np.asfortranarray(X), (3, 0), -np.inf), "ERR_NONFINITE", r"^x\[3, 0\] is -inf"),
    (np.full((2, 30), 1e200), "ERR_OVERFLOW", r"^x\b"),
    (
        scipy.sparse.coo_array(X),
        "ERR_DTYPE",
        r"^x is a scipy.sparse matrix of format coo, not csc or csr; convert it with .tocsc\(\)",
    ),
    (scipy.sparse.lil_matrix(X), "ERR_DTYPE", r"^x is .* of format lil"),
    (scipy.sparse.bsr_array(X), "ERR_DTYPE", r"^x is .* of format bsr"),
    (sparse(4, 30).astype(np.int64), "ERR_DTYPE", r"^x\b.*int64"),
    (sparse(4, 30).astype(complex), "ERR_DTYPE", r"^x.data is complex128"),
    (damaged("data", lambda a: a.astype(np.float16)), "ERR_DTYPE", r"^x.data is float16"),
    (damaged("data", lambda a: np.repeat(a, 2)[::2]), "ERR_STRIDE", r"^x.data has stride 2, not 1: copy the matrix"),
    (damaged("data", lambda a: a[:-1]), "ERR_VALUE", r"^x.indptr, the offsets, ends with \d+, but x.indices has \d+ entries"),
    (damaged("data", lambda a: changed(a, 3, np.nan)), "ERR_NONFINITE", r"^x\[\d+, \d+\] is nan"),
    (damaged("indices", lambda a: a.astype(np.int64)), "ERR_DTYPE", r"^x.indices is int64, x.indptr is int32"),
    (damaged("indices", lambda a: a.astype(np.float64)), "ERR_DTYPE", r"^x.indices is float64"),
    (damaged("indices", lambda a: changed(a, 5, 4)), "ERR_VALUE", r"^x.indices\[5\] is 4, not in \[0, 4\)"),
    (damaged("indices", lambda a: changed(a, 0, -1)), "ERR_VALUE", r"^x.indices\[0\] is -1"),
    (damaged("indptr", lambda a: a[:-1]), "ERR_SHAPE", r"^x.indptr has shape \(30,\), not \(31,\)"),
    (damaged("indptr", lambda a: a[None]), "ERR_SHAPE", r"^x.indptr has shape"),
    (damaged("indptr", lambda a: changed(a, 0, 1)), "ERR_VALUE", r"^x.indptr\[0\] is 1; offsets must not fall"),
    (damaged("indptr", lambda a: changed(a, 3, 10**6)), "ERR_VALUE", r"^x.indptr\[3\] is 1000000; offsets must not fall"),
    (damaged("indptr", lambda a: changed(a, -1, -5)), "ERR_VALUE", r"^x.indptr, the offsets, ends with -5"),
    (first_row_unsorted(), "ERR_VALUE", r"^x.indices\[1\] is .*, as x.sort_indices\(\) does"),
]


@pytest.mark.parametrize("function", [lambda x: subquad.sparsify(x, columns=5), subquad.leverage_scores])
@pytest.mark.parametrize(("x", "name", "words"), MATRICES)
def test_matrices(x, name, words, function):
    refused(name, words, function, x)


@pytest.mark.parametrize(("x", "name", "words"), MATRICES)
def test_queries_and_keys(x, name, words):
    """Each by its own name."""
    for argument, pair in (("q", (x, K)), ("k", (Q, x))):
        refused(name, words.replace("^x", f"^{argument}").replace("x.", f"{argument}."), subquad.sparsify_pair, *pair, columns=5)


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ({}, "ERR_CONFLICT", r"\bcolumns\b.*\beps\b"),
        ({"columns": 5, "eps": 0.5}, "ERR_CONFLICT", r"\bcolumns\b.*\beps\b"),
        ({"method": "gram", "columns": 5}, "ERR_CONFLICT", r"\bcolumns\b"),
        ({"method": "gram", "eps": 0.5}, "ERR_CONFLICT", r"\beps\b"),
        ({"columns": 0}, "ERR_VALUE", r"^columns is 0"),
        ({"columns": -3}, "ERR_VALUE", r"^columns is -3"),
        ({"columns": 2**63}, "ERR_VALUE", r"^columns is 9223372036854775808"),
        ({"columns": 5.0}, "ERR_TYPE", r"^columns is 5.0 of type float"),
        ({"columns": True}, "ERR_TYPE", r"^columns is True"),
        ({"eps": 0}, "ERR_VALUE", r"^eps is 0"),
        ({"eps": 1.0}, "ERR_VALUE", r"^eps is 1"),
        ({"eps": -0.5}, "ERR_VALUE", r"^eps is -0.5"),
        ({"eps": float("nan")}, "ERR_VALUE", r"^eps is nan"),
        ({"eps": "0.5"}, "ERR_TYPE", r"^eps is '0.5'"),
        ({"columns": 5, "delta": 0.0}, "ERR_VALUE", r"^delta is 0"),
        ({"columns": 5, "delta": 0.75}, "ERR_VALUE", r"^delta is 0.75"),
        ({"columns": 5, "seed": -1}, "ERR_VALUE", r"^seed is -1"),
        ({"columns": 5, "seed": 2**63}, "ERR_VALUE", r"^seed is 9223372036854775808"),
        ({"columns": 5, "method": "magic"}, "ERR_VALUE", r"^method is 'magic', not one of leverage, deterministic, gram"),
        ({"columns": 5, "method": 1}, "ERR_VALUE", r"^method is 1 of type int, not one of 'leverage', 'deterministic', 'gram'"),
        ({"columns": 5, "method": "exact"}, "ERR_VALUE", r"^method is 'exact'"),
        ({"columns": 5, "certify": "none"}, "ERR_VALUE", r"^certify is 'none', not one of False, auto, exact, estimate"),
        (
            {"columns": 5, "certify": True},
            "ERR_TYPE",
            r"^certify is True of type bool, not one of False, 'auto', 'exact', 'estimate'",
        ),
        ({"columns": 5, "certify": 0}, "ERR_VALUE", r"^certify is 0 of type int, not one of False"),
        ({"columns": 5, "check_finite": 1}, "ERR_VALUE", r"^check_finite is 1"),
        ({"columns": 5, "threads": 0}, "ERR_VALUE", r"^threads is 0"),
        ({"columns": 4, "method": "deterministic"}, "ERR_VALUE", r"\bcolumns\b.*4"),
        ({"columns": 1, "method": "deterministic"}, "ERR_VALUE", r"\bcolumns\b.*1\b.*4"),
    ],
)
def test_settings(settings, name, words):
    refused(name, words, subquad.sparsify, X, **settings)
    if settings.get("method") != "deterministic":
        refused(name, words, subquad.sparsify_pair, Q, K, **settings)


def test_an_estimate_needs_more_passes_than_blocks_give():
    blocks = subquad.column_blocks(lambda first, last: X[:, first:last], *X.shape, X.dtype)
    refused("ERR_UNSUPPORTED", r"\bcertify\b", subquad.sparsify, blocks, columns=5, certify="estimate")


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ({"method": "magic"}, "ERR_VALUE", r"^method is 'magic', not one of exact, sketch"),
        ({"method": "leverage"}, "ERR_VALUE", r"^method is 'leverage'"),
        ({"method": 2}, "ERR_VALUE", r"^method is 2 of type int"),
        ({"delta": 0.0}, "ERR_VALUE", r"^delta is 0"),
        ({"delta": 1}, "ERR_VALUE", r"^delta is 1"),
        ({"seed": 1.5}, "ERR_TYPE", r"^seed is 1.5"),
        ({"check_finite": None, "threads": -2}, "ERR_VALUE", r"^threads is -2"),
    ],
)
def test_settings_of_scores(settings, name, words):
    refused(name, words, subquad.leverage_scores, X, **settings)


@pytest.mark.parametrize(
    ("q", "k", "name", "words"),
    [
        (Q, K[:, :29], "ERR_SHAPE", r"^k\b.*29.*30"),
        (Q, K.astype(np.float32), "ERR_DTYPE", r"^k\b.*float32.*float64"),
        (sparse(3, 30, dtype=np.float32), K, "ERR_DTYPE", r"^k\b.*float64.*float32"),
        (changed(Q, (1, 3), np.inf), changed(K, (0, 0), np.nan), "ERR_NONFINITE", r"^q\[1, 3\] is inf"),
        (Q, changed(K, (4, 29), np.nan), "ERR_NONFINITE", r"^k\[4, 29\] is nan"),
        (Q, np.full((2, 30), 1e200), "ERR_OVERFLOW", r"^k\b"),
    ],
)
def test_pairs_that_do_not_fit(q, k, name, words):
    refused(name, words, subquad.sparsify_pair, q, k, columns=12)


@pytest.mark.parametrize(
    ("v", "settings", "name", "words"),
    [
        (V[:3], {}, "ERR_SHAPE", r"^v\b.*3.*4"),
        (V[0], {}, "ERR_SHAPE", r"^v has 1 dim"),
        (V[None], {}, "ERR_SHAPE", r"^v\b"),
        (V.astype(np.float32), {}, "ERR_DTYPE", r"^v\b.*float32.*float64"),
        (V.tolist(), {}, "ERR_DTYPE", r"^v is a builtins.list, not a numpy.ndarray$|^v is a builtins.list"),
        (None, {}, "ERR_NULL", r"^v is None"),
        (changed(V, (2, 1), np.nan), {}, "ERR_NONFINITE", r"^v\[2, 1\] is nan"),
        (V, {"scale": "1"}, "ERR_TYPE", r"^scale is '1'"),
        (V, {"scale": float("inf")}, "ERR_VALUE", r"^scale is inf"),
        (V, {"causal": 1}, "ERR_VALUE", r"^causal is 1"),
        (V, {"causal_offset": 0.5}, "ERR_TYPE", r"^causal_offset is 0.5"),
        (V, {"check_finite": "no"}, "ERR_TYPE", r"^check_finite is 'no'"),
        (V, {"threads": 0}, "ERR_VALUE", r"^threads is 0"),
        (V, {"out": np.empty((4, 3))}, "ERR_SHAPE", r"^out has"),
        (V, {"out": np.empty((4, 2), np.float32)}, "ERR_DTYPE", r"^out is|^out has"),
        (V, {"out": np.broadcast_to(np.empty(2), (4, 2))}, "ERR_VALUE", r"^out is read-only"),
        (V, {"out": V}, "ERR_ALIAS", r"^out "),
        (V, {"out": [[0.0]]}, "ERR_DTYPE", r"^out is a builtins.list"),
    ],
)
def test_attention(v, settings, name, words):
    before = V.tobytes()
    refused(name, words, S.attention, v, **settings)
    assert V.tobytes() == before


def test_attention_of_a_pair():
    refused("ERR_SHAPE", r"^v\b.*3.*5", PAIR.attention, fill(5, 3, 2))
    refused("ERR_CONFLICT", r"^causal_offset\b|\bcausal_offset\b", PAIR.attention, fill(5, 5, 2), causal=True)


def test_logits_that_overflow():
    s = subquad.sparsify(X * 1e150, columns=20)
    refused("ERR_OVERFLOW", "logit", s.attention, V, scale=1e30)


@pytest.mark.parametrize(
    ("s", "matrices", "settings", "name", "words"),
    [
        (S, (X[:3],), {}, "ERR_SHAPE", r"^x\b.*3.*4"),
        (S, (X.astype(np.float32),), {}, "ERR_DTYPE", r"^x\b.*float32.*float64"),
        (S, (X, X), {}, "ERR_CONFLICT", r"\bk\b"),
        (S, (None,), {}, "ERR_NULL", r"^x is None"),
        (S, (changed(X, (1, 2), np.nan),), {}, "ERR_NONFINITE", r"^x\[1, 2\] is nan"),
        (S, (X,), {"scale": float("nan")}, "ERR_VALUE", r"^scale is nan"),
        (S, (X,), {"threads": 0}, "ERR_VALUE", r"^threads is 0"),
        (PAIR, (Q,), {}, "ERR_CONFLICT", r"\bk\b"),
        (PAIR, (Q, K[:4]), {}, "ERR_SHAPE", r"^k\b.*4.*5"),
        (PAIR, (K, Q), {}, "ERR_SHAPE", r"^(x|q)\b.*5.*3"),
    ],
)
def test_softmax_error(s, matrices, settings, name, words):
    refused(name, words, s.softmax_error, *matrices, **settings)


@pytest.mark.parametrize(
    ("scale", "name"), [("1", "ERR_TYPE"), (True, "ERR_TYPE"), (float("nan"), "ERR_VALUE"), (10**400, "ERR_VALUE")]
)
def test_ratio_bound(scale, name):
    refused(name, "^scale is", S.ratio_bound, scale)


def test_after_an_error_the_next_call_works():
    refused("ERR_VALUE", "columns", subquad.sparsify, X, columns=0)
    assert (subquad.sparsify(X, columns=10).indices == S.indices).all()
