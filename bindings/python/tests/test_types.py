"""Types: the package and calls to it, by mypy and pyright in strict mode; what is public has known types throughout."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import subquad

PACKAGE = Path(subquad.__file__).parent
USES = Path(__file__).with_name("typed_uses.py")
#: What parts of the package are built on: without it there is nothing to check them against.
BUILT_ON = {"torch": "torch", "dask": "dask", "sklearn": "sklearn", "plot": "matplotlib", "demo": "gguf"}
ABSENT = [part for part, library in BUILT_ON.items() if importlib.util.find_spec(library) is None]


def checked(*command):
    """What a type checker prints of the package that is tested."""
    run = subprocess.run(
        [sys.executable, "-P", "-m", *map(str, command)],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},  # pyright does not find every environment's packages by itself
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.stdout, run.stderr
    return run.stdout


def mypy(cache, *arguments):
    """Lines of errors and of revealed types."""
    output = checked("mypy", "--strict", "--python-version", "3.11", "--cache-dir", cache, *arguments)
    return [line for line in output.splitlines() if ": error:" in line or "Revealed type" in line]


def pyright(folder, files, **settings):
    """Diagnostics."""
    config = folder / "pyrightconfig.json"
    included = [os.path.relpath(file, folder) for file in files]
    config.write_text(json.dumps({"include": included, "pythonVersion": "3.11"} | settings))
    output = checked("pyright", "--pythonpath", sys.executable, "--outputjson", "--project", config)
    return json.loads(output)["generalDiagnostics"]


def test_mypy_takes_the_package(tmp_path):
    errors = mypy(tmp_path, "-p", "subquad")
    absent = tuple(f"subquad{os.sep}{part}" for part in ABSENT)
    assert [line for line in errors if not any(part in line for part in absent)] == []
    assert (PACKAGE / "py.typed").exists()


def test_pyright_takes_the_package(tmp_path):
    """Without the parts whose libraries have no types for it to go by."""
    parts = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()]
    files = [path.resolve() for path in parts if path.stem not in (*BUILT_ON, "__pycache__")]
    found = pyright(tmp_path, files, reportMissingModuleSource="none")
    assert [(row["file"], row["range"]["start"]["line"] + 1, row["message"]) for row in found] == []


def test_mypy_takes_the_uses(tmp_path):
    assert mypy(tmp_path, USES) == []


def test_pyright_takes_the_uses(tmp_path):
    found = pyright(tmp_path, [USES], strict=["**"], reportUnnecessaryTypeIgnoreComment="error", reportMissingTypeStubs="none")
    assert [(row["range"]["start"]["line"] + 1, row["message"]) for row in found] == []


def test_what_is_public_has_known_types():
    """pyright's measure of completeness, for what the package itself exports."""
    report = json.loads(
        checked("pyright", "--pythonpath", sys.executable, "--verifytypes", "subquad", "--ignoreexternal", "--outputjson")
    )
    symbols = {row["name"]: row for row in report["typeCompleteness"]["symbols"]}
    names = {f"subquad.{name}" for name in subquad.__all__ if not name.startswith("__")}
    assert names <= set(symbols)
    mine = [row for name, row in symbols.items() if name in names or name.startswith("subquad._")]
    assert [(row["name"], row["diagnostics"]) for row in mine if not row["isTypeKnown"] or row["isTypeAmbiguous"]] == []


def test_what_the_parts_are_built_on_exists():
    """A part that was renamed would never be left out again."""
    assert {path.stem for path in PACKAGE.iterdir()} >= set(BUILT_ON)
