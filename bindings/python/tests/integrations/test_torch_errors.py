"""What is not served is an error that names it, its value, and what to do."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")

from subquad.torch import scaled_dot_product_attention  # noqa: E402
from torch_reference import refused, tensors  # noqa: E402

Q, K, V = tensors(6, 9, heads=(2,), batch=(1,))


def nan_at(tensor, *index):
    result = tensor.clone()
    result[index] = float("nan")
    return result


@pytest.mark.parametrize(
    ("name", "words", "arguments"),
    [
        ("ERR_DTYPE", r"query is torch.float16.*\.float\(\)", (Q.half(), K.half(), V.half())),
        ("ERR_DTYPE", r"query is torch.bfloat16.*\.float\(\)", (Q.bfloat16(), K.bfloat16(), V.bfloat16())),
        ("ERR_DTYPE", "query is torch.int64, not torch.float32 or torch.float64", (Q.long(), K.long(), V.long())),
        ("ERR_DTYPE", "query is torch.complex128", (Q + 0j, K + 0j, V + 0j)),
        ("ERR_DTYPE", "key is torch.float32, but query is torch.float64", (Q, K.float(), V)),
        ("ERR_DTYPE", "value is torch.float32, but query is torch.float64", (Q, K, V.float())),
        ("ERR_UNSUPPORTED", r"key is on device meta.*\.cpu\(\)", (Q, K.to("meta"), V)),
        ("ERR_UNSUPPORTED", "value is of layout torch.sparse_coo", (Q, K, V.to_sparse())),
        ("ERR_UNSUPPORTED", "query is nested", (torch.nested.nested_tensor([Q[0], Q[0]]), K, V)),
        ("ERR_TYPE", "query is a numpy.ndarray, not a torch.Tensor", (Q.numpy(), K, V)),
        ("ERR_TYPE", "key is a builtins.NoneType", (Q, None, V)),
        ("ERR_SHAPE", "value has 1 dimensions, not 2 or more", (Q, K, V[0, 0, 0])),
        ("ERR_SHAPE", "key has rows of 4 numbers, but query of 5", (Q, K[..., :4], V)),
        ("ERR_SHAPE", "value has 8 rows, but key has 9", (Q, K, V[..., :8, :])),
        (
            "ERR_SHAPE",
            r"\(1, 2\), \(2, 2\) and \(3, 2\), which do not broadcast",
            (Q, K.expand(2, 2, 9, 5), V.expand(3, 2, 9, 3)),
        ),
        ("ERR_SHAPE", "enable_gqa=True", (Q.repeat(1, 2, 1, 1), K, V)),
        ("ERR_NONFINITE", r"query\[0, 1, 2, 3\] is nan", (nan_at(Q, 0, 1, 2, 3), K, V)),
        ("ERR_NONFINITE", r"value\[0, 0, 8, 2\] is nan", (Q, K, nan_at(V, 0, 0, 8, 2))),
        ("ERR_OVERFLOW", "logit", (Q * 1e200, K * 1e200, V)),
    ],
)
def test_tensors(name, words, arguments):
    refused(name, words, scaled_dot_product_attention, *arguments)


@pytest.mark.parametrize(
    ("name", "words", "heads"),
    [
        ("ERR_SHAPE", "query has 4 heads, not a multiple of the 3", (4, 3, 3)),
        ("ERR_SHAPE", "query has 2 heads, not a multiple of the 4", (2, 4, 4)),
        ("ERR_SHAPE", "query has 2 heads, not a multiple of the 0", (2, 0, 0)),
        ("ERR_UNSUPPORTED", "value has 4 heads, but key has 2", (4, 2, 4)),
    ],
)
def test_grouped_heads(name, words, heads):
    refused(name, words, scaled_dot_product_attention, *(torch.zeros(1, count, 3, 2) for count in heads), enable_gqa=True)


def test_grouped_heads_need_heads():
    refused("ERR_SHAPE", "enable_gqa", scaled_dot_product_attention, *tensors(3, 3), enable_gqa=True)


@pytest.mark.parametrize(
    ("name", "words", "settings"),
    [
        ("ERR_UNSUPPORTED", "dropout_p is 0.5", {"dropout_p": 0.5}),
        ("ERR_VALUE", "is_causal is 1 of type int", {"is_causal": 1}),
        ("ERR_TYPE", "is_causal is None", {"is_causal": None}),
        ("ERR_TYPE", "enable_gqa is 'yes'", {"enable_gqa": "yes"}),
        ("ERR_TYPE", "'scale'.*Value: 'large'", {"scale": "large"}),
        ("ERR_TYPE", "'tol'.*Value: 'small'", {"tol": "small"}),
        ("ERR_TYPE", "'bases'.*Value: 1.5", {"bases": 1.5}),
        ("ERR_VALUE", "tol is 2", {"tol": 2.0}),
        ("ERR_VALUE", "scale is nan", {"scale": float("nan")}),
        ("ERR_VALUE", "seed is -1", {"tol": 0.1, "seed": -1}),
        ("ERR_CONFLICT", "tol.*budget|budget.*tol", {"tol": 0.1, "budget": 0.5}),
        ("ERR_VALUE", "method is 'fast'", {"method": "fast"}),
        ("ERR_VALUE", "parts.*'magic'", {"tol": 0.1, "parts": ["magic"]}),
        ("ERR_TYPE", "parts is 'heavy'", {"tol": 0.1, "parts": "heavy"}),
        ("ERR_VALUE", "parts is 3", {"tol": 0.1, "parts": 3}),
        ("ERR_UNSUPPORTED", "conv_basis.*causal", {"method": "conv_basis", "bases": 2}),
    ],
)
def test_settings(name, words, settings):
    refused(name, words, scaled_dot_product_attention, Q, K, V, **settings)


def test_an_unknown_argument():
    with pytest.raises(TypeError, match="attention_mask"):
        scaled_dot_product_attention(Q, K, V, attention_mask=None)


def test_leading_dimensions_that_would_need_a_copy():
    """Five dimensions are seen as four where that copies nothing."""
    x = torch.zeros(2, 3, 4, 5, 6)
    swapped = x.transpose(0, 1).contiguous().transpose(0, 1)
    assert scaled_dot_product_attention(x, x, x).shape == x.shape
    refused("ERR_STRIDE", r"key of shape \(2, 3, 4, 5, 6\).*contiguous", scaled_dot_product_attention, x, swapped, x)


def test_not_finite_where_not_checked():
    q = nan_at(Q, 0, 1, 2, 3)
    o = scaled_dot_product_attention(q, K, V, check_finite=False)
    assert o[0, 1, 2].isnan().all()


def test_without_torch(tmp_path):
    """The package as it is where torch is missing."""
    script = "import sys; sys.modules['torch'] = None; import subquad; import subquad.torch"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "pip install 'subquad[torch]'" in done.stderr.splitlines()[-1]


def test_numpy_numbers_are_numbers():
    o = scaled_dot_product_attention(Q, K, V, scale=np.float64(0.5))
    assert torch.equal(o, scaled_dot_product_attention(Q, K, V, scale=0.5))
