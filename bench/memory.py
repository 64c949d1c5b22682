"""Memory that exact attention takes beyond its arrays: what the report says, and what the operating system saw.

Each row runs in a process of its own; the second figure is the growth of that process's peak resident set during the call.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import subquad
from common import print_header, print_table

SEED = 1
MIB = 2**20


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def child(n: int, d: int, dtype: str) -> None:
    """Forward and backward once, one head; prints what they took."""
    q, k, v, do = (subquad.fill_uniform((1, 1, n, d), SEED, stream, -1.5, 1.5, dtype=np.dtype(dtype)) for stream in range(4))
    out = np.zeros_like(q)
    gradients = 3 * q.nbytes  # arrays that the backward call returns, counted as arrays
    start = peak_kib()
    begin = time.perf_counter()
    o, lse, forward = subquad.attention(q, k, v, causal=True, out=out, return_lse=True, return_report=True)
    middle_peak, middle = peak_kib(), time.perf_counter()
    _, backward = subquad.attention_backward(q, k, v, o, lse, do, causal=True, return_report=True)
    end = time.perf_counter()
    print(
        json.dumps(
            {
                "forward": [forward["workspace_bytes"], (middle_peak - start) * 1024 - lse.nbytes, middle - begin],
                "backward": [backward["workspace_bytes"], (peak_kib() - middle_peak) * 1024 - gradients, end - middle],
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=3, metavar=("N", "D", "DTYPE"), help="measure one row in this process")
    arguments = parser.parse_args()
    if arguments.child:
        n, d, dtype = arguments.child
        child(int(n), int(d), dtype)
        return
    print_header(SEED)
    print()
    rows = []
    for n, d, dtype in ((8192, 64, "float32"), (131072, 64, "float32"), (131072, 64, "float64")):
        output = subprocess.run(
            [sys.executable, __file__, "--child", str(n), str(d), dtype], capture_output=True, text=True, check=True
        )
        for name, (workspace, resident, seconds) in json.loads(output.stdout).items():
            rows.append(
                {
                    "n": str(n),
                    "d": str(d),
                    "dtype": dtype,
                    "pass": name,
                    "workspace MiB": f"{workspace / MIB:.1f}",
                    "resident growth MiB": f"{max(resident, 0) / MIB:.1f}",
                    "arrays MiB": f"{4 * n * d * np.dtype(dtype).itemsize / MIB:.0f}",
                    "seconds": f"{seconds:.2f}",
                }
            )
    print_table(rows)


if __name__ == "__main__":
    main()
