#!/usr/bin/env python3
"""Check that a built library exports the functions of the C header, all of them and nothing else.

Prints one line per difference; the exit code is 1 when there are any.

    tools/check_symbols.py path/to/libsubquad.so [symbols.txt]
"""

import subprocess
import sys
from pathlib import Path

EXPECTED = Path(__file__).resolve().parent.parent / "capi/generated/symbols.txt"


def exported(library: Path) -> set[str]:
    """Names of the defined dynamic symbols, without symbol versions."""
    command = ["nm", "-D", "--defined-only", "--format=posix", str(library)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[0].split("@")[0] for line in lines}


def differences(library: Path, expected: Path) -> list[str]:
    wanted, found = set(expected.read_text().split()), exported(library)
    missing = [f"missing: {name} is in {expected.name} but not exported" for name in sorted(wanted - found)]
    return missing + [f"extra: {name} is exported but not in {expected.name}" for name in sorted(found - wanted)]


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    found = differences(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else EXPECTED)
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
