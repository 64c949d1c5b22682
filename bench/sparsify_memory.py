"""Memory that sparsifiers take beyond X: growth of the peak resident set during the call, each in a process of its own.

Growth includes what the call returns (result); the library's own figure, the workspace, does not. share: growth over what X takes.
Before the call X is made and the library has sparsified a small matrix, so that neither counts; then the operating system's record of the
peak is started anew, and the heap has been trimmed. The deterministic method is asked for 4 columns per row, the randomized one for 16.
"""

import argparse
import ctypes
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import scipy.sparse
import subquad
from common import print_header, print_table
from sparsify_common import MIB, skewed, sparse

SEED = 1
#        kind        dtype      n    d          density
GRID = (
    ("row-major", "float32", 128, 200_000, 1.0),
    ("column-major", "float32", 128, 200_000, 1.0),
    ("row-major", "float64", 128, 200_000, 1.0),
    ("csc", "float32", 128, 1_000_000, 0.2),
    ("csr", "float32", 128, 1_000_000, 0.2),
    ("csc", "float64", 128, 2_000_000, 0.02),
)
METHODS = ("scores", "exact scores", "leverage", "deterministic", "gram")


def resident(field: str) -> int:
    """VmRSS, what is in memory, or VmHWM, the most that ever was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def call(x: object, n: int, method: str, threads: int) -> tuple[object, subquad.Report]:
    """The result, and the report."""
    if method.endswith("scores"):
        asked = "exact" if method.startswith("exact") else None
        return subquad.leverage_scores(x, method=asked, threads=threads, return_report=True)
    columns = {"leverage": 16 * n, "deterministic": 4 * n, "gram": None}[method]
    result = subquad.sparsify(x, method=method, columns=columns, threads=threads)
    return result, result.report


def child(kind: str, dtype: str, n: int, d: int, density: float, method: str, threads: int) -> None:
    """One row; prints what it took."""
    if kind.startswith("cs"):
        x = sparse(n, d, density, dtype, SEED).asformat(kind)
        taken = x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
        small = scipy.sparse.random_array((n, 8 * n), density=0.5, format=kind, dtype=np.dtype(dtype), rng=SEED)
    else:
        x = skewed(n, d, dtype, SEED, "C" if kind == "row-major" else "F")
        taken = x.nbytes
        small = skewed(n, 8 * n, dtype, SEED)
    call(small, n, method, threads)
    ctypes.CDLL(None).malloc_trim(0)  # what making x left in the heap would be used again, unseen
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    result, report = call(x, n, method, threads)
    growth = resident("VmHWM") - before
    returned = result.nbytes if isinstance(result, np.ndarray) else result.shape[0] * result.shape[1] * result.dtype.itemsize
    print(json.dumps([taken, growth, returned, report["workspace_bytes"], report["seconds"]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the columns")
    parser.add_argument("--threads", type=int, default=2, help="threads of the library (default %(default)s)")
    parser.add_argument("--child", help="measure one row in this process, described by JSON")
    arguments = parser.parse_args()
    if arguments.child:
        child(*json.loads(arguments.child))
        return
    print_header(SEED)
    print(f"{arguments.threads} thread(s) used\n")
    table = []
    for kind, dtype, n, most, density in GRID:
        d = most // 10 if arguments.quick else most
        for method in METHODS:
            problem = json.dumps([kind, dtype, n, d, density, method, arguments.threads])
            output = subprocess.run([sys.executable, __file__, "--child", problem], stdout=subprocess.PIPE, text=True, check=True)
            taken, growth, returned, workspace, seconds = json.loads(output.stdout)
            table.append(
                {
                    "x": kind,
                    "dtype": dtype,
                    "n": str(n),
                    "d": str(d),
                    "density": f"{density:g}",
                    "method": method,
                    "s": f"{seconds:.2f}",
                    "x MiB": f"{taken / MIB:.1f}",
                    "growth MiB": f"{growth / MIB:.1f}",
                    "result MiB": f"{returned / MIB:.1f}",
                    "workspace MiB": f"{workspace / MIB:.1f}",
                    "share": f"{growth / taken:.2f}",
                }
            )
    print_table(table)


if __name__ == "__main__":
    main()
