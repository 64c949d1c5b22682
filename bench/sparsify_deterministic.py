"""Columns chosen by barriers: the library beside a straightforward NumPy version of the same theorem, with e and its bound.

NumPy: x is whitened once by QR; each step takes the eigenvalues of what has been chosen, tests all columns at once by their quadratic
forms with one matrix, D V, and takes the best. Where that would take minutes, whitening and a few steps are timed once, and the steps'
time is multiplied ("scaled"). One thread: the thread's own processor time; two: wall clocks; BLAS has as many threads as the library.
e is of the result, exact; before: the library's before it improves the weights; bound: 2 sqrt(c) / (c + 1). Columns and rows of x differ
in norm; float64. Memory: the library's workspace.
"""

import argparse
from collections.abc import Callable

import numpy as np
import subquad
from common import alternate, print_header, print_table, spread
from sparsify_common import MIB, clock, skewed, whitened

SEED = 1
Problem = tuple[int, int, int, int]  # n, d, c, threads
GRID: tuple[Problem, ...] = ((64, 20_000, 4, 1), (64, 20_000, 16, 1), (256, 200_000, 4, 2))
LONG = 1e12  # products of the NumPy version, beyond which not all of its steps are timed
TIMED_STEPS = 4


def numpy_barriers(v: np.ndarray, c: float, steps: int) -> tuple[np.ndarray, float]:
    """Weights of the whitened columns after so many steps of c per row, and their e where these are all."""
    n, d = v.shape
    root = np.sqrt(c)
    lower, upper = -n * root, n * (c + root) / (root - 1)
    up = (root + 1) / (root - 1)
    a, weights = np.zeros((n, n)), np.zeros(d)
    product = np.empty_like(v)
    for _ in range(steps):
        values, vectors = np.linalg.eigh(a)
        next_lower, next_upper = lower + 1, upper + up
        below, above = 1 / (values - next_lower), 1 / (next_upper - values)
        low = below**2 / np.sum(below - 1 / (values - lower)) - below
        high = above**2 / np.sum(1 / (upper - values) - above) + above
        np.matmul((vectors * (low - high)) @ vectors.T, v, out=product)
        j = int(np.einsum("ij,ij->j", v, product).argmax())
        coordinates = (vectors.T @ v[:, j]) ** 2
        weight = 2 / (coordinates @ low + coordinates @ high)
        a += weight * np.outer(v[:, j], v[:, j])
        weights[j] += weight
        lower, upper = next_lower, next_upper
    values = np.linalg.eigvalsh(a)
    middle = (values[0] + values[-1]) / 2
    return weights / middle, (values[-1] - values[0]) / 2 / middle


def described(
    problem: Problem, method: str, median: float, spread_: str, ours: float, result: tuple[str, str, str, str]
) -> dict[str, str]:
    """A row of the table; result: columns, e, e before the weights were improved, workspace."""
    n, d, c, threads = problem
    bound = 2 * np.sqrt(c) / (c + 1)
    return {
        "n": str(n),
        "d": str(d),
        "c": str(c),
        "threads": str(threads),
        "method": method,
        "s": f"{median:.3f}",
        "IQR": spread_,
        "times subquad": f"{median / ours:.1f}",
        "columns": result[0],
        "e": result[1],
        "before": result[2],
        "bound": f"{bound:.3f}",
        "workspace MiB": result[3],
        "x MiB": f"{8 * n * d / MIB:.0f}",
    }


def scaled_seconds(x: np.ndarray, c: int, now: Callable[[], float]) -> float:
    """What the NumPy version would take."""
    start = now()
    v = whitened(x)
    middle = now()
    numpy_barriers(v, c, TIMED_STEPS)
    return middle - start + (now() - middle) / TIMED_STEPS * c * len(x)


def measure(problem: Problem, seconds: float) -> list[dict[str, str]]:
    """The library's row and NumPy's."""
    n, d, c, threads = problem
    x = skewed(n, d, "float64", SEED)
    chosen: list[subquad.Sparsifier] = []
    found: list[tuple[np.ndarray, float]] = []

    def ours() -> None:
        chosen[:] = [subquad.sparsify(x, method="deterministic", columns=c * n, certify="exact", threads=threads)]

    def theirs() -> None:
        found[:] = [numpy_barriers(whitened(x), c, c * n)]

    long = n * n * d * c * n > LONG
    with clock(threads) as now:
        times = {"subquad": ours} if long else {"subquad": ours, "NumPy": theirs}
        spreads = {name: spread(of) for name, of in alternate(times, seconds, 2, now).items()}
        slow = scaled_seconds(x, c, now) if long else 0.0
    report = chosen[0].report
    median, range_ = spreads["subquad"]
    epsilons = (f"{chosen[0].epsilon:.4f}", f"{report['epsilon_barriers']:.3f}")
    result = (str(chosen[0].shape[1]), *epsilons, f"{report['workspace_bytes'] / MIB:.1f}")
    table = [described(problem, "subquad", median, f"{range_:.3f}", median, result)]
    if long:
        return [*table, described(problem, "NumPy, scaled", slow, "-", median, ("-", "-", "-", "-"))]
    weights, epsilon = found[0]
    result = (str(np.count_nonzero(weights)), f"{epsilon:.4f}", "-", "-")
    return [*table, described(problem, "NumPy", spreads["NumPy"][0], f"{spreads['NumPy'][1]:.3f}", median, result)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the columns, and without n = 256")
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on each problem at least (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print()
    grid = [(n, d // 10, c, threads) for n, d, c, threads in GRID if n < 256] if arguments.quick else GRID
    print_table([row for problem in grid for row in measure(problem, arguments.seconds)])


if __name__ == "__main__":
    main()
