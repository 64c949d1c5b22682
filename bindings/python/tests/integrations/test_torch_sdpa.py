"""scaled_dot_product_attention of tensors: PyTorch's function, argument by argument."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")

import subquad  # noqa: E402
from adaptive_reference import KINDS, heads  # noqa: E402
from conv_reference import pieces, recovery  # noqa: E402
from reference import fill  # noqa: E402
from subquad.torch import scaled_dot_product_attention  # noqa: E402
from subquad.torch._operators import _SETTINGS  # noqa: E402
from subquad.torch._tensors import as_heads, ndarray  # noqa: E402
from torch_reference import DTYPES, SDPA, check, check_alike, filled, roundoff, tensors  # noqa: E402


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 31, 32, 33, 97])
def test_sizes(n, causal, dtype):
    q, k, v = tensors(n, n, heads=(2,), batch=(2,), dtype=dtype)
    o = check(q, k, v, {"causal": causal}, is_causal=causal)
    check_alike(o, SDPA(q, k, v, is_causal=causal), roundoff(q, k, v, causal=causal))


@pytest.mark.parametrize(("n_q", "n_k"), [(0, 5), (5, 0), (1, 29), (29, 1), (13, 40), (40, 13)])
@pytest.mark.parametrize("causal", [False, True])
def test_causal_is_aligned_at_the_first_key(n_q, n_k, causal):
    q, k, v = tensors(n_q, n_k, heads=(2,), batch=(1,))
    o = check(q, k, v, {"causal": causal}, is_causal=causal)
    check_alike(o, SDPA(q, k, v, is_causal=causal), roundoff(q, k, v, causal=causal))


def test_causal_offset():
    q, k, v = tensors(5, 12, heads=(2,), batch=(2,))
    o = check(q, k, v, {"causal": True, "causal_offset": 7}, is_causal=True, causal_offset=7)
    lower_right = torch.ones(5, 12, dtype=torch.bool).tril(7)
    check_alike(o, SDPA(q, k, v, lower_right), roundoff(q, k, v, causal=True, causal_offset=7))


@pytest.mark.parametrize("scale", [None, 0.3, -1.0, 2])
def test_scale(scale):
    q, k, v = tensors(9, 9, heads=(2,), batch=(1,))
    o = check(q, k, v, {"scale": scale}, scale=scale)
    check_alike(o, SDPA(q, k, v, scale=scale), roundoff(q, k, v, scale=scale))


LEADING = {
    "no heads": ((), (), ()),
    "one dimension": ((3,), (3,), (3,)),
    "one dimension, broadcast": ((), (3,), (1,)),
    "two": ((2, 4), (2, 4), (2, 4)),
    "a key/value head for all": ((2, 4), (2, 1), (2, 1)),
    "a query head for all": ((2, 1), (2, 4), (2, 4)),
    "the batch is broadcast": ((2, 4), (1, 4), (4,)),
    "queries for a batch": ((1, 4), (3, 4), (3, 4)),
    "keys and values differ": ((2, 4), (1, 4), (2, 1)),
    "three": ((2, 3, 4), (2, 3, 4), (2, 3, 4)),
    "three, broadcast": ((2, 1, 4), (1, 1, 4), (4,)),
    "none at all": ((0, 4), (0, 4), (0, 4)),
}


@pytest.mark.parametrize("name", LEADING)
def test_leading_dimensions(name):
    q, k, v = (
        filled(stream, *shape, 7, width) for stream, (shape, width) in enumerate(zip(LEADING[name], (5, 5, 3), strict=True))
    )
    expected = SDPA(q, k, v, is_causal=True)
    o = scaled_dot_product_attention(q, k, v, is_causal=True)
    full = [given.expand(*expected.shape[:-2], *given.shape[-2:]) for given in (q, k, v)]
    check_alike(o, expected, roundoff(*full, causal=True))


@pytest.mark.parametrize(("heads_q", "heads_kv"), [(1, 1), (4, 4), (4, 2), (4, 1), (6, 3)])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_grouped_heads(heads_q, heads_kv, batch):
    q, k, v = (filled(s, *batch, count, 6, 5) for s, count in enumerate((heads_q, heads_kv, heads_kv)))
    o = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    repeated = [x.repeat_interleave(heads_q // heads_kv, dim=-3) for x in (k, v)]
    check_alike(o, SDPA(q, k, v, is_causal=True, enable_gqa=True), roundoff(q, *repeated, causal=True))


def test_nothing_is_copied():
    """Heads inside, as models have them: the library sees the very memory, and the result is that of contiguous tensors, bit for bit."""
    x = filled(0, 2, 50, 3, 4, 16)
    q, k, v = (x[:, :, i].transpose(1, 2) for i in range(3))
    o = scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.equal(o, scaled_dot_product_attention(*(y.contiguous() for y in (q, k, v)), is_causal=True))
    for given, seen in zip((q, k, v), as_heads(q, k, v, False)[:3], strict=True):
        assert np.shares_memory(ndarray(seen), given.numpy())


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.flip(-2).contiguous().flip(-2),
        lambda x: x.mT.contiguous().mT,
        lambda x: x.repeat_interleave(2, dim=-1)[..., ::2],
        lambda x: torch.complex(torch.zeros_like(x), -x).conj().imag,  # a view with the negative bit
        lambda x: torch.nn.Parameter(x),
    ],
    ids=["reversed", "transposed", "stepped", "negative", "parameter"],
)
def test_layouts(view):
    q, k, v = tensors(9, 9, heads=(2,), batch=(2,))
    expected = scaled_dot_product_attention(q, k, v)
    assert torch.equal(scaled_dot_product_attention(*map(view, (q, k, v))), expected)


def test_inputs_are_left_alone():
    given = tensors(9, 9, heads=(2,), batch=(2,))
    before = [x.clone() for x in given]
    scaled_dot_product_attention(*given, is_causal=True)
    assert all(torch.equal(x, y) for x, y in zip(given, before, strict=True))


@pytest.mark.parametrize(
    "settings", [{"tol": 0.1}, {"budget": 0.3, "seed": 3}, {"tol": 0.1, "estimate": "sampled", "parts": ["heavy"]}]
)
def test_tol_is_that_of_the_library(settings):
    arrays = [array[None] for array in heads(2048, kinds=KINDS[:2])]
    o = scaled_dot_product_attention(*map(torch.from_numpy, arrays), is_causal=True, **settings)
    assert o.numpy().tobytes() == subquad.attention(*arrays, causal=True, **settings).tobytes()


def test_conv_basis_is_that_of_the_library():
    q, k = pieces(64, 4, 1, 2, kv_heads=(1, 2))
    v = fill(2, 1, 2, 64, 3)
    settings = {"method": "conv_basis", **recovery(q, k, 4)}
    o = scaled_dot_product_attention(*map(torch.from_numpy, (q, k, v)), is_causal=True, **settings)
    assert o.numpy().tobytes() == subquad.attention(q, k, v, causal=True, **settings).tobytes()


def test_the_same_bits_for_any_number_of_threads():
    given = [torch.from_numpy(array)[None] for array in heads(2048, kinds=KINDS[:2])]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(
                [scaled_dot_product_attention(*given, is_causal=True, tol=tol).numpy().tobytes() for tol in (None, 0.1)]
            )
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_the_signature_begins_with_that_of_sdpa():
    names = list(inspect.signature(scaled_dot_product_attention).parameters)
    assert names[:8] == ["query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa"]
    keyword_only = inspect.signature(scaled_dot_product_attention).parameters["scale"].kind
    assert keyword_only is inspect.Parameter.KEYWORD_ONLY
    with pytest.raises(TypeError):
        SDPA(*tensors(3, 3), None, 0.0, False, 0.5)


def test_settings_have_the_names_and_defaults_of_the_library():
    """Of the operator and of the function."""
    wanted = inspect.signature(subquad.attention).parameters | inspect.signature(subquad.attention_backward).parameters
    schema = {entry.split()[-1].split("=")[0]: entry.split("=")[1] for entry in _SETTINGS.split(", ")}
    ours = inspect.signature(scaled_dot_product_attention).parameters
    for name, written in schema.items():
        default = wanted[name].default
        assert written in (str(default), str(default).lower()), name
        if name not in ("causal", "causal_offset"):
            assert ours[name].default == default, name
