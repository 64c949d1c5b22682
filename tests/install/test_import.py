"""The installed package: what its import costs, which is no package that only some callers have, and its command."""

import importlib.metadata
import subprocess
import sys
import sysconfig
from pathlib import Path

from from_wheel import IMPORT_SECONDS, import_seconds

#: What the extras bring.
OPTIONAL = {"dask", "distributed", "gguf", "matplotlib", "scipy", "sklearn", "tokenizers", "torch", "tqdm", "transformers"}


def test_import_is_quick():
    assert import_seconds() <= IMPORT_SECONDS


def test_import_needs_numpy_alone():
    script = "import sys, subquad; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True).stdout
    assert "numpy" in loaded.split()
    assert OPTIONAL.isdisjoint(loaded.split())


def test_the_command_is_installed():
    program = Path(sysconfig.get_path("scripts"), "subquad")
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    assert said == f"subquad {importlib.metadata.version('subquad')}\n"
