"""scaled_dot_product_attention of subquad beside PyTorch's: seconds and errors, causal, float32, heads of width 64.

Heads are made up: logits fall with the distance of query and key, as in many heads of language models, and have noise. A short call
shows what a call costs beyond its arithmetic.

usage: torch_speed.py [--tokens 4096 8192] [--threads 1] [--tol 0.1]
"""

import argparse
import time

import torch
from subquad.torch import scaled_dot_product_attention
from torch.nn.functional import scaled_dot_product_attention as sdpa

WIDTH = 64
ROUNDS = 5


def heads(count, tokens):
    """q, k, v of [1, count, tokens, WIDTH]."""
    angles = torch.arange(tokens)[:, None] * torch.logspace(0, -3, WIDTH // 2)
    near = 2 * torch.cat([angles.cos(), angles.sin()], dim=1)
    q, k, v = torch.randn(3, 1, count, tokens, WIDTH)
    return near + q / 2, near + k / 2, v


def seconds(functions, calls):
    """The least of a few rounds, in which the functions take turns."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(ROUNDS):
        for name, function in functions.items():
            began = time.perf_counter()
            for _ in range(calls):
                function()
            best[name] = min(best[name], (time.perf_counter() - began) / calls)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 8192])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tol", type=float, default=0.1)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)

    print(f"{settings.threads} threads, as many heads; milliseconds")
    print(f"{'tokens':>8} {'PyTorch':>9} {'exact':>9} {'tol ' + str(settings.tol):>9}   error of each")
    for tokens in (8, *settings.tokens):
        q, k, v = heads(settings.threads, tokens)
        functions = {
            "sdpa": lambda q=q, k=k, v=v: sdpa(q, k, v, is_causal=True),
            "exact": lambda q=q, k=k, v=v: scaled_dot_product_attention(q, k, v, is_causal=True),
            "tol": lambda q=q, k=k, v=v: scaled_dot_product_attention(q, k, v, is_causal=True, tol=settings.tol),
        }
        reference = sdpa(*(x.double() for x in (q, k, v)), is_causal=True)
        errors = [float((function() - reference).norm() / reference.norm()) for function in functions.values()]
        times = seconds(functions, calls=200 if tokens < 100 else 1)
        print(f"{tokens:>8}", *(f"{1000 * time:9.3f}" for time in times.values()), " ", *(f"{error:.1e}" for error in errors))


if __name__ == "__main__":
    main()
