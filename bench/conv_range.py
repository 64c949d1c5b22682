"""What wide ranges of logits cost attention with a conv basis: time, transforms per block ("layers"), rows by direct products, errors.

n = 32768, k = 16, d = 64, one thread; times are the thread's own processor time. Every kernel fills [-range, range]: *smooth* waves,
*falling* and *rising* in a line, *random* from lag to lag, a *step* up at some lag, a *spike* of one lag. Errors are the largest
differences to float64 by definition over sampled rows, relative to the largest value, of apply and of apply_transposed. The library
promises 1e-4 in float32 up to a range of 80, 1e-9 in float64 up to 600; transposed, that times the number of blocks.
"""

import argparse
import time

import numpy as np
import subquad
from common import alternate, print_header, print_table, spread
from conv_common import kernel_columns, kernel_rows, sampled_rows

SEED = 1
RANGES = {np.float32: (2.5, 5.0, 10.0, 20.0, 40.0, 80.0), np.float64: (5.0, 80.0, 600.0)}
SHAPES = ("smooth", "falling", "rising", "random", "step", "spike")


def kernels(shape: str, n: int, bases: int, largest: float) -> np.ndarray:
    """One kernel per segment, each with places of its own for what happens in it."""
    random = np.random.default_rng(SEED)
    lags, out = np.arange(n) / n, np.empty((bases, n))
    for r in range(bases):
        place = random.uniform(0.05, 0.95)
        if shape == "smooth":
            out[r] = np.cos(2 * np.pi * (random.uniform(0.5, 4) * lags + place))
        elif shape == "falling":
            out[r] = 1 - 2 * lags
        elif shape == "rising":
            out[r] = 2 * lags - 1
        elif shape == "random":
            out[r] = random.uniform(-1, 1, n)
        elif shape == "step":
            out[r] = np.where(lags < place, -1, 1)
        else:
            out[r] = np.where(np.arange(n) == int(place * n), 1, -1)
    return out * largest


def measure(n: int, bases: int, shape: str, dtype: type, largest: float, seconds: float, exact: float) -> dict[str, str]:
    """One row of the table. exact: seconds of exact attention."""
    starts = np.concatenate([[0], np.sort(np.random.default_rng(SEED).choice(np.arange(1, n), bases - 1, replace=False))])
    entries = kernels(shape, n, bases, largest).astype(dtype)
    v = subquad.fill_uniform((n, 64), SEED, 2, -1.0, 1.0, dtype=dtype)
    basis = subquad.ConvBasis(starts=starts, kernels=entries, cumulative=True)
    o, report = basis.apply(v, threads=1, return_report=True)
    median, _ = spread(alternate({"conv": lambda: basis.apply(v, threads=1, out=o)}, seconds, 3, time.thread_time)["conv"])
    rows = sampled_rows(n, 48, SEED)
    error = np.abs(o[rows] - kernel_rows(starts, entries, v, rows)).max() / np.abs(v).max()
    transposed = np.abs(basis.apply_transposed(v)[rows] - kernel_columns(starts, entries, v, rows)).max() / np.abs(v).max()
    return {
        "dtype": np.dtype(dtype).name,
        "kernels": shape,
        "range": f"{largest:g}",
        "ms": f"{median * 1e3:.1f}",
        "times exact": f"{exact / median:.1f}",
        "layers": str(report["layers"]),
        "direct rows": str(report["direct_rows"]),
        "error": f"{error:.1e}",
        "transposed error": f"{transposed:.1e}",
        "blocks": str(-(-n // int(report["block"]))),
    }


def exact_seconds(n: int, dtype: type) -> float:
    """Time of exact attention, whatever the logits are."""
    q, k, v = (subquad.fill_uniform((n, 64), SEED, stream, -1.0, 1.0, dtype=dtype) for stream in range(3))
    return spread(
        alternate({"exact": lambda: subquad.attention(q, k, v, causal=True, threads=1)}, 0, 3, time.thread_time)["exact"]
    )[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=32768, help="rows (default %(default)s)")
    parser.add_argument("--bases", type=int, default=16, help="bases (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each row of the table (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    rows = []
    for dtype, ranges in RANGES.items():
        exact = exact_seconds(arguments.n, dtype)
        print(f"n {arguments.n}, k {arguments.bases}; exact attention in {np.dtype(dtype).name}: {exact * 1e3:.0f} ms")
        rows += [
            measure(arguments.n, arguments.bases, shape, dtype, largest, arguments.seconds, exact)
            for shape in SHAPES
            for largest in ranges
        ]
    print()
    print_table(rows)


if __name__ == "__main__":
    main()
