#!/usr/bin/env python3
"""Check that the sources of core/ and capi/ depend on each other downward only, by what they include.

A file may include files of its own folder and of folders on lower levels. Some system headers belong to one folder, so that only
it names the library behind them. Prints one line per violation; the exit code is 1 when there are any.

    tools/check_layers.py [ROOT]
"""

import re
import sys
from pathlib import Path

# Low to high; folders of one level do not know each other.
LEVELS = [
    ["core/base"],
    ["core/simd", "core/random", "core/fft"],
    ["core/parallel"],  # a call's execution names its SIMD target
    ["core/linalg"],
    ["core/attention", "core/sparsify"],
    ["capi"],
]
LEVEL = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}

# Headers from outside the tree, and the only folders that may include them.
RESERVED = [
    (r"fftw3.*\.h", ["core/fft"]),
    (r"hwy/.*", ["core/simd"]),
    (r"thread|condition_variable|future|pthread\.h|omp\.h", ["core/parallel"]),
    (r"armadillo|armadillo_bits/.*", ["core/linalg", "core/sparsify"]),
    (r"(.*/)?subquad\.h", ["capi"]),
]

INCLUDE = re.compile(r"^\s*#\s*include\s*(?:<([^>]+)>|\"([^\"]+)\"|(\S.*))", re.MULTILINE)
SUFFIXES = {".h", ".hpp", ".c", ".cpp"}


def violations(root: Path) -> list[str]:
    found = []
    for top in ("core", "capi"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SUFFIXES:
                found += _of_file(root, path)
    return found


def _folder(root: Path, path: Path) -> str | None:
    """The folder of LEVELS that holds a file, however deep."""
    name = path.relative_to(root).as_posix()
    return next((folder for folder in LEVEL if name.startswith(folder + "/")), None)


def _of_file(root: Path, path: Path) -> list[str]:
    name = path.relative_to(root).as_posix()
    folder = _folder(root, path)
    if folder is None:
        return [f"{name}: is in none of the folders {', '.join(LEVEL)}"]
    found = []
    for match in INCLUDE.finditer(path.read_text()):
        system, quoted, computed = match.groups()
        if computed is not None:
            found.append(f"{name}: the include of {computed} cannot be checked: name the file")
            continue
        header = system or quoted
        for pattern, owners in RESERVED:
            if re.fullmatch(pattern, header) and folder not in owners:
                found.append(f"{name}: only {' and '.join(owners)} may include {header}")
        target = _resolve(root, path, header)
        if target is None:
            if quoted is not None:
                found.append(f'{name}: "{quoted}" is not in the tree; headers from outside go in <>')
            continue
        found += _direction(name, folder, header, _folder(root, target))
    return found


def _resolve(root: Path, path: Path, header: str) -> Path | None:
    """The file of core/ or capi/ that an include means, or None when it lies outside of them."""
    for start in (path.parent, root, root / "capi"):
        target = (start / header).resolve()
        if target.is_file() and any(target.is_relative_to(root.resolve() / top) for top in ("core", "capi")):
            return root / target.relative_to(root.resolve())
    return None


def _direction(name: str, folder: str, header: str, target: str | None) -> list[str]:
    if target in (None, folder) or LEVEL[target] < LEVEL[folder]:
        return []
    place = "beside" if LEVEL[target] == LEVEL[folder] else "above"
    return [f"{name}: includes {header}, which is {place} it: {folder} may include what is below it only"]


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = violations(root)
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
