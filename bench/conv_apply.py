"""Attention with a conv basis against exact causal attention, this library's and PyTorch's: time and error. float32, d = 64.

Logits are functions of the lag and of the key's segment, in [-5, 5]; the basis is recovered from q and k, which is not timed here
(bench/run conv_recover is about that). One-thread times are the thread's own processor time; the column of two threads compares wall
clocks. Beyond n = 32768 exact attention is timed on the last 2^28 / n queries and scaled by the number of pairs. torch.fft is the same
product read literally: kernels as differences of exponentials, one transform of twice the length per basis. Errors are the largest
difference to attention in float64 by its definition, over sampled rows, relative to the largest value.
"""

import argparse
import time

import numpy as np
import subquad
import torch
from common import alternate, print_header, print_table, spread
from conv_common import Structured, exact_rows, sampled_rows, structured

SEED = 1
GRID = ((2048, 8), (8192, 16), (32768, 16), (32768, 64), (131072, 16), (131072, 64))
LARGE = (1 << 20, 64)
PAIRS = 1 << 28  # of the part of exact attention that is timed where n is large


def literal(problem: Structured, basis: subquad.ConvBasis) -> torch.Tensor:
    """The exp transform by increments, each basis by one transform over all its rows."""
    n = len(problem.v)
    exponentials = torch.from_numpy(basis.exp().kernels(cumulative=False))
    values = torch.cat([torch.from_numpy(problem.v), torch.ones(n, 1)], dim=1)
    sums = torch.zeros(n, values.shape[1])
    for start, kernel in zip(problem.starts, exponentials, strict=True):
        rows = n - int(start)
        length = 1 << (2 * rows - 1).bit_length()
        spectrum = torch.fft.rfft(kernel[:rows], length)[:, None] * torch.fft.rfft(values[start:], length, dim=0)
        sums[start:] += torch.fft.irfft(spectrum, length, dim=0)[:rows]
    return sums[:, :-1] / sums[:, -1:]


def exact_part(problem: Structured) -> tuple[slice, float]:
    """Queries on which exact attention is timed, and what their time is to be multiplied by."""
    n = len(problem.q)
    count = n if n <= 32768 else PAIRS // n
    pairs = count * (n - count) + count * (count + 1) / 2
    return slice(n - count, n), n * (n + 1) / 2 / pairs


def measure(n: int, bases: int, seconds: float) -> tuple[dict[str, str], float]:
    """One row of the table, and the milliseconds of one apply."""
    problem = structured(n, bases, SEED)
    q, k, v = problem.q, problem.k, problem.v
    basis = problem.recover()
    part, factor = exact_part(problem)
    out, again, slow = np.empty_like(v), np.empty_like(v), np.empty_like(v[part])
    tq, tk, tv = (torch.from_numpy(x[None, None]) for x in (q, k, v))
    torch.set_num_threads(1)

    def exact() -> np.ndarray:
        offset = n - len(slow)
        return subquad.attention(q[part], k, v, causal=True, causal_offset=offset, threads=1, out=slow)

    def fused() -> torch.Tensor:
        with torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(tq, tk, tv, is_causal=True)

    contenders = {
        "conv": lambda: basis.apply(v, threads=1, out=out),
        "strict": lambda: basis.apply(v, threads=1, out=again, strict_causal=True),
        "exact": exact,
    }
    if n <= 32768:
        contenders["torch"] = fused
    if n * bases <= 32768 * 16:
        contenders["literal"] = lambda: literal(problem, basis)
    times = {name: spread(of)[0] for name, of in alternate(contenders, seconds, 3, time.thread_time).items()}
    walls = {
        name: spread(of)[0]
        for name, of in alternate(
            {count: lambda count=count: basis.apply(v, threads=int(count), out=again) for count in "12"}, seconds / 2
        ).items()
    }

    _, report = basis.apply(v, threads=1, out=out, return_report=True)
    rows = sampled_rows(n, 24 if n < LARGE[0] else 6, SEED)
    reference = exact_rows(q, k, v, rows)
    timed = rows[rows >= part.start]

    def error(o: np.ndarray, at: np.ndarray) -> float:
        return np.abs(o[at] - reference[np.searchsorted(rows, at)]).max() / np.abs(v).max()

    slowest = times["exact"] * factor
    row = {
        "n": str(n),
        "k": str(bases),
        "conv ms": f"{times['conv'] * 1e3:.1f}",
        "exact ms": f"{slowest * 1e3:.0f}",
        "times exact": f"{slowest / times['conv']:.1f}",
        "torch ms": f"{times['torch'] * 1e3:.0f}" if "torch" in times else "-",
        "torch.fft ms": f"{times['literal'] * 1e3:.0f}" if "literal" in times else "-",
        "strict ms": f"{times['strict'] * 1e3:.1f}",
        "2 threads": f"{walls['1'] / walls['2']:.2f} x",
        "error": f"{error(out, rows):.1e}",
        "exact's error": f"{np.abs(slow[timed - part.start] - reference[np.searchsorted(rows, timed)]).max():.1e}",
        "torch.fft's error": f"{error(literal(problem, basis).numpy(), rows):.1e}" if "literal" in times else "-",
        "block": str(report["block"]),
        "layers": str(report["layers"]),
        "direct rows": str(report["direct_rows"]),
    }
    return row, times["conv"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="n = 1048576 too")
    parser.add_argument("--quick", action="store_true", help="n up to 8192 only")
    parser.add_argument("--seconds", type=float, default=8.0, help="time spent on each row of the table (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print(f"torch {torch.__version__}\n")
    grid = [point for point in GRID if not arguments.quick or point[0] <= 8192] + [LARGE] * arguments.large
    results = {point: measure(*point, arguments.seconds) for point in grid}
    print_table([row for row, _ in results.values()])
    if arguments.large:
        print(f"\ntime(n = {LARGE[0]}) / time(n = 131072), k = 64: {results[LARGE][1] / results[131072, 64][1]:.1f}")


if __name__ == "__main__":
    main()
