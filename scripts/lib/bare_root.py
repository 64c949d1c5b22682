"""A folder to chroot into that holds a Python, the libraries that it and the manylinux standard take for granted, and nothing else.

usage: bare_root.py PYTHON PACKAGES ROOT

PYTHON    an interpreter of this machine; it and its standard library keep their paths inside
PACKAGES  a site-packages folder, which becomes /packages
ROOT      the folder to make
Prints the interpreter's path inside. Fails where a library that a wheel should carry came along.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

#: PEP 600 lets a wheel expect these of every Linux: parts of the C library, of which Python itself may need fewer, and the compiler's own.
EXPECTED = ["libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6"]
#: Test data, environments of other tools, and a toolkit of windows whose libraries would come along.
SKIPPED = shutil.ignore_patterns(
    "test", "site-packages", "dist-packages", "__pycache__", "config-*", "_tkinter*", "tkinter", "idlelib"
)
FOREIGN = re.compile(r"lib(fftw|.*blas|lapack|gfortran|quadmath|hwy|subquad)")


def ask(python: str, expression: str) -> str:
    script = f"import os, sys, sysconfig; print({expression})"
    return subprocess.run([python, "-I", "-c", script], check=True, capture_output=True, text=True).stdout.strip()


def libraries(files: list[Path]) -> set[Path]:
    """What the loader finds for these programs and libraries, itself included."""
    found = subprocess.run(["ldd", *map(str, files)], check=False, capture_output=True, text=True).stdout
    return {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", found, re.MULTILINE)}


def from_loader_cache(name: str) -> Path:
    listed = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    paths = re.findall(rf"^\s+{re.escape(name)} \(libc6,x86-64.*=> (\S+)", listed, re.MULTILINE)
    if not paths:
        raise SystemExit(f"this machine has no {name}")
    return Path(paths[0])


def place(path: Path, root: Path) -> None:
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)  # follows links: each name becomes a file


def make(python: str, packages: Path, root: Path) -> str:
    program = ask(python, "os.path.realpath(sys.executable)")
    standard_library = Path(ask(python, "sysconfig.get_path('stdlib')"))
    place(Path(program), root)
    inside = root / standard_library.relative_to("/")
    shutil.copytree(standard_library, inside, ignore=SKIPPED)
    shutil.copytree(packages, root / "packages", ignore=SKIPPED)
    for path in libraries([Path(program), *inside.glob("lib-dynload/*.so")]) | {from_loader_cache(name) for name in EXPECTED}:
        place(path, root)
    (root / "tmp").mkdir()
    found = [
        path for path in root.rglob("lib*.so*") if FOREIGN.match(path.name) and "packages" not in path.relative_to(root).parts
    ]
    if found:
        raise SystemExit(f"the root is not bare: {found}")
    return program


if __name__ == "__main__":
    print(make(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
