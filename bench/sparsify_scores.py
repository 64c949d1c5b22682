"""Leverage scores of dense matrices: the library's choice and its sketch beside NumPy, SciPy and scikit-learn.

Gram: x x', Cholesky, then norms of the columns of L^-1 x, by solve_triangular or by a product with the inverse of L, into memory made
before. Projection: scikit-learn's SparseRandomProjection, as wide as the library's sketch, QR, as many Gaussian vectors as the library
takes. QR: numpy.linalg.qr on the first eighth of the columns, its time and memory times eight. These two are slow, and called once.
One thread: the thread's own processor time; more: wall clocks. Columns and rows of x differ in norm. least and most: the smallest and
largest ratio to scores in float64; factor: within which the library says that they are, with probability 0.99. Memory: the library's
workspace, NumPy's allocations.
"""

import argparse
import tracemalloc
from collections.abc import Callable

import numpy as np
import scipy.linalg
import subquad
from common import alternate, print_header, print_table, spread
from sklearn.random_projection import SparseRandomProjection
from sparsify_common import MIB, clock, exact_scores, skewed

SEED = 1
GRID = [
    (n, (200_000 if n > 16 else 1_000_000) // (1 if dtype == "float32" else 2), dtype, order)
    for dtype, order in (("float32", "C"), ("float32", "F"), ("float64", "C"))
    for n in (512, 256, 128, 64, 16)
]
PART = 8  # of the columns, one in so many goes to numpy.linalg.qr


def gram_factor(x: np.ndarray, gram: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(np.matmul(x, x.T, out=gram))


def column_norms(x: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->j", x, x)


def by_solving(x: np.ndarray, gram: np.ndarray, white: np.ndarray) -> np.ndarray:
    np.copyto(white, x)
    factor = gram_factor(x, gram)
    return column_norms(scipy.linalg.solve_triangular(factor, white, lower=True, overwrite_b=True, check_finite=False))


def by_inverse(x: np.ndarray, gram: np.ndarray, white: np.ndarray) -> np.ndarray:
    identity = np.eye(len(x), dtype=x.dtype)
    inverse = scipy.linalg.solve_triangular(gram_factor(x, gram), identity, lower=True, overwrite_b=True, check_finite=False)
    return column_norms(np.matmul(inverse, x, out=white))


def by_qr(x: np.ndarray) -> np.ndarray:
    return column_norms(np.linalg.qr(x.T)[0].T)


def by_projection(x: np.ndarray, rows: int, vectors: int) -> np.ndarray:
    """The library's algorithm with scikit-learn's sketch."""
    projected = SparseRandomProjection(rows, random_state=SEED).fit_transform(x)
    triangle = np.linalg.qr(projected.T, mode="r")
    normal = np.eye(len(x)) if vectors == 0 else np.random.default_rng(SEED).standard_normal((len(x), vectors)) / np.sqrt(vectors)
    return column_norms(scipy.linalg.solve_triangular(triangle, normal.astype(x.dtype), check_finite=False).T @ x)


def once(call: Callable[[], np.ndarray], now: Callable[[], float]) -> tuple[np.ndarray, float, float]:
    """What it returns, how long it took, and the most bytes that NumPy had allocated meanwhile."""
    tracemalloc.start()
    start = now()
    result = call()
    seconds = now() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, seconds, peak


def measure(n: int, d: int, dtype: str, order: str, threads: int, seconds: float) -> list[dict[str, str]]:
    """The rows of one shape."""
    x = skewed(n, d, dtype, SEED, order)
    part = np.asarray(x[:, : d // PART], order=order)
    gram, white = np.empty((n, n), dtype), np.empty_like(x)
    reports = {"subquad": subquad.leverage_scores(x, threads=threads, return_report=True)[1]}
    sketch = subquad.leverage_scores(x, method="sketch", threads=threads, return_report=True)[1]
    fast: dict[str, Callable[[], np.ndarray]] = {"subquad": lambda: subquad.leverage_scores(x, threads=threads)}
    if reports["subquad"]["scores"] != "sketch":
        reports["subquad, asked for"] = sketch
        fast["subquad, asked for"] = lambda: subquad.leverage_scores(x, method="sketch", threads=threads)
    fast |= {"Gram, solve": lambda: by_solving(x, gram, white), "Gram, inverse": lambda: by_inverse(x, gram, white)}
    slow: dict[str, Callable[[], np.ndarray]] = {"QR": lambda: by_qr(part)}
    if (dtype, order) == ("float32", "C"):
        slow["projection"] = lambda: by_projection(x, int(sketch["sketch_rows"]), int(sketch["projections"]))
    with clock(threads) as now:
        times = {name: spread(of) for name, of in alternate(fast, seconds, 3, now).items()}
        results = {name: once(call, now) for name, call in (fast | slow).items()}
        reference, of_part = exact_scores(x), exact_scores(part)
    table = []
    for name, (scores, single, allocated) in results.items():
        report, factor = reports.get(name), PART if name == "QR" else 1
        memory = report["workspace_bytes"] if report else allocated * factor
        if name.startswith("Gram"):
            memory += gram.nbytes + white.nbytes
        median = times[name][0] if name in times else single * factor
        ratio = scores / (of_part if name == "QR" else reference)
        table.append(
            {
                "n": str(n),
                "d": str(d),
                "dtype": dtype,
                "order": order,
                "method": f"{name}: {report['scores']}" if report else name,
                "ms": f"{median * 1e3:.1f}",
                "IQR": f"{times[name][1] * 1e3:.1f}" if name in times else "-",
                "times subquad": f"{median / times['subquad'][0]:.2f}",
                "least": f"{ratio.min():.5f}",
                "most": f"{ratio.max():.5f}",
                "factor": f"{report['score_factor']:.2f}" if report else "-",
                "memory MiB": f"{memory / MIB:.1f}",
            }
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the columns")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each shape at least (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print(f"{arguments.threads} thread(s) used\n")
    table = []
    for n, d, dtype, order in GRID:
        columns = d // 10 if arguments.quick else d
        table += measure(n, columns, dtype, order, arguments.threads, arguments.seconds / (10 if arguments.quick else 1))
    print_table(table)


if __name__ == "__main__":
    main()
