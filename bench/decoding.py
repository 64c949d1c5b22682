"""Exact attention of a few queries against many keys, as in decoding, beside PyTorch: where the path for few queries stops paying.

Times include the scan for NaN, which "no scan" leaves out (check_finite=False).
"""

import argparse

import numpy as np
import subquad
import torch
from common import alternate, print_header, print_table, spread

SEED = 1


def measure(n_q: int, n_k: int, q_heads: int, kv_heads: int, threads: int, seconds: float) -> dict[str, str]:
    """One row of the table, d = 64, float32."""
    d = 64
    q = subquad.fill_uniform((1, q_heads, n_q, d), SEED, 0, -1.5, 1.5, dtype=np.float32)
    k, v = (subquad.fill_uniform((1, kv_heads, n_k, d), SEED, stream, -1.5, 1.5, dtype=np.float32) for stream in (1, 2))
    tq, tk, tv = (torch.from_numpy(x) for x in (q, k, v))
    torch.set_num_threads(threads)

    def theirs() -> torch.Tensor:
        with torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(tq, tk, tv, enable_gqa=q_heads != kv_heads)

    ours = subquad.attention(q, k, v, threads=threads)
    error = np.abs(ours - theirs().numpy()).max()
    times = alternate(
        {
            "ours": lambda: subquad.attention(q, k, v, threads=threads),
            "no scan": lambda: subquad.attention(q, k, v, threads=threads, check_finite=False),
            "torch": theirs,
        },
        seconds,
    )
    mine, bare, other = (spread(times[name])[0] for name in ("ours", "no scan", "torch"))
    return {
        "n_q": str(n_q),
        "n_k": str(n_k),
        "heads": f"{q_heads}/{kv_heads}",
        "threads": str(threads),
        "subquad ms": f"{mine * 1e3:.3f}",
        "no scan ms": f"{bare * 1e3:.3f}",
        "torch ms": f"{other * 1e3:.3f}",
        "times torch": f"{other / mine:.2f}",
        "no scan, times torch": f"{other / bare:.2f}",
        "difference": f"{error:.1e}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on each row of the table (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print(f"torch {torch.__version__}\n")
    print_table(
        [
            measure(n_q, n_k, *heads, threads, arguments.seconds)
            for threads in (1, 2)
            for heads in ((8, 8), (9, 3))
            for n_k in (2048, 8192)
            for n_q in (1, 2, 4, 5, 8)
        ]
    )


if __name__ == "__main__":
    main()
