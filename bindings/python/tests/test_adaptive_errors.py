"""What attention with tol or budget, plans and their use refuse: code, argument and value."""

import numpy as np
import pytest
import subquad
from conv_reference import changed, refused
from reference import fill, inputs

Q, K, V = inputs(6, 6, d=4, d_v=3, heads=(2,))
OUT, LSE = subquad.attention(Q, K, V, return_lse=True)

SETTINGS = [
    ({"tol": -0.1}, "ERR_VALUE", r"^tol is -0\.1"),
    ({"tol": 1.5}, "ERR_VALUE", r"^tol is 1\.5"),
    ({"tol": float("nan")}, "ERR_VALUE", r"^tol is nan"),
    ({"tol": "0.1"}, "ERR_TYPE", r"^tol is '0\.1' of type str"),
    ({"tol": True}, "ERR_TYPE", r"^tol is True"),
    ({"budget": -1}, "ERR_VALUE", r"^budget is -1"),
    ({"budget": float("inf")}, "ERR_VALUE", r"^budget is inf"),
    ({"budget": [0.5]}, "ERR_TYPE", r"^budget is \[0\.5\]"),
    ({"tol": 0.1, "budget": 0.5}, "ERR_CONFLICT", r"(tol is 0\.1.*budget is 0\.5|budget is 0\.5.*tol is 0\.1)"),
    ({"tol": 0.1, "estimate": "guess"}, "ERR_VALUE", r"^estimate is 'guess', not one of screened, sampled"),
    ({"tol": 0.1, "estimate": 1}, "ERR_VALUE", r"^estimate is 1"),
    ({"tol": 0.1, "parts": "heavy"}, "ERR_TYPE", r"^parts is 'heavy' of type str, not an iterable"),
    ({"tol": 0.1, "parts": 3}, "ERR_VALUE", r"^parts is 3 of type int"),
    (
        {"tol": 0.1, "parts": ["heavy", "light"]},
        "ERR_VALUE",
        r"^parts\[1\] is 'light', not one of heavy, selection, centroids, conv, scr",
    ),
    ({"tol": 0.1, "parts": [2]}, "ERR_VALUE", r"^parts\[0\] is 2"),
    ({"tol": 0.1, "strict_causal": 1}, "ERR_VALUE", r"^strict_causal is 1"),
    ({"tol": 0.1, "seed": -1}, "ERR_VALUE", r"^seed is -1"),
    ({"tol": 0.1, "seed": 0.5}, "ERR_TYPE", r"^seed is 0\.5"),
    ({"tol": 0.1, "seed": 2**63}, "ERR_VALUE", r"^seed is 9223372036854775808"),
    ({"tol": 0.1, "causal": 1}, "ERR_VALUE", r"^causal is 1"),
    ({"tol": 0.1, "scale": float("inf")}, "ERR_VALUE", r"^scale is inf"),
    ({"tol": 0.1, "check_finite": "no"}, "ERR_TYPE", r"^check_finite is 'no'"),
    ({"tol": 0.1, "threads": 0}, "ERR_VALUE", r"^threads is 0"),
    ({"tol": 0.1, "lag_bias": fill(0, 1, 3)}, "ERR_VALUE", r"lag_bias"),
    ({"tol": 0.1, "lag_bias": fill(0, 2, 6, 6)}, "ERR_UNSUPPORTED", r"^lag_bias .*dense mask"),
    ({"tol": 0.1, "lag_bias": np.full((1, 11), np.inf), "lag_min": -5}, "ERR_NONFINITE", r"^lag_bias\[0, 0\] is inf"),
    ({"tol": 0.1, "key_ranges": [(3, 1)]}, "ERR_VALUE", r"key_ranges"),
    ({"tol": 0.1, "key_ranges": [(0, 1.5)]}, "ERR_VALUE", r"^key_ranges is"),
]
ARRAYS = [
    ({"q": Q[0]}, "ERR_SHAPE", r"^[qk]\b"),
    ({"q": Q[0, 0]}, "ERR_SHAPE", r"^q has 1 dim"),
    ({"q": Q.tolist()}, "ERR_DTYPE", r"^q is a builtins\.list"),
    ({"k": K[..., :3]}, "ERR_SHAPE", r"^k has shape"),
    ({"k": np.repeat(K, 2, axis=0), "v": np.repeat(V, 2, axis=0)}, "ERR_SHAPE", r"^q\b.*4"),
    ({"k": K.astype(np.float32)}, "ERR_DTYPE", r"^k is float32|^k "),
    ({"k": None}, "ERR_NULL", r"^k is None"),
    ({"q": changed(Q, (1, 3, 2), np.nan)}, "ERR_NONFINITE", r"^q\[1, 3, 2\] is nan"),
    ({"v": V[:, :5]}, "ERR_SHAPE", r"^v has shape"),
    ({"v": V[:1]}, "ERR_SHAPE", r"^v has shape"),
    ({"v": V.astype(int)}, "ERR_DTYPE", r"^v is int64"),
    ({"v": changed(V, (0, 5, 1), np.inf)}, "ERR_NONFINITE", r"^v\[0, 5, 1\] is inf"),
    ({"q": Q[:, :4], "causal": True}, "ERR_CONFLICT", r"causal_offset"),
]


@pytest.mark.parametrize(("change", "name", "words"), [*SETTINGS, *ARRAYS])
def test_attention_and_plans(change, name, words):
    arguments = {"q": Q, "k": K, "v": V, "tol": None if "budget" in change else 0.1} | change
    refused(name, words, subquad.plan, **arguments)
    refused(name, words, subquad.attention, **arguments)


@pytest.mark.parametrize(("change", "name", "words"), SETTINGS)
def test_backward(change, name, words):
    refused(name, words, subquad.attention_backward, Q, K, V, OUT, LSE, OUT, **change)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "auto"}, r"tol.*budget|budget.*tol"),
        ({"method": "exact", "tol": 0.1}, r"tol is 0\.1"),
        ({"method": "exact", "budget": 0.5}, r"budget is 0\.5"),
        ({"estimate": "screened"}, r"estimate"),
        ({"parts": ["conv"]}, r"parts"),
        ({"tol": 0.1, "bases": 2}, r"bases is 2"),
        ({"tol": 0.1, "window": 2}, r"window is 2"),
        ({"tol": 0.1, "delta": 2.5}, r"delta is 2\.5"),
        ({"tol": 0.1, "eps": 0.5}, r"eps is 0\.5"),
    ],
)
def test_what_does_not_go_together(settings, words):
    refused("ERR_CONFLICT", words, subquad.attention, Q, K, V, **settings)
    refused("ERR_CONFLICT", words, subquad.attention_backward, Q, K, V, OUT, LSE, OUT, **settings)


def test_a_plan_needs_one_of_tol_and_budget():
    refused("ERR_CONFLICT", r"tol.*budget|budget.*tol", subquad.plan, Q, K)


@pytest.mark.parametrize("keyword", ["mask", "attn_mask"])
def test_a_dense_mask_gets_advice(keyword):
    refused("ERR_UNSUPPORTED", rf"^{keyword}: dense masks", subquad.plan, Q, K, tol=0.1, **{keyword: np.ones((6, 6), bool)})
    with pytest.raises(TypeError, match="causal="):
        subquad.plan(Q, K, tol=0.1, is_causal=True)


PLAN = subquad.plan(Q, K, tol=0.1)
VALUES = [
    ({"v": V[:, :5]}, "ERR_SHAPE", r"^v has shape"),
    ({"v": V[:1]}, "ERR_SHAPE", r"^v has"),
    ({"v": V[0]}, "ERR_SHAPE", r"^v has"),
    ({"v": V[0, 0]}, "ERR_SHAPE", r"^v has 1 dim"),
    ({"v": V.astype(np.float32)}, "ERR_DTYPE", r"^v is float32|^v "),
    ({"v": V.tolist()}, "ERR_DTYPE", r"^v is a builtins\.list"),
    ({"v": None}, "ERR_NULL", r"^v is None"),
    ({"v": changed(V, (1, 0, 2), np.nan)}, "ERR_NONFINITE", r"^v\[1, 0, 2\] is nan"),
    ({"check_finite": 1}, "ERR_VALUE", r"^check_finite is 1"),
    ({"threads": -2}, "ERR_VALUE", r"^threads is -2"),
]
OUTS = [
    ({"out": OUT[:, :5].copy()}, "ERR_SHAPE", r"^out has shape"),
    ({"out": OUT.astype(np.float32)}, "ERR_DTYPE", r"^out "),
    ({"out": np.broadcast_to(OUT[:, :, :1].copy(), OUT.shape)}, "ERR_VALUE", r"^out is read-only"),
    ({"out": np.lib.stride_tricks.as_strided(np.empty(30), (2, 6, 3), (0, 24, 8))}, "ERR_STRIDE", r"^out "),
    ({"out": V}, "ERR_ALIAS", r"^out "),
]
GRADIENTS = [
    ({"o": OUT[:, :5]}, "ERR_SHAPE", r"^o has shape"),
    ({"lse": LSE[:1]}, "ERR_SHAPE", r"^lse has shape"),
    ({"d_o": OUT[..., :2]}, "ERR_SHAPE", r"^d_o has shape"),
    ({"d_o": OUT.astype(np.float32)}, "ERR_DTYPE", r"^d_o "),
    ({"lse": None}, "ERR_NULL", r"^lse is None"),
    ({"d_o": changed(OUT, (1, 0, 2), np.nan)}, "ERR_NONFINITE", r"^d_o\[1, 0, 2\] is nan"),
]


@pytest.mark.parametrize(("change", "name", "words"), [*VALUES, *OUTS])
def test_apply(change, name, words):
    before = V.tobytes()
    refused(name, words, PLAN.apply, **({"v": V} | change))
    assert V.tobytes() == before


@pytest.mark.parametrize(("change", "name", "words"), [*VALUES, *GRADIENTS])
def test_plan_backward(change, name, words):
    refused(name, words, PLAN.backward, **({"v": V, "o": OUT, "lse": LSE, "d_o": OUT} | change))


@pytest.mark.parametrize("width", [2, 2048])
def test_overflowing_logits(width):
    q, k, v = (np.full((width, 2), 1e19, np.float32) for _ in range(3))
    refused("ERR_OVERFLOW", "logit", subquad.attention, q, k, v, scale=1e5, tol=0.1)


def test_after_an_error_the_next_call_works():
    refused("ERR_SHAPE", "k", subquad.plan, Q, K[:, :, :2], tol=0.1)
    assert PLAN.apply(V).tobytes() == OUT.tobytes()
