"""A language model of Hugging Face's transformers with its attention by subquad: the same logits, and how long they take.

The model is a small Llama with random weights, but with queries and keys scaled up, so that heads look at something. It runs a prompt with
PyTorch's attention, with exact attention of ours, and to a tolerance; then a batch of two prompts of unlike lengths, padded on the left;
and generates a few tokens.

usage: torch_llama.py [--tokens 4096] [--tol 0.1]
"""

import argparse
import time

import torch
import transformers
from subquad.torch import register_transformers

VOCABULARY = 1000


def llama(tokens):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        pad_token_id=0,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=tokens + 100,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data *= 4
        layer.self_attn.k_proj.weight.data *= 4
    return model


@torch.no_grad()
def run(model, implementation, ids, mask=None):
    """Logits, and seconds."""
    model.set_attn_implementation(implementation)
    began = time.perf_counter()
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return logits, time.perf_counter() - began


def off(logits, expected):
    return float((logits - expected).norm() / expected.norm())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--tol", type=float, default=0.1)
    settings = parser.parse_args()

    register_transformers()
    register_transformers("subquad-tol", tol=settings.tol)
    model = llama(settings.tokens)
    ids = torch.randint(1, VOCABULARY, (2, settings.tokens))
    names = {"sdpa": "PyTorch's", "subquad": "subquad, exact", "subquad-tol": f"subquad, tol {settings.tol}"}

    print(f"prompt of {settings.tokens} tokens, {torch.get_num_threads()} threads")
    run(model, "sdpa", ids[:1, :100])
    expected = None
    for name, title in names.items():
        logits, seconds = run(model, name, ids[:1])
        expected = logits if expected is None else expected
        print(f"{title:<18} {seconds:7.2f} s   logits off by {off(logits, expected):.1e}")

    short = settings.tokens // 3
    mask = torch.arange(settings.tokens) >= torch.tensor([[0], [settings.tokens - short]])
    print(f"batch of two, one of {short} tokens, padded on the left")
    expected = None
    for name, title in names.items():
        logits, seconds = run(model, name, ids, mask.long())
        logits = logits[mask]  # of the tokens that are there
        expected = logits if expected is None else expected
        print(f"{title:<18} {seconds:7.2f} s   logits off by {off(logits, expected):.1e}")

    print("ten more tokens of 50")
    for name, title in names.items():
        model.set_attn_implementation(name)
        more = model.generate(ids[:1, :50], max_new_tokens=10, do_sample=False)[0, 50:]
        print(f"{title:<18} {more.tolist()}")


if __name__ == "__main__":
    main()
