"""Attention to a tolerance: what each of a few heads is made of, and by how much it errs, estimated and true.

The heads are made up, of kinds that language models have: near keys weigh most (local); a few keys that all queries attend to (heavy);
queries that look up one far key each, among near ones (needles); every key weighs about the same (diffuse).

usage: adaptive.py [--tokens 8192] [--tol 0.1]
"""

import argparse
import time

import numpy as np
import subquad

DIMENSION = 64


def rotations(n):
    """Rows whose inner products depend on the lag alone and fall with it."""
    angles = np.arange(n)[:, None] * np.geomspace(1, 1e-3, DIMENSION // 2)
    return 2 * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def local(n, rng):
    q, k = rng.standard_normal((2, n, DIMENSION)) / 2
    return q + rotations(n), k + rotations(n)


def heavy(n, rng):
    q, k = rng.standard_normal((2, n, DIMENSION)) / 2
    direction = rng.standard_normal(DIMENSION) / 8
    k[rng.integers(n, size=12)] += 10 * direction
    return q + 6 * direction, k


def needles(n, rng):
    q, k = local(n, rng)
    queries, keys = rng.integers(n // 2, n, size=16), rng.integers(n // 2, size=16)
    q[queries] = 240 * k[keys] / (k[keys] ** 2).sum(axis=1, keepdims=True)
    return q, k


def diffuse(n, rng):
    return rng.standard_normal((2, n, DIMENSION)) / 2


def timed(function):
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--tol", type=float, default=0.1)
    settings = parser.parse_args()
    n, rng = settings.tokens, np.random.default_rng(4)

    kinds = [local, heavy, needles, diffuse]
    q, k = (np.stack(arrays).astype(np.float32) for arrays in zip(*(kind(n, rng) for kind in kinds), strict=True))
    v = rng.standard_normal(k.shape).astype(np.float32)

    plan, planning = timed(lambda: subquad.plan(q, k, v, tol=settings.tol, causal=True))
    (o, report), applying = timed(lambda: plan.apply(v, return_report=True))
    exact, seconds = timed(lambda: subquad.attention(q, k, v, causal=True))
    true = np.linalg.norm(o - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))

    print(f"{n} tokens, tol {settings.tol}, errors by {report['estimate']} rows")
    print(f"exact {seconds:.2f} s; plan {planning:.2f} s, and with it {applying:.2f} s for these and any other values")
    print(f"{'head':<8} {'estimated (95 % interval)':<28} {'true':<8} {'pairs':>6}  made of")
    for kind, head, error in zip(kinds, report.heads, true, strict=True):
        interval = f"{head['error']:.4f} ({head['error_low']:.4f} to {head['error_high']:.4f})"
        share = (head["pairs_exact"] + head["pairs_low"]) * len(kinds) / report["pairs"]
        print(f"{kind.__name__:<8} {interval:<28} {error:<8.4f} {share:>6.1%}  {head['parts']}", end="")
        print(f": {head['fallback']}" if head["fallback"] else "")


if __name__ == "__main__":
    main()
