"""What it costs to find a conv basis, beside what it costs to use one: recovery, apply, and a fit that is told the number of bases.

Logits are functions of the lag and of the key's segment, in [-5, 5]; float32, d = 64, one thread, the thread's own processor time. The
errors are those of the output, over sampled rows in float64, relative to the largest value; a fit does not know where segments
begin, and takes keys together that are alike.
"""

import argparse
import time

import numpy as np
import subquad
from common import alternate, print_header, print_table, spread
from conv_common import exact_rows, sampled_rows, structured

SEED = 1
GRID = ((2048, 8), (8192, 16), (32768, 16), (32768, 64), (131072, 16), (131072, 64))


def measure(n: int, bases: int, seconds: float) -> dict[str, str]:
    """One row of the table."""
    problem = structured(n, bases, SEED)
    q, k, v = problem.q, problem.k, problem.v
    basis, fitted = problem.recover(), subquad.conv_basis_fit(q, k, bases=bases, threads=1)
    out = np.empty_like(v)
    contenders = {"recover": problem.recover, "apply": lambda: basis.apply(v, threads=1, out=out)}
    times = {name: spread(of)[0] for name, of in alternate(contenders, seconds, 5, time.thread_time).items()}
    fit = {"fit": lambda: subquad.conv_basis_fit(q, k, bases=bases, threads=1)}
    times["fit"] = spread(alternate(fit, seconds / 4, 3, time.thread_time)["fit"])[0]

    rows = sampled_rows(n, 16, SEED)
    reference = exact_rows(q, k, v, rows)
    largest = np.abs(v).max()
    return {
        "n": str(n),
        "k": str(bases),
        "recover ms": f"{times['recover'] * 1e3:.2f}",
        "apply ms": f"{times['apply'] * 1e3:.2f}",
        "recover / apply": f"{times['recover'] / times['apply']:.2f}",
        "probes": str(basis.report["probes"]),
        "columns": str(basis.report["columns"]),
        "starts right": "yes" if np.array_equal(basis.starts, problem.starts) else "NO",
        "error": f"{np.abs(basis.apply(v)[rows] - reference).max() / largest:.1e}",
        "fit ms": f"{times['fit'] * 1e3:.0f}",
        "fit's error": f"{np.abs(fitted.apply(v)[rows] - reference).max() / largest:.1e}",
        "its estimate of |P~ - P|_1": f"{fitted.report['error_mean']:.1e}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="n up to 8192 only")
    parser.add_argument("--seconds", type=float, default=4.0, help="time spent on each row of the table (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print()
    print_table([measure(*point, arguments.seconds) for point in GRID if not arguments.quick or point[0] <= 8192])


if __name__ == "__main__":
    main()
