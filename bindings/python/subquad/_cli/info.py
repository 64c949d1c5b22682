"""`subquad info`: the library and the machine."""

from __future__ import annotations

import argparse
import platform
from importlib.util import find_spec

import numpy as np

from .._report import info
from .printing import pairs, show

SUMMARY = "what this library is, and what it found on this machine"
DESCRIPTION = """\
Version, SIMD target in use and those on offer, default number of threads, BLAS, FFTW and Armadillo; then Python, NumPy, and which of
the packages that are used where they are installed were found. A line blas_warning says that the BLAS library fell back to
kernels far slower than this processor."""
EXAMPLES = """\
  subquad info
  subquad info --json | python -c "import json, sys; print(json.load(sys.stdin)['simd_target'])\""""

#: Packages of extras; imported only by what needs them.
OPTIONAL = ("scipy", "tqdm", "torch", "dask", "sklearn", "matplotlib")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None beside those that every command has."""


def run(arguments: argparse.Namespace) -> None:
    found = [name for name in OPTIONAL if find_spec(name)]
    machine = dict(info()) | {"python": platform.python_version(), "numpy": np.__version__, "found": found}
    text = {key: ", ".join(value) if isinstance(value, list) else value for key, value in machine.items()}
    show(machine, pairs(text), arguments.json)
