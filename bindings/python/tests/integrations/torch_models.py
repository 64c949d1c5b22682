"""Small models with random weights, run with one attention or another."""

import numpy as np
import torch
import transformers
from subquad.torch import register_transformers

VOCABULARY, PAD = 97, 0
TOKENS = 41
DOUBLE_OVER_SINGLE = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps

register_transformers()


def llama(dtype=torch.float32, **settings):
    """Grouped heads, rotary positions, three layers; the same weights in either dtype."""
    torch.manual_seed(1)
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
    }
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, pad_token_id=PAD, max_position_embeddings=4096, initializer_range=0.3, **sizes, **settings
    )
    return transformers.LlamaForCausalLM(config).eval().to(dtype)


def small(kind, config, **settings):
    """Any other model."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    return kind(config(vocab_size=VOCABULARY, pad_token_id=PAD, **sizes, **settings)).eval()


def tokens(batch, count=TOKENS, seed=2):
    return torch.randint(1, VOCABULARY, (batch, count), generator=torch.Generator().manual_seed(seed))


def padding(side, lengths, count=TOKENS):
    """attention_mask of sequences padded on a side."""
    position, lengths = torch.arange(count), torch.tensor(lengths)[:, None]
    return (position < lengths if side == "right" else position >= count - lengths).long()


def logits(model, implementation, **inputs):
    model.set_attn_implementation(implementation)
    with torch.no_grad():
        return model(**inputs).logits


def relative(x, y):
    """|x - y|_F / |y|_F."""
    x, y = x.detach().double().numpy(), y.detach().double().numpy()
    return float(np.linalg.norm(x - y) / np.linalg.norm(y))


def check_logits(make, real=None, implementation="subquad", **inputs):
    """In float32 the implementation errs by no more than twice what PyTorch's own does, both against PyTorch's own in float64.

    roundoff, measured: that of a whole model has no bound in closed form that is worth testing. It is a norm over thousands of logits,
    of errors that are as good as independent, so that two ways of the same accuracy are nearer than a factor two; a wrong mask is off
    by 1. In float64 the two agree as much better as its unit round-off is smaller. (Eager attention is in float32 whatever the model.)
    """
    model, exact = make(torch.float32), make(torch.float64)
    reference = logits(exact, "sdpa", **inputs)
    real = torch.ones(reference.shape[:2], dtype=torch.bool) if real is None else real.bool()
    reference = reference[real]
    budget = 2 * relative(logits(model, "sdpa", **inputs)[real], reference)
    assert relative(logits(model, implementation, **inputs)[real], reference) <= budget
    assert relative(logits(exact, implementation, **inputs)[real], reference) <= budget * DOUBLE_OVER_SINGLE
