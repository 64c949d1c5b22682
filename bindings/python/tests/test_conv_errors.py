"""What a ConvBasis refuses, when it is made and when it is used: code, argument and value."""

import numpy as np
import pytest
import subquad
from conv_reference import changed, make, refused
from reference import fill

KERNELS = fill(0, 2, 6)
H = np.tril(fill(1, 6, 6))
BASIS = make(6, 2, 4)
X = fill(2, 4, 6, 3)


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"starts": [0, 0]}, "ERR_VALUE", r"^starts"),
        ({"starts": [3, 1]}, "ERR_VALUE", r"^starts"),
        ({"starts": [-1, 1]}, "ERR_VALUE", r"^starts.*-1"),
        ({"starts": [0, 7]}, "ERR_VALUE", r"^starts.*7"),
        ({"starts": [6, 0]}, "ERR_VALUE", r"^starts"),
        ({"starts": [0, 1, 2]}, "ERR_SHAPE", r"^(starts|kernels).*3"),
        ({"starts": [[0, 1]]}, "ERR_SHAPE", r"^(starts|kernels)"),
        ({"starts": [0, 0.5]}, "ERR_VALUE", r"^starts is \[0, 0.5\]"),
        ({"starts": [0, 2**63]}, "ERR_VALUE", r"^starts is \[0, 9223372036854775808\]"),
        ({"starts": [0, [1]]}, "ERR_VALUE", r"^starts is"),
        ({"starts": "ab"}, "ERR_VALUE", r"^starts is 'ab'"),
        ({"starts": None}, "ERR_NULL", r"^starts is None"),
        ({"starts": np.array([0, 1], np.int32)}, "ERR_DTYPE", r"^starts"),
        ({"starts": np.array([0.0, 1.0])}, "ERR_DTYPE", r"^starts"),
        ({"kernels": None}, "ERR_NULL", r"^kernels is None"),
        ({"kernels": KERNELS.tolist()}, "ERR_DTYPE", r"^kernels is a builtins.list"),
        ({"kernels": KERNELS[0]}, "ERR_SHAPE", r"^kernels has 1 dim"),
        ({"kernels": KERNELS.astype(int)}, "ERR_DTYPE", r"^kernels"),
        ({"kernels": KERNELS.astype(np.float16)}, "ERR_DTYPE", r"^kernels is float16"),
        ({"kernels": changed(KERNELS, (1, 4), np.nan)}, "ERR_NONFINITE", r"^kernels\[.*1, .*4\] is nan"),
        ({"kernels": np.full((2, 6), 1.5e308)}, "ERR_OVERFLOW", r"kernels"),
        ({"cumulative": 1}, "ERR_VALUE", r"^cumulative is 1"),
        ({"check_finite": "no"}, "ERR_TYPE", r"^check_finite"),
        ({"threads": 0}, "ERR_VALUE", r"^threads is 0"),
    ],
)
def test_parts(change, name, words):
    refused(name, words, subquad.ConvBasis, **({"starts": [0, 1], "kernels": KERNELS} | change))


def test_what_is_never_read_may_hold_anything():
    kernels = changed(KERNELS, (1, 5), np.nan)  # basis 1 starts at column 1: it has five entries
    assert np.isfinite(subquad.ConvBasis(starts=[0, 1], kernels=kernels).to_dense()).all()


@pytest.mark.parametrize(
    ("h", "name", "words"),
    [
        (changed(H, (2, 4), 1.0), "ERR_VALUE", r"^h\[.*2, .*4\] is 1"),
        (changed(H, (4, 2), np.inf), "ERR_NONFINITE", r"^h\[.*4, .*2\] is inf"),
        (H[:5], "ERR_SHAPE", r"^h has shape"),
        (H[0], "ERR_SHAPE", r"^h has 1"),
        (H.astype(np.int64), "ERR_DTYPE", r"^h"),
        (None, "ERR_NULL", r"^h is None"),
    ],
)
def test_dense(h, name, words):
    refused(name, words, subquad.ConvBasis.from_dense, h)


@pytest.mark.parametrize(
    ("column", "name", "words"),
    [
        (np.zeros((1, 1, 1, 1)), "ERR_SHAPE", r"^column has 4 dim"),
        ([0.0], "ERR_DTYPE", r"^column is a builtins.list"),
        (np.array([0.0, np.nan]), "ERR_NONFINITE", r"^column\[.*1\] is nan"),
        (np.array([0, 1]), "ERR_DTYPE", r"^column"),
    ],
)
def test_toeplitz(column, name, words):
    refused(name, words, subquad.ConvBasis.toeplitz, column)


@pytest.mark.parametrize(
    ("bias", "settings", "name", "words"),
    [
        (fill(0, 1, 5), {"n": 6}, "ERR_VALUE", r"^bias covers lags 0 to 4, but n = 6 has 0 to 5"),
        (fill(0, 1, 5), {"n": 4, "lag_min": 1}, "ERR_VALUE", r"^bias covers lags 1 to 5"),
        (fill(0, 1, 5), {"n": 4, "lag_min": -3}, "ERR_VALUE", r"^bias covers lags -3 to 1"),
        (fill(0, 1, 5), {"n": -1}, "ERR_VALUE", r"^n is -1"),
        (fill(0, 1, 5), {"n": 2.0}, "ERR_TYPE", r"^n is 2.0"),
        (fill(0, 1, 5), {"lag_min": "0"}, "ERR_TYPE", r"^lag_min is '0'"),
        (fill(0, 5), {}, "ERR_SHAPE", r"^bias has 1 dim"),
        (fill(0, 1, 1, 5), {}, "ERR_SHAPE", r"^bias has 3 dim"),
        (np.array([[0.0, np.inf]]), {}, "ERR_NONFINITE", r"^bias\[.*1\] is inf"),
    ],
)
def test_lag_bias(bias, settings, name, words):
    refused(name, words, subquad.ConvBasis.from_lag_bias, bias, **settings)


@pytest.mark.parametrize("product", ["multiply", "multiply_transposed", "apply", "apply_transposed"])
@pytest.mark.parametrize(
    ("x", "name", "words"),
    [
        (X[:, :5], "ERR_SHAPE", "has shape"),
        (X[:3], "ERR_SHAPE", "3"),
        (X[None, None], "ERR_SHAPE", "5 dim"),
        (X.astype(np.float32), "ERR_DTYPE", "float32|dtype"),
        (X.astype(int), "ERR_DTYPE", ""),
        (changed(X, (1, 2, 0), np.nan), "ERR_NONFINITE", r"\[1, 2, 0\]"),
        (X.tolist(), "ERR_DTYPE", "builtins.list"),
        (None, "ERR_NULL", "None"),
    ],
)
def test_arguments_of_products(product, x, name, words):
    argument = "v" if product == "apply" else "x"
    refused(name, rf"^{argument}\b.*({words})", getattr(BASIS, product), x)


@pytest.mark.parametrize("product", ["multiply", "multiply_transposed", "apply", "apply_transposed"])
@pytest.mark.parametrize(
    ("out", "name"),
    [
        (np.empty((4, 6, 2)), "ERR_SHAPE"),
        (np.empty((6, 3)), "ERR_SHAPE"),
        (np.empty((4, 6, 3), np.float32), "ERR_DTYPE"),
        (np.broadcast_to(np.empty(3), (4, 6, 3)), "ERR_VALUE"),
        (np.lib.stride_tricks.as_strided(np.empty(30), (4, 6, 3), (0, 24, 8)), "ERR_STRIDE"),
        (X, "ERR_ALIAS"),
        ([[0.0]], "ERR_DTYPE"),
    ],
)
def test_out_of_products(product, out, name):
    before = X.tobytes()
    refused(name, r"^out ", getattr(BASIS, product), X, out=out)
    assert X.tobytes() == before


@pytest.mark.parametrize(
    ("x", "out"), [(np.zeros(5), None), (np.zeros(0), None), (np.zeros(6), np.empty(5)), (np.zeros(6), np.empty((6, 1)))]
)
def test_vectors(x, out):
    refused("ERR_SHAPE", "^x has shape" if out is None else "^out has ", make(6, 2).multiply, x, out=out)


def test_the_first_non_finite_element_of_a_vector():
    refused("ERR_NONFINITE", r"^x\[4\] is nan", make(6, 2).multiply, changed(np.zeros(6), 4, np.nan))
    refused("ERR_NONFINITE", r"^x\[4, 0\] is nan", make(6, 2).multiply, changed(np.zeros((6, 1)), (4, 0), np.nan))


def test_vectors_are_for_one_head():
    refused("ERR_SHAPE", "^x has", BASIS.multiply, np.zeros(6))
    refused("ERR_SHAPE", "^v has 1 dim", make(6, 2).apply, np.zeros(6))


def test_products_that_overflow():
    basis = subquad.ConvBasis.toeplitz(np.full(6, 1e300))
    refused("ERR_OVERFLOW", r"^y\[", basis.multiply, np.full(6, 1e300))
    refused("ERR_OVERFLOW", r"^out\[", basis.multiply_transposed, np.full(6, 1e300), out=np.empty(6))


@pytest.mark.parametrize(("strict_causal", "name"), [(1, "ERR_VALUE"), ("yes", "ERR_TYPE"), (None, None)])
def test_flags(strict_causal, name):
    if strict_causal is None:
        BASIS.apply(X, strict_causal=None)
        return
    refused(name, "^strict_causal is", BASIS.apply, X, strict_causal=strict_causal)
    refused(name, "^strict_causal is", BASIS.multiply, X, strict_causal=strict_causal)
