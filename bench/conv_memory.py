"""Memory of attention with a conv basis at n = 1048576, k = 64, float32, d = 64: the peak resident set of this process, which makes
q, k and v, recovers the basis, and applies it, beside what its arrays take and what the library says that it took.
"""

import argparse
import resource

from common import print_header, print_table
from conv_common import structured

SEED = 1
MIB = 2**20


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1 << 20, help="rows (default %(default)s)")
    parser.add_argument("--bases", type=int, default=64, help="bases (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default %(default)s)")
    arguments = parser.parse_args()
    print_header(SEED)
    print()
    start = peak_mib()
    problem = structured(arguments.n, arguments.bases, SEED)
    made = peak_mib()
    basis = problem.recover(threads=arguments.threads)
    recovered = peak_mib()
    o, report = basis.apply(problem.v, threads=arguments.threads, return_report=True)
    print_table(
        [
            {
                "n": str(arguments.n),
                "k": str(arguments.bases),
                "peak MiB": f"{peak_mib():.0f}",
                "Python alone": f"{start:.0f}",
                "with q, k, v": f"{made:.0f}",
                "after recovery": f"{recovered:.0f}",
                "q, k, v, o": f"{4 * o.nbytes / MIB:.0f}",
                "apply's workspace": f"{report['workspace_bytes'] / MIB:.0f}",
            }
        ]
    )


if __name__ == "__main__":
    main()
