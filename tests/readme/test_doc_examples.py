"""The Python of the documents runs, and gives what it shows."""

import doctest
import re
import subprocess
import sys

import pytest
from documents import ROOT, documents

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What tests of other folders run.
ELSEWHERE = {"README.md": "test_readme.py", "bindings/python/README.md": "bindings/python/tests"}
#: What only some environments have: where it is missing, pages that import it are skipped.
OPTIONAL = ("torch", "transformers")


def blocks(page):
    """The Python of a document: sessions (`>>>`) and programs."""
    return [] if page in ELSEWHERE else BLOCK.findall((ROOT / page).read_text())


def need(page):
    for module in OPTIONAL:
        if re.search(rf"^(?:>>> )?(?:import|from) {module}\b", "".join(blocks(page)), re.MULTILINE):
            pytest.importorskip(module)


@pytest.mark.parametrize("page", [page for page in documents() if any(block.startswith(">>>") for block in blocks(page))])
def test_sessions(page):
    """One after the other, in one namespace, as a reader would type them."""
    need(page)
    failed, attempted = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=doctest.ELLIPSIS, encoding="utf-8")
    assert attempted > 0
    assert failed == 0


@pytest.mark.parametrize("page", [page for page in documents() if blocks(page)])
def test_programs(page, tmp_path):
    need(page)
    for block in blocks(page):
        if not block.startswith(">>>"):
            command = [sys.executable, "-P", "-c", block]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False)
            assert done.returncode == 0, f"{page}\n{block}\n{done.stderr}"
