"""Exact attention against PyTorch's scaled_dot_product_attention: time, throughput and error, alternating in one run.

Throughput counts 2 n^2 d operations for a causal forward pass (4 n^2 d without a mask), and 3.5 times that with the backward pass.
The error is the largest difference to attention computed in float64 by its definition, over sampled rows, relative to the largest
entry of that output.
"""

import argparse
import itertools
from dataclasses import dataclass

import numpy as np
import subquad
import torch
from common import alternate, print_header, print_table, spread

SEED = 1


@dataclass
class Setup:
    n: int
    d: int
    heads: int
    threads: int
    dtype: type
    causal: bool
    backward: bool


def setups(quick: bool) -> list[Setup]:
    """The grid: both lengths, one thread and one head or two threads and eight heads, d 64 and 128, with and without mask."""
    lengths = (2048,) if quick else (2048, 8192)
    grid = [
        Setup(n, 64, heads, threads, dtype, True, backward)
        for n, (heads, threads), dtype, backward in itertools.product(
            lengths, ((1, 1), (8, 2)), (np.float32, np.float64), (False, True)
        )
    ]
    grid += [Setup(n, 128, 1, 1, np.float32, True, backward) for n, backward in itertools.product(lengths, (False, True))]
    grid += [Setup(n, 64, 1, 1, np.float32, False, backward) for n, backward in itertools.product(lengths, (False, True))]
    return grid


def reference_rows(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool, rows: list[int]) -> np.ndarray:
    """The first head's output at some rows, in float64 by its definition."""
    out = []
    for i in rows:
        last = i + 1 if causal else k.shape[-2]
        logits = k[0, 0, :last].astype(np.float64) @ q[0, 0, i].astype(np.float64) / np.sqrt(q.shape[-1])
        weights = np.exp(logits - logits.max())
        out.append(weights @ v[0, 0, :last].astype(np.float64) / weights.sum())
    return np.array(out)


def measure(setup: Setup, seconds: float) -> dict[str, str]:
    """One row of the table."""
    shape = (1, setup.heads, setup.n, setup.d)
    q, k, v, do = (subquad.fill_uniform(shape, SEED, stream, -1.5, 1.5, dtype=setup.dtype) for stream in range(4))
    tq, tk, tv = (torch.from_numpy(x).requires_grad_(setup.backward) for x in (q, k, v))
    tdo = torch.from_numpy(do)
    torch.set_num_threads(setup.threads)
    out = np.empty(shape, setup.dtype)

    def ours() -> np.ndarray:
        o, lse = subquad.attention(q, k, v, causal=setup.causal, out=out, return_lse=True, threads=setup.threads)
        if setup.backward:
            subquad.attention_backward(q, k, v, o, lse, do, causal=setup.causal, threads=setup.threads)
        return o

    def theirs() -> np.ndarray:
        with torch.set_grad_enabled(setup.backward):
            o = torch.nn.functional.scaled_dot_product_attention(tq, tk, tv, is_causal=setup.causal)
        if setup.backward:
            o.backward(tdo)
            tq.grad = tk.grad = tv.grad = None
        return o.detach().numpy()

    rows = [0, 1, setup.n // 3, setup.n - 1]
    exact = reference_rows(q, k, v, setup.causal, rows)
    errors = {
        name: np.abs(call()[0, 0, rows] - exact).max() / np.abs(exact).max() for name, call in (("ours", ours), ("torch", theirs))
    }
    times = alternate({"ours": ours, "torch": theirs}, seconds)
    (mine, my_range), (other, other_range) = spread(times["ours"]), spread(times["torch"])
    work = (2 if setup.causal else 4) * (3.5 if setup.backward else 1) * setup.heads * setup.n**2 * setup.d
    return {
        "n": str(setup.n),
        "d": str(setup.d),
        "heads": str(setup.heads),
        "threads": str(setup.threads),
        "dtype": np.dtype(setup.dtype).name,
        "mask": "causal" if setup.causal else "none",
        "pass": "fwd + bwd" if setup.backward else "fwd",
        "subquad ms (IQR)": f"{mine * 1e3:.2f} ({my_range * 1e3:.2f})",
        "GF/s": f"{work / mine * 1e-9:.0f}",
        "error": f"{errors['ours']:.1e}",
        "torch ms (IQR)": f"{other * 1e3:.2f} ({other_range * 1e3:.2f})",
        "torch GF/s": f"{work / other * 1e-9:.0f}",
        "torch error": f"{errors['torch']:.1e}",
        "times torch": f"{other / mine:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="n = 2048 only")
    parser.add_argument("--seconds", type=float, default=8.0, help="time spent on each row of the table (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print(f"torch {torch.__version__}\n")
    print_table([measure(setup, arguments.seconds) for setup in setups(arguments.quick)])


if __name__ == "__main__":
    main()
