"""What is written about the module: its pages, docstrings and programs run, and give what they say."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="not installed: scripts/test_torch has an environment with it")
pytest.importorskip("transformers", reason="not installed: scripts/test_torch has an environment with it")

import subquad.torch  # noqa: E402

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs/torch.md"
EXAMPLES = ROOT / "examples/python"
NUMBER = r"([-+.\de]+)"
MODULES = [importlib.import_module(f"subquad.torch.{module.name}") for module in pkgutil.iter_modules(subquad.torch.__path__)]


def test_the_page():
    assert doctest.testfile(str(PAGE), module_relative=False).failed == 0


def test_its_links():
    for target in re.findall(r"\]\(([^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
    for target in re.findall(r"`(examples/\S+?\.py)", PAGE.read_text()):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_docstrings(module):
    assert doctest.testmod(module).failed == 0


def test_every_refusal_of_a_model_is_on_the_page():
    text = PAGE.read_text()
    packed = {"cu_seq_lens_k", "max_length_k", "max_length_q", "seq_idx"}  # "and its like"
    chosen = {"block_indices", "indices"}  # of models that are not in transformers' main list; the last line covers them
    for name in subquad.torch._transformers._REFUSED.keys() - packed - chosen:
        assert f"`{name}`" in text, name


def run(name, *arguments):
    command = [sys.executable, "-P", str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torch_llama():
    """Both ways to compute the same attention: off by round-off, amplified by a model; a tolerance by no more than the logits' own size."""
    text = run("torch_llama.py", "--tokens", 600)
    found = re.findall(rf"^(PyTorch's|subquad, .*?) +{NUMBER} s +logits off by {NUMBER}", text, re.MULTILINE)
    assert [name for name, _, _ in found] == ["PyTorch's", "subquad, exact", "subquad, tol 0.1"] * 2
    for name, _, error in found:
        assert float(error) <= {"PyTorch's": 0, "subquad, exact": 1e-4, "subquad, tol 0.1": 1}[name]
    torchs, exact, _ = re.findall(r"(\[.*\])", text)
    assert torchs == exact


def test_torch_speed():
    text = run("torch_speed.py", "--tokens", 2048, "--tol", 0.1)
    n = 2048
    (sdpa, exact, tol) = map(float, re.search(rf"^ +{n} .* +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.MULTILINE).groups())
    # roundoff: of n terms, were they all rounded the same way
    assert max(sdpa, exact) <= n * 2.0**-24
    assert exact < tol <= 1.25 * 0.1
