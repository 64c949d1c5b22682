"""Leverage scores of sparse matrices, by time per nonzero, beside the memory's bandwidth and SciPy's Gram matrix.

256 rows, float32 values, int32 indices. GB/s are those of the nonzeros, values and indices once; share: of the bandwidth, the fastest of
three ways to read 1 GiB with as many threads. Gram, sparse: (x @ x.T), Cholesky, then x' L^-T in blocks of columns; Gram, dense: the same
with each block made dense, for BLAS to work on. Both are timed on about a million nonzeros, and their times scaled by the number. One
thread: the thread's own processor time; two: wall clocks. least and most: the smallest and largest ratio to scores in float64, over the
first columns; factor: within which the library says that they are, with probability 0.99. Workspace: what the library took, scores apart.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg
import scipy.sparse
import subquad
from common import alternate, print_header, print_table, spread
from sparsify_common import BLOCK, MIB, clock, exact_scores, sparse

SEED = 1
N = 256
GRID = ((20_000, 0.01), (200_000, 0.01), (2_000_000, 0.01), (20_000, 0.2), (200_000, 0.2), (2_000_000, 0.2))
PART = 1_000_000  # nonzeros that the Gram matrix is timed on
READ = 1 << 30  # bytes whose reading is timed


def bandwidth(threads: int) -> float:
    """Bytes per second that NumPy reads, at best."""
    parts = np.array_split(np.ones(READ // 4, np.float32), threads)
    ways = {"sum": np.sum, "dot": lambda part: np.dot(part, part), "largest": lambda part: part.view(np.int32).max()}
    with clock(threads) as now, clock(1), ThreadPoolExecutor(threads) as pool:
        spreading = map if threads == 1 else pool.map  # one thread is this one, whose time is taken
        times = alternate({name: lambda way=way: list(spreading(way, parts)) for name, way in ways.items()}, 0, 5, now)
    return READ / min(min(of) for of in times.values())


def by_gram(x: scipy.sparse.csc_array, dense: bool) -> np.ndarray:
    """Scores by the Gram matrix and its Cholesky factor."""
    blocks = [x[:, first : first + BLOCK] for first in range(0, x.shape[1], BLOCK)]
    gram = sum(some @ some.T for some in (block.toarray() for block in blocks)) if dense else (x @ x.T).toarray()
    identity = np.eye(N, dtype=x.dtype)
    inverse = scipy.linalg.solve_triangular(np.linalg.cholesky(gram), identity, lower=True, check_finite=False)
    whites = [block.toarray().T @ inverse.T if dense else block.T @ inverse.T for block in blocks]
    return np.concatenate([np.einsum("ij,ij->i", white, white) for white in whites])


def measure(x: scipy.sparse.csc_array, density: float, bandwidths: dict[int, float], seconds: float) -> list[dict[str, str]]:
    """The rows of one matrix, csc and csr."""
    part = x[:, : max(1, min(x.shape[1], int(PART / density / N)))]
    checked = min(BLOCK, x.shape[1])
    reference = exact_scores(x, checked)
    per_scale = x.nnz / part.nnz
    rows = []
    for layout in ("csc", "csr"):
        matrix = x if layout == "csc" else x.tocsr()
        for threads, most in bandwidths.items():
            with clock(threads) as now:
                call = {"subquad": lambda threads=threads, matrix=matrix: subquad.leverage_scores(matrix, threads=threads)}
                peers = {"Gram, sparse": lambda: by_gram(part, dense=False), "Gram, dense": lambda: by_gram(part, dense=True)}
                times = alternate(call | (peers if layout == "csc" else {}), seconds, 3, now)
            scores, report = subquad.leverage_scores(matrix, threads=threads, return_report=True)
            ratio = scores[:checked][reference > 0] / reference[reference > 0]
            ours = spread(times["subquad"])[0]
            for name, of in times.items():
                mine = name == "subquad"
                median, range_ = (time * (1 if mine else per_scale) for time in spread(of))
                speed = 8 * x.nnz / median
                rows.append(
                    {
                        "d": str(x.shape[1]),
                        "density": f"{density:g}",
                        "nonzeros": str(x.nnz),
                        "layout": layout,
                        "threads": str(threads),
                        "method": f"{name}: {report['scores']}" if mine else name,
                        "ms": f"{median * 1e3:.1f}",
                        "IQR": f"{range_ * 1e3:.1f}",
                        "times subquad": f"{median / ours:.2f}",
                        "ns each": f"{median / x.nnz * 1e9:.2f}",
                        "GB/s": f"{speed / 1e9:.2f}",
                        "share": f"{speed / most:.2f}",
                        "least": f"{ratio.min():.3f}" if mine else "-",
                        "most": f"{ratio.max():.3f}" if mine else "-",
                        "factor": f"{report['score_factor']:.2f}" if mine else "-",
                        "workspace MiB": f"{report['workspace_bytes'] / MIB:.1f}" if mine else "-",
                    }
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 10^6 nonzeros only")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="time spent on each row of the table at least (default %(default)s)"
    )
    arguments = parser.parse_args()
    print_header(SEED)
    bandwidths = {threads: bandwidth(threads) for threads in (1, 2)}
    print(
        "bandwidth: " + ", ".join(f"{each / 1e9:.1f} GB/s on {threads} thread(s)" for threads, each in bandwidths.items()) + "\n"
    )
    table = []
    for d, density in GRID:
        if not arguments.quick or d * density <= 4000:
            table += measure(sparse(N, d, density, "float32", SEED), density, bandwidths, arguments.seconds)
    print_table(table)


if __name__ == "__main__":
    main()
