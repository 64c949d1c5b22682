"""Masks: what is served gives what SDPA gives; what is not is refused, wherever the odd element is."""

import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")

from reference import fill  # noqa: E402
from subquad.torch import _masks, scaled_dot_product_attention  # noqa: E402
from torch.nn.attention.bias import causal_lower_right, causal_upper_left  # noqa: E402
from torch_reference import SDPA, check_alike, filled, refused, roundoff, tensors  # noqa: E402

N_Q, N_K, BATCH, HEADS = 6, 9, 3, 2


def pattern(ranges, offset, n_q=N_Q, n_k=N_K):
    """The mask [batch, 1, n_q, n_k] of ranges and of a causal offset, or of none."""
    i, j = torch.arange(n_q)[:, None], torch.arange(n_k)
    start, end = torch.tensor(ranges).T[..., None, None]
    return ((j >= start) & (j < end) & (j <= i + (n_k if offset is None else offset)))[:, None]


def given(n_q=N_Q, n_k=N_K):
    return tensors(n_q, n_k, heads=(HEADS,), batch=(BATCH,))


WHOLE = [(0, N_K)] * BATCH
RANGES = {
    "all": WHOLE,
    "right padding": [(0, 9), (0, 4), (0, 1)],
    "left padding": [(0, 9), (3, 9), (8, 9)],
    "both": [(2, 7), (0, 9), (4, 5)],
    "one sees nothing": [(0, 9), (0, 0), (5, 9)],
    "nobody sees anything": [(0, 0)] * BATCH,
}


@pytest.mark.parametrize("offset", [None, 0, 3, 7, 20, -2])
@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
def test_served(ranges, offset):
    q, k, v = given()
    mask = pattern(ranges, offset)
    settings = {"causal": offset is not None, "causal_offset": offset or 0, "key_ranges": ranges}
    expected = SDPA(q, k, v, mask)
    budget = roundoff(q, k, v, **settings)
    check_alike(scaled_dot_product_attention(q, k, v, mask), expected, budget)
    causal = {} if offset is None else {"is_causal": True, "causal_offset": offset}
    check_alike(scaled_dot_product_attention(q, k, v, key_ranges=ranges, **causal), expected, budget)
    check_alike(scaled_dot_product_attention(q, k, v, key_ranges=torch.tensor(ranges), **causal), expected, budget)


SHAPES = {
    "n_k": lambda m: m[0, 0, 0],
    "1 x n_k": lambda m: m[0, 0, :1],
    "n_q x n_k": lambda m: m[0, 0],
    "1 x n_q x n_k": lambda m: m[0],
    "heads": lambda m: m[0].expand(HEADS, N_Q, N_K),
    "batch x 1": lambda m: m,
    "batch x heads": lambda m: m.expand(BATCH, HEADS, N_Q, N_K),
    "written out": lambda m: m.expand(BATCH, HEADS, N_Q, N_K).clone(),
    "rows alike": lambda m: m[:, :, :1],
    "keys alike": lambda m: m[:, :, :, 4:5],
    "transposed in memory": lambda m: m.mT.contiguous().mT,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shapes(shape):
    q, k, v = given()
    mask = shape(pattern([(1, 7), (2, 8), (0, 9)], None))
    full = mask.expand(BATCH, HEADS, N_Q, N_K)
    ranges = [(int(row.int().argmax()), int(row.int().argmax() + row.sum())) for row in full[:, 0, 0]]
    check_alike(scaled_dot_product_attention(q, k, v, mask), SDPA(q, k, v, full), roundoff(q, k, v, key_ranges=ranges))


@pytest.mark.parametrize("leading", [(), (3,), (2, 2, 2)])
def test_other_leading_dimensions(leading):
    """Where tensors have one leading dimension, a mask may differ along it."""
    q, k, v = (filled(stream, *leading, 5, width) for stream, width in enumerate((4, 4, 3)))
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    if leading == (3,):
        mask = torch.stack([mask, mask & (torch.arange(5) > 0), mask & (torch.arange(5) < 4)])
    if leading == (2, 2, 2):
        mask = (mask & (torch.arange(5) >= torch.tensor([0, 2, 1, 0])[:, None, None])).reshape(2, 2, 1, 5, 5)
    check_alike(scaled_dot_product_attention(q, k, v, mask), SDPA(q, k, v, mask), roundoff(q, k, v, causal=True))


def test_one_leading_dimension_is_heads_where_they_are_grouped():
    q, k, v = tensors(5, 5, heads=(4,), kv_heads=(2,))
    mask = torch.ones(1, 5, 5, dtype=torch.bool).tril()
    budget = roundoff(q, k.repeat_interleave(2, 0), v.repeat_interleave(2, 0), causal=True)
    o = scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
    check_alike(o, SDPA(q, k, v, mask, enable_gqa=True), budget)


@pytest.mark.parametrize("offset", [None, 0, 3])
def test_every_element_is_read(offset, monkeypatch):
    """Changed in any one place, a mask is another. Comparisons go block by block."""
    monkeypatch.setattr(_masks, "_BLOCK", 2 * N_K)
    q, k, v = given()
    mask = pattern([(0, 9), (2, 7), (0, 4)], offset).expand(BATCH, HEADS, N_Q, N_K).clone()
    for index in torch.cartesian_prod(*map(torch.arange, mask.shape)).tolist():
        other = mask.clone()
        other[tuple(index)] ^= True
        refused(
            "ERR_UNSUPPORTED", r"attn_mask\[", scaled_dot_product_attention, q, k, v, other
        )  # served: were both heads changed


def test_every_mask_of_a_small_problem():
    """All 2^9 masks of 3 queries and 3 keys: those that a range and an offset describe are served, and no other."""
    q, k, v = tensors(3, 3)
    describable = {
        bytes(pattern([(start, end)], offset, 3, 3).numpy().tobytes())
        for start in range(4)
        for end in range(start, 4)
        for offset in (None, *range(-3, 3))
    }
    served = set()
    for number in range(2**9):
        mask = torch.tensor([number >> bit & 1 for bit in range(9)], dtype=torch.bool).reshape(3, 3)
        try:
            o = scaled_dot_product_attention(q, k, v, mask)
        except NotImplementedError:
            continue
        served.add(mask.numpy().tobytes())
        check_alike(o, SDPA(q, k, v, mask), roundoff(q, k, v))
    assert served == describable


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.ones(N_Q, N_K, dtype=torch.bool).triu(), r"attn_mask\[0, 0, "),
        (torch.ones(N_Q, N_K, dtype=torch.bool).tril(2).triu(-1), "one range of keys"),
        (torch.arange(N_K) % 2 == 0, "one range of keys"),
        (torch.stack([pattern(WHOLE[:1], o)[0] for o in (0, 1, 0)]), r"attn_mask\[1, 0, "),
        (torch.stack([pattern(WHOLE[:1], o)[0, 0] for o in (0, 1)]), r"attn_mask\[0, 1, "),
        (torch.zeros(N_Q, N_K), "torch.float32"),
        (torch.zeros(N_Q, N_K, dtype=torch.float64), "added to logits"),
        (torch.ones(N_Q, N_K, dtype=torch.int64), "torch.int64"),
    ],
)
def test_refused(mask, words):
    refused("ERR_UNSUPPORTED", words, scaled_dot_product_attention, *given(), mask)


@pytest.mark.parametrize(
    ("name", "words", "settings"),
    [
        ("ERR_SHAPE", r"attn_mask has shape \(6, 8\)", {"attn_mask": torch.ones(6, 8, dtype=torch.bool)}),
        ("ERR_SHAPE", "attn_mask has shape", {"attn_mask": torch.ones(2, 1, 6, 9, dtype=torch.bool)}),
        ("ERR_SHAPE", "attn_mask has shape", {"attn_mask": torch.ones(1, 3, 1, 6, 9, dtype=torch.bool)}),
        ("ERR_TYPE", "attn_mask is a builtins.list", {"attn_mask": [[True]]}),
        ("ERR_CONFLICT", "attn_mask.*is_causal", {"attn_mask": pattern(WHOLE, None), "is_causal": True}),
        ("ERR_CONFLICT", "attn_mask.*key_ranges", {"attn_mask": pattern(WHOLE, None), "key_ranges": WHOLE}),
        ("ERR_CONFLICT", "causal_offset is 3", {"causal_offset": 3}),
        ("ERR_SHAPE", "6 queries and 6 keys", {"attn_mask": causal_upper_left(6, 6)}),
        ("ERR_SHAPE", r"key_ranges.*\[2, 2\]", {"key_ranges": [(0, 1), (0, 1)]}),
        ("ERR_SHAPE", "key_ranges", {"key_ranges": torch.zeros(3, dtype=torch.int64)}),
        ("ERR_DTYPE", "key_ranges is torch.float32", {"key_ranges": [(0, 1.5)]}),
        ("ERR_VALUE", "key_ranges", {"key_ranges": [(0, 1), (0,)]}),
        ("ERR_VALUE", "key_ranges", {"key_ranges": "all"}),
    ],
)
def test_wrong(name, words, settings):
    refused(name, words, scaled_dot_product_attention, *given(), **settings)


@pytest.mark.parametrize(("n_q", "n_k"), [(6, 6), (4, 9)])
@pytest.mark.parametrize("bias", [causal_upper_left, causal_lower_right])
def test_biases_of_torch(bias, n_q, n_k):
    q, k, v = given(n_q, n_k)
    offset = 0 if bias is causal_upper_left else n_k - n_q
    expected = SDPA(q, k, v, torch.ones(n_q, n_k, dtype=torch.bool).tril(offset))
    budget = roundoff(q, k, v, causal=True, causal_offset=offset)
    check_alike(scaled_dot_product_attention(q, k, v, bias(n_q, n_k)), expected, budget)


@pytest.mark.parametrize(("n_q", "n_k"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_see(n_q, n_k):
    q, k, v = given(n_q, n_k)
    o = scaled_dot_product_attention(q, k, v, torch.ones(n_q, n_k, dtype=torch.bool))
    assert o.shape == (BATCH, HEADS, n_q, 3)
    assert not o.any()


def test_a_mask_that_hides_nothing_leaves_every_method_as_it_was():
    q, k, v = (torch.from_numpy(fill(stream, 1, 1, 16, 4)) for stream in range(3))
    settings = {"method": "conv_basis", "bases": 16}
    mask = torch.ones(16, 16, dtype=torch.bool).tril()
    assert torch.equal(
        scaled_dot_product_attention(q, k, v, mask, **settings), scaled_dot_product_attention(q, k, v, is_causal=True, **settings)
    )
