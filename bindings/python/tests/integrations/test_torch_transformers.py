"""Models of transformers with our attention: the same logits as with their own."""

import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")
transformers = pytest.importorskip("transformers", reason="not installed: scripts/test_torch has an environment with it")

import subquad.torch  # noqa: E402
from torch_models import DOUBLE_OVER_SINGLE, TOKENS, check_logits, llama, logits, padding, relative, small, tokens  # noqa: E402
from torch_reference import refused  # noqa: E402

LENGTHS = [TOKENS, 7, 1]


def test_prefill():
    check_logits(llama, input_ids=tokens(3))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches(side):
    """On the tokens that are there: what models compute for padding is nobody's business, and is not the same in any two ways."""
    mask = padding(side, LENGTHS)
    check_logits(llama, mask, input_ids=tokens(3), attention_mask=mask)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_sequence_is_the_sequence_alone(side):
    """Had the mask been dropped, padding would have been attended to."""
    mask, ids = padding(side, LENGTHS), tokens(3)
    mask_positions = (mask.cumsum(1) - 1).clamp(min=0)
    model = llama(torch.float64)
    together = logits(model, "subquad", input_ids=ids, attention_mask=mask, position_ids=mask_positions)
    for row, length in enumerate(LENGTHS):
        alone = logits(model, "sdpa", input_ids=ids[row, mask[row].bool()][None])
        # roundoff: the float32 model's error, measured in check_logits, is below 1e-4
        assert relative(together[row, mask[row].bool()], alone[0]) <= 1e-4 * DOUBLE_OVER_SINGLE
        assert alone.shape[1] == length


def test_what_the_mask_function_makes():
    """Three integers for each sequence, however long it is."""
    seen = []

    def look(module, arguments, settings):
        seen.append(settings["attention_mask"])

    model = llama()
    model.model.layers[0].self_attn.register_forward_pre_hook(look, with_kwargs=True)
    logits(model, "subquad", input_ids=tokens(3), attention_mask=padding("left", LENGTHS))
    logits(model, "subquad", input_ids=tokens(3))
    assert seen[0].tolist() == [[[[TOKENS - length, TOKENS, 0]]] for length in LENGTHS]
    assert seen[1].tolist() == [[[[0, TOKENS, 0]]]]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"attention_mask": padding("left", [TOKENS, 7, 20])},
        {"cache_implementation": "static"},
        {"num_beams": 2},
        {"use_cache": False},
    ],
    ids=["plain", "left padding", "static cache", "beams", "no cache"],
)
def test_generate(settings):
    """Greedy decoding picks the same tokens: their logits are farther apart than round-off."""
    model, found = llama(), []
    for implementation in ("eager", "sdpa", "subquad"):
        model.set_attn_implementation(implementation)
        found.append(model.generate(tokens(3), max_new_tokens=6, min_new_tokens=6, do_sample=False, **settings))
    assert found[2].shape == (3, TOKENS + 6)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("steps", [[TOKENS - 4, 1, 1, 1, 1], [7, 20, TOKENS - 27]])
def test_cached_steps(steps):
    """Queries after cached keys: the offset is the cache's length."""

    def in_steps(implementation, model, ids, mask):
        model.set_attn_implementation(implementation)
        cache, found, end = transformers.DynamicCache(), [], 0
        for count in steps:
            first, end = end, end + count
            with torch.no_grad():
                step = model(ids[:, first:end], attention_mask=mask[:, :end], past_key_values=cache, use_cache=True)
            found.append(step.logits)
        return torch.cat(found, dim=1)

    ids, mask = tokens(3), padding("left", LENGTHS)
    exact, model = llama(torch.float64), llama()
    reference = logits(exact, "sdpa", input_ids=ids, attention_mask=mask)[mask.bool()]
    budget = 2 * relative(in_steps("sdpa", model, ids, mask)[mask.bool()], reference)
    assert relative(in_steps("subquad", model, ids, mask)[mask.bool()], reference) <= budget


@pytest.mark.parametrize("side", ["left", "right"])
def test_gradients_of_a_model(side):
    """Of a loss on the tokens that are there, with respect to all weights."""
    ids, mask = tokens(3), padding(side, [TOKENS, 7, 20])
    labels = ids.masked_fill(mask == 0, -100)

    def gradient(implementation, dtype):
        model = llama(dtype).train()
        model.set_attn_implementation(implementation)
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    reference = gradient("sdpa", torch.float64)
    budget = 2 * relative(gradient("sdpa", torch.float32), reference)
    assert relative(gradient("subquad", torch.float32), reference) <= budget
    assert relative(gradient("subquad", torch.float64), reference) <= budget * DOUBLE_OVER_SINGLE


@pytest.mark.parametrize("kind", ["Mistral", "Qwen2", "Bert", "GPT2"])
def test_other_models(kind):
    """A window that holds everything; biased projections; both directions; another naming of everything."""
    settings = {"Mistral": {"sliding_window": TOKENS, "num_key_value_heads": 2}, "Qwen2": {"num_key_value_heads": 2}}.get(
        kind, {}
    )
    suffix = {"Bert": "ForMaskedLM", "GPT2": "LMHeadModel"}.get(kind, "ForCausalLM")
    classes = getattr(transformers, kind + suffix), getattr(transformers, kind + "Config")
    check_logits(lambda dtype: small(*classes, **settings).to(dtype), input_ids=tokens(3))
    for side in ("left", "right"):
        mask = padding(side, [TOKENS, 7, 20])
        check_logits(lambda dtype: small(*classes, **settings).to(dtype), mask, input_ids=tokens(3), attention_mask=mask)


def test_a_boolean_mask_of_the_users():
    """Four dimensions go to attention as they are, and are read there."""
    mask = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()[None, None] & padding("left", LENGTHS).bool()[:, None, None]
    check_logits(llama, padding("left", LENGTHS), input_ids=tokens(3), attention_mask=mask)
    refused(
        "ERR_UNSUPPORTED",
        "attention_mask is torch.float32",
        logits,
        llama(),
        "subquad",
        input_ids=tokens(3),
        attention_mask=mask.float(),
    )


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled(backend):
    """In one graph, padding and all."""
    model, mask = llama(), padding("left", LENGTHS)
    expected = logits(model, "subquad", input_ids=tokens(3), attention_mask=mask)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(input_ids=tokens(3), attention_mask=mask).logits, expected)


def sliding():
    return small(transformers.MistralForCausalLM, transformers.MistralConfig, num_key_value_heads=2, sliding_window=TOKENS - 1)


def soft_capped():
    settings = {"num_key_value_heads": 2, "head_dim": 16, "sliding_window": 4096}
    return small(transformers.Gemma2ForCausalLM, transformers.Gemma2Config, **settings)


def with_sinks():
    settings = {"num_key_value_heads": 2, "head_dim": 16, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 128}
    return small(transformers.GptOssForCausalLM, transformers.GptOssConfig, **settings)


def with_dropout():
    return llama(attention_dropout=0.1).train()


@pytest.mark.parametrize(
    ("make", "words", "inputs"),
    [
        (sliding, "sliding_window.* is 40", {}),
        (soft_capped, "softcap: a soft cap", {}),
        (with_sinks, "s_aux: sinks", {}),
        (with_dropout, "dropout is 0.1", {}),
        (llama, "output_attentions: the weights", {"output_attentions": True}),
        (
            llama,
            r"attention_mask\[1\] hides tokens between",
            {"attention_mask": torch.tensor([[1] * TOKENS, [1, 0] * 20 + [1], [1] * TOKENS])},
        ),
        (llama, "packed sequences", {"position_ids": torch.arange(TOKENS).remainder(20)[None].expand(3, -1), "use_cache": False}),
    ],
)
def test_refused(make, words, inputs):
    refused("ERR_UNSUPPORTED", words, logits, make(), "subquad", input_ids=tokens(3), **inputs)


def test_bfloat16_is_refused():
    refused("ERR_DTYPE", r"query is torch.bfloat16.*\.float\(\)", logits, llama(torch.bfloat16), "subquad", input_ids=tokens(1))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("position_bias", torch.zeros(1, 2, 5, 5), "position_bias: a bias"),
        ("head_mask", torch.ones(2), "head_mask"),
        ("sinks", torch.zeros(2), "sinks"),
        ("softcap", 30.0, "softcap"),
        ("sliding_window", 4, "sliding_window is 4, fewer than the 5 keys"),
        ("cu_seq_lens_q", torch.tensor([0, 2, 5]), "packed sequences"),
        ("cache", object(), "paged cache"),
        ("dropout", 0.5, "dropout is 0.5"),
        ("temperature", 2.0, "temperature: an argument that subquad does not know"),
    ],
)
def test_arguments_of_the_attention_function(name, value, words):
    """As models call it: what changes the result is refused, what is None or meant for others is not."""
    attention = transformers.AttentionInterface()["subquad"]
    module, x = torch.nn.Module(), torch.ones(1, 2, 5, 4)
    o, weights = attention(module, x, x, x, None, position_ids=torch.arange(5), use_cache=True, softcap=None, sliding_window=5)
    assert weights is None
    assert o.shape == (1, 5, 2, 4)
    refused("ERR_UNSUPPORTED", words, attention, module, x, x, x, None, **{name: value})


def test_causality_without_a_mask():
    """From the argument, or else the module; as many keys as queries, or one query, which comes last."""
    attention = transformers.AttentionInterface()["subquad"]
    module, x = torch.nn.Module(), torch.arange(40.0).reshape(1, 2, 5, 4) / 40
    causal, full = (subquad.torch.scaled_dot_product_attention(x, x, x, is_causal=way).transpose(1, 2) for way in (True, False))
    assert torch.equal(attention(module, x, x, x, None)[0], causal)
    assert torch.equal(attention(module, x, x, x, None, is_causal=False)[0], full)
    module.is_causal = False
    assert torch.equal(attention(module, x, x, x, None)[0], full)
    assert torch.equal(attention(module, x[:, :, -1:], x, x, None, is_causal=True)[0], full[:, -1:])
    refused(
        "ERR_UNSUPPORTED",
        "attention_mask is None for 3 queries and 5 keys",
        attention,
        module,
        x[:, :, :3],
        x,
        x,
        None,
        is_causal=True,
    )


@pytest.mark.parametrize(
    ("name", "settings", "kind", "words"),
    [
        ("sdpa", {}, ValueError, "name is 'sdpa'"),
        ("eager", {}, ValueError, "name is 'eager'"),
        ("", {}, ValueError, "name is ''"),
        (None, {}, TypeError, "name is None"),
        ("subquad-x", {"tol": 2.0}, ValueError, "tol is 2"),
        ("subquad-x", {"tol": "small"}, TypeError, "tol is 'small'"),
        ("subquad-x", {"tolerance": 0.1}, TypeError, "tolerance"),
        ("subquad-x", {"method": "fast"}, ValueError, "method is 'fast'"),
    ],
)
def test_what_cannot_be_registered(name, settings, kind, words):
    with pytest.raises(kind, match=words):
        subquad.torch.register_transformers(name, **settings)
    assert "subquad-x" not in transformers.AttentionInterface().valid_keys()


def test_registered_again():
    """With other settings, for models that are there already."""
    model, ids = llama(), tokens(1)
    subquad.torch.register_transformers("subquad-again")
    expected = logits(model, "subquad-again", input_ids=ids)
    subquad.torch.register_transformers("subquad-again", method="exact", seed=5)
    assert torch.equal(logits(model, "subquad-again", input_ids=ids), expected)
