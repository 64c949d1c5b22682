"""What finding a basis, attention by this method, its gradients and the loss refuse: code, argument and value."""

import numpy as np
import pytest
import subquad
from conv_reference import changed, pieces, refused
from reference import fill

Q, K = pieces(6, 2)
V = fill(3, 6, 3)
FOUND = {"bases": 2, "window": 2, "delta": 0.5}
SHAPES = {"a1": (6, 2), "a2": (6, 2), "a3": (6, 2), "x": (2, 2), "y": (2, 3), "e": (6, 3)}
LOSS = {name: fill(stream, *shape) for stream, (name, shape) in enumerate(SHAPES.items())}


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"window": 7}, "ERR_VALUE", r"window is 7"),
        ({"window": 0}, "ERR_VALUE", r"^window is 0"),
        ({"window": 1.0}, "ERR_TYPE", r"^window is 1.0"),
        ({"window": None}, "ERR_CONFLICT", r"window"),
        ({"delta": 0.0}, "ERR_VALUE", r"delta is 0"),
        ({"delta": -1.0}, "ERR_VALUE", r"^delta is -1"),
        ({"delta": float("nan")}, "ERR_VALUE", r"^delta is nan"),
        ({"delta": None}, "ERR_CONFLICT", r"delta"),
        ({"eps": 0.06}, "ERR_VALUE", r"eps is 0\.0.*delta"),
        ({"eps": -0.1}, "ERR_VALUE", r"^eps is -0\.1"),
        ({"eps": "0"}, "ERR_TYPE", r"^eps is '0'"),
        ({"bases": None}, "ERR_CONFLICT", r"bases"),
        ({"bases": -1}, "ERR_VALUE", r"^bases is -1"),
        ({"bases": 2.5}, "ERR_TYPE", r"^bases is 2.5"),
        ({"scale": float("inf")}, "ERR_VALUE", r"^scale is inf"),
        ({"threads": 0}, "ERR_VALUE", r"^threads is 0"),
        ({"q": Q[:, :3]}, "ERR_SHAPE", r"^k has shape"),
        ({"k": K[:5]}, "ERR_SHAPE", r"^[qk] has .*5"),
        ({"q": Q[0]}, "ERR_SHAPE", r"^q has 1 dim"),
        ({"k": K.astype(np.float32)}, "ERR_DTYPE", r"^k is "),
        ({"q": changed(Q, (3, 1), np.nan)}, "ERR_NONFINITE", r"^q\[3, 1\]"),
        ({"q": Q * 1e200, "k": K * 1e200}, "ERR_OVERFLOW", r"logit"),
    ],
)
def test_recovery(change, name, words):
    arguments = {"q": Q, "k": K, **FOUND} | change
    refused(name, words, subquad.conv_basis_recover, **arguments)
    if name not in (
        "ERR_CONFLICT",
        "ERR_OVERFLOW",
        "ERR_SHAPE",
    ):  # attention passes the same options on, and has checks of its own
        refused(name, words, subquad.attention, v=V, causal=True, method="conv_basis", **arguments)


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({}, "ERR_CONFLICT", r"bases.*tol|tol.*bases"),
        ({"bases": 2, "tol": 0.1}, "ERR_CONFLICT", r"bases.*tol|tol.*bases"),
        ({"bases": -1}, "ERR_VALUE", r"^bases is -1"),
        ({"tol": 1.5}, "ERR_VALUE", r"^tol is 1.5"),
        ({"tol": "0"}, "ERR_TYPE", r"^tol is '0'"),
        ({"bases": 2, "seed": -1}, "ERR_VALUE", r"^seed is -1"),
        ({"bases": 2, "seed": 0.5}, "ERR_TYPE", r"^seed is 0.5"),
        ({"bases": 2, "k": K[:5]}, "ERR_SHAPE", r"^[qk] has .*5"),
        ({"bases": 2, "k": changed(K, (3, 1), np.inf)}, "ERR_NONFINITE", r"^k\[3, 1\]"),
        ({"bases": 2, "q": Q * 1e200, "k": K * 1e200}, "ERR_OVERFLOW", r"logit"),
    ],
)
def test_fits(change, name, words):
    refused(name, words, subquad.conv_basis_fit, **({"q": Q, "k": K} | change))


METHOD = {"causal": True, "method": "conv_basis", **FOUND}


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        (METHOD | {"causal": False}, "ERR_UNSUPPORTED", r"causal"),
        (METHOD | {"key_ranges": [(0, 3)]}, "ERR_UNSUPPORTED", r"key_ranges"),
        (METHOD | {"causal_offset": 1}, "ERR_UNSUPPORTED", r"causal_offset is 1"),
        (METHOD | {"key_offset": 1}, "ERR_UNSUPPORTED", r"key_offset (is )?1"),
        (METHOD | {"tol": 0.1}, "ERR_CONFLICT", r"tol is 0\.1"),
        (METHOD | {"budget": 0.25}, "ERR_CONFLICT", r"budget is 0\.25"),
        (METHOD | {"estimate": "sampled"}, "ERR_CONFLICT", r"estimate"),
        (METHOD | {"parts": ["conv"]}, "ERR_CONFLICT", r"parts"),
        (METHOD | {"bases": None}, "ERR_CONFLICT", r"bases"),
        (METHOD | {"window": None}, "ERR_CONFLICT", r"window"),
        (METHOD | {"delta": None}, "ERR_CONFLICT", r"delta"),
        (METHOD | {"lag_bias": fill(0, 1, 5)}, "ERR_VALUE", r"lag_bias covers"),
        ({"causal": True, "method": "conv_basis"}, "ERR_CONFLICT", r"bases"),
        ({"bases": 2}, "ERR_CONFLICT", r"bases"),
        ({"window": 2}, "ERR_CONFLICT", r"window"),
        ({"delta": 2.0}, "ERR_CONFLICT", r"delta"),
        ({"causal": True, "method": "conv_basis", "bases": 2, "eps": 0.1}, "ERR_CONFLICT", r"eps is 0.1"),
        ({"causal": True, "strict_causal": True, "method": "exact"}, None, None),  # exact attention is that anyway
    ],
)
def test_attention(settings, name, words):
    if name is None:
        subquad.attention(Q, K, V, **settings)
        return
    refused(name, words, subquad.attention, Q, K, V, **settings)
    o, lse = subquad.attention(Q, K, V, return_lse=True)
    refused(name, words, subquad.attention_backward, Q, K, V, o, lse, V, **settings)


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        (METHOD | {"backward": "magic"}, "ERR_VALUE", r"^backward is 'magic', not one of exact, conv_basis"),
        (METHOD | {"backward": 1}, "ERR_VALUE", r"^backward is 1"),
        ({"backward": "exact"}, "ERR_CONFLICT", r"backward"),
    ],
)
def test_attention_backward(settings, name, words):
    o, lse = subquad.attention(Q, K, V, causal=True, return_lse=True)
    refused(name, words, subquad.attention_backward, Q, K, V, o, lse, V, **settings)


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"q": Q[:5]}, "ERR_SHAPE", r"^q has shape"),
        ({"k": K[:, :3]}, "ERR_SHAPE", r"^k has shape"),
        ({"v": V[:5]}, "ERR_SHAPE", r"^v has shape"),
        ({"d_o": V[:, :2]}, "ERR_SHAPE", r"^d_o has shape"),
        ({"d_o": V.astype(np.float32)}, "ERR_DTYPE", r"^d_o is"),
        ({"d_o": None}, "ERR_NULL", r"^d_o is None"),
        ({"v": changed(V, (5, 2), np.nan)}, "ERR_NONFINITE", r"^v\[5, 2\]"),
        ({"q": np.broadcast_to(Q, (3, 6, 4))}, "ERR_SHAPE", r"^q has"),
        ({"backward": "fast"}, "ERR_VALUE", r"^backward is 'fast'"),
        ({"scale": "1"}, "ERR_TYPE", r"^scale is '1'"),
    ],
)
def test_backward(change, name, words):
    basis = subquad.conv_basis_recover(Q, K, **FOUND)
    refused(name, words, basis.backward, **({"q": Q, "k": K, "v": V, "d_o": V} | change))


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        *(({argument: array[:, :-1]}, "ERR_SHAPE", r"has shape") for argument, array in LOSS.items()),
        *(({argument: array[:-1]}, "ERR_SHAPE", r"has shape") for argument, array in LOSS.items()),
        *(
            ({argument: changed(array, (1, 1), np.nan)}, "ERR_NONFINITE", rf"^{argument}\[1, 1\]")
            for argument, array in LOSS.items()
        ),
        *(({argument: None}, "ERR_NULL", rf"^{argument} is None") for argument in LOSS),
        *(({argument: array[None]}, "ERR_SHAPE", rf"^{argument} has") for argument, array in LOSS.items()),
        ({"y": LOSS["y"].astype(np.float32)}, "ERR_DTYPE", r"^y is"),
        ({"method": "fast"}, "ERR_VALUE", r"^method is 'fast'"),
        ({"method": "conv_basis"}, "ERR_CONFLICT", r"bases"),
        ({"method": "conv_basis", **FOUND, "window": 9}, "ERR_VALUE", r"window is 9"),
        ({"bases": 2}, "ERR_CONFLICT", r"bases"),
        ({"backward": "conv_basis"}, "ERR_CONFLICT", r"backward"),
        ({"scale": float("nan")}, "ERR_VALUE", r"^scale is nan"),
    ],
)
def test_loss(change, name, words):
    refused(name, words, subquad.attention_loss, **(LOSS | change))


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("nonsense", "ERR_VALUE", r"^text"),
        ("", "ERR_VALUE", r"^text"),
        ("(fftw", "ERR_VALUE", r"^text"),
        ("(fftw\0", "ERR_VALUE", r"^text"),
        ("\ud800", "ERR_VALUE", r"^text"),
        (b"(fftw", "ERR_TYPE", r"^text is of type bytes"),
        (None, "ERR_TYPE", r"^text is of type NoneType"),
    ],
)
def test_wisdom(text, name, words):
    refused(name, words, subquad.import_wisdom, text)
