"""The programs of examples/python about Dask, what docs/scaling.md has of their output, and the examples of docstrings."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_examples import NUMBER

subquad_dask = pytest.importorskip("subquad.dask", reason="the extra subquad[dask] is not installed")

ROOT = Path(__file__).resolve().parents[3]


def run(name, *arguments):
    """What it prints. A busy machine makes Dask complain on the other stream."""
    command = [sys.executable, "-P", str(ROOT / "examples/python" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(subquad_dask.__path__)])
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(f"subquad.dask.{name}")).failed == 0


def test_dask_long():
    """roundoff: of weighted means of values below 6: 20 u for logits and weights of this size, and a sum of 1500 terms in blocks of 128."""
    text = run("dask_long.py", "--tokens", 1500, "--heads", 2, "--rows", 400, "--workers", 2, "--repeat", 1)
    difference, moved, bound = map(
        float, re.search(rf"difference at most {NUMBER}; moved {NUMBER} MB \(bound {NUMBER}\)", text).groups()
    )
    d, logit = 64, 64**0.5 * 6 * 6  # no number is above 6 but with a probability of 1e-9 each
    assert difference <= 2 * 2 * 6 * ((d + 6) * logit + 3 + 128 + 1500 / 128 + 4) * 2**-24
    assert moved <= bound


def test_dask_cost():
    """The tables of docs/scaling.md are those that the program prints."""
    page = (ROOT / "docs/scaling.md").read_text()
    for line in run("dask_cost.py").splitlines():
        assert line in page
