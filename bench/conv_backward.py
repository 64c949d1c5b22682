"""Gradients with a conv basis against those of exact attention (its forward pass included), and which of the two the library chose.

float32, d = d_v = 64, one thread, the thread's own processor time; logits are functions of the lag and of the key's segment, in [-5, 5].
Beyond n = 32768 exact gradients are timed on the last 2^28 / n queries and scaled by the number of pairs. Differences are the
largest between the two, relative to the largest entry of the exact gradient (beyond 32768, of dq at those queries).
"""

import argparse
import time

import numpy as np
import subquad
from common import alternate, print_header, print_table, spread
from conv_common import structured

SEED = 1
GRID = ((2048, 8), (8192, 1), (8192, 16), (32768, 1), (32768, 16), (32768, 64))
LARGE = ((131072, 1), (131072, 16), (131072, 64))
PAIRS = 1 << 28


def measure(n: int, bases: int, seconds: float) -> dict[str, str]:
    """One row of the table."""
    problem = structured(n, bases, SEED)
    q, k, v = problem.q, problem.k, problem.v
    d_o = subquad.fill_uniform(v.shape, SEED, 3, -1.0, 1.0, dtype=v.dtype)
    basis = problem.recover()
    count = n if n <= 32768 else PAIRS // n
    part, offset = slice(n - count, n), n - count
    factor = n * (n + 1) / (count * (n + offset + 1))

    last: dict[str, subquad.Gradients] = {}

    def exact() -> None:
        o, lse = subquad.attention(q[part], k, v, causal=True, causal_offset=offset, return_lse=True, threads=1)
        last["exact"] = subquad.attention_backward(q[part], k, v, o, lse, d_o[part], causal=True, causal_offset=offset, threads=1)

    def conv() -> None:
        last["conv"] = basis.backward(q, k, v, d_o, backward="conv_basis", threads=1)

    times = alternate({"conv": conv, "exact": exact}, seconds, 2, time.thread_time)
    mine, other = spread(times["conv"])[0], spread(times["exact"])[0] * factor
    differences = []
    for name in ("dq", "dk", "dv") if count == n else ("dq",):
        reference, ours = getattr(last["exact"], name), getattr(last["conv"], name)
        differences.append(np.abs((ours[part] if name == "dq" else ours) - reference).max() / np.abs(reference).max())
    chosen = basis.backward(q, k, v, d_o, return_report=True, threads=1)[1]["method"]
    return {
        "n": str(n),
        "k": str(bases),
        "conv s": f"{mine:.3f}",
        "exact s": f"{other:.3f}",
        "times exact": f"{other / mine:.2f}",
        "default": str(chosen),
        "difference": f"{max(differences):.1e}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="n = 131072 too: some minutes")
    parser.add_argument("--seconds", type=float, default=4.0, help="time spent on each row of the table (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print()
    print_table([measure(*point, arguments.seconds) for point in GRID + LARGE * arguments.large])


if __name__ == "__main__":
    main()
