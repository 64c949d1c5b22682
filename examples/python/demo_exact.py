"""Describe the library, then time exact attention beside plain NumPy, with the error of both.

usage: demo_exact.py [--sizes 256 512 ...] [--heads 4] [--repeats 7]
"""

import argparse
import statistics
import time

import numpy as np
import subquad

DIMENSION = 64


def numpy_attention(q, k, v):
    """Causal softmax attention as one writes it in NumPy: every logit in memory."""
    n = q.shape[-2]
    logits = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]).astype(q.dtype)
    logits[..., np.triu(np.ones((n, n), dtype=bool), 1)] = -np.inf
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    return logits @ v / logits.sum(axis=-1, keepdims=True)


def median_milliseconds(repeats, *functions):
    """Medians over runs that take turns, so that a busy moment of the machine hits all alike."""
    times = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, seconds in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
    return [1000 * statistics.median(seconds[1:]) for seconds in times]


def print_row(n, heads, repeats):
    rng = np.random.default_rng(n)
    q, k, v = rng.standard_normal((3, heads, n, DIMENSION), dtype=np.float32)
    ours, numpys = median_milliseconds(repeats, lambda: subquad.attention(q, k, v, causal=True), lambda: numpy_attention(q, k, v))
    reference = numpy_attention(*(x.astype(np.float64) for x in (q, k, v)))
    errors = [np.abs(o - reference).max() for o in (subquad.attention(q, k, v, causal=True), numpy_attention(q, k, v))]
    print(f"{n:>6} {ours:>12.2f} {numpys:>12.2f} {numpys / ours:>7.1f} {errors[0]:>14.1e} {errors[1]:>14.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()

    for key, value in subquad.info().items():
        print(f"{key:>18}  {', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}")
    print(f"\nexact causal attention, float32, {options.heads} heads of dimension {DIMENSION}, every logit:")
    print(f"{'n':>6} {'subquad ms':>12} {'NumPy ms':>12} {'ratio':>7} {'subquad error':>14} {'NumPy error':>14}")
    for n in options.sizes:
        print_row(n, options.heads, options.repeats)
    print("Errors are the largest of any output, against NumPy in float64.")


if __name__ == "__main__":
    main()
