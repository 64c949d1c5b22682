"""The table of names in four languages has no empty cell, and says what the sources of the packages say."""

import ast
import re
from functools import cache

import capi_tables
import emit_parity
import header
import pytest
from conftest import ROOT

CELLS = emit_parity.load(ROOT / "capi/tables/parity.toml")
FUNCTIONS = [function.name for function in header.parse((ROOT / "capi/subquad.h").read_text()).functions]
OPTIONS = [option.name for option in capi_tables.load(ROOT / "capi/tables").options]
#: Where each package calls the library, and how a call is written there.
CALLS = {
    "python": (["bindings/python/subquad/*.py", "bindings/python/subquad_raw.i"], r"(?:raw\.|^[^%\n]*\b){}\b"),
    "julia": (["bindings/julia/src/*.jl"], r"(?<!:)\b{}\b"),
    "rust": (["bindings/rust/subquad/src/**/*.rs"], r"\bsys::{}\b"),
}
#: Files that name every function without calling any.
GENERATED = {"_constants.py", "generated.jl"}


@cache
def sources(language):
    patterns, _ = CALLS[language]
    files = [path for pattern in patterns for path in sorted(ROOT.glob(pattern)) if path.name not in GENERATED]
    return {path: path.read_text() for path in files}


def called(language, function):
    pattern = re.compile(CALLS[language][1].format(function), re.MULTILINE)
    return any(pattern.search(text) for text in sources(language).values())


@cache
def python_names():
    """Names of the package's modules, and of its classes "Class.name", those of their bases included."""
    bases, members, exported = {}, {}, set()
    for path, text in sources("python").items():
        if path.suffix != ".py":
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(base).split("[")[0] for base in node.bases]
                members[node.name] = _members(node)
            elif path.name == "__init__.py" and isinstance(node, ast.ImportFrom):
                exported |= {alias.name for alias in node.names}

    def all_members(name):
        return members.get(name, set()).union(*(all_members(base) for base in bases.get(name, [])))

    return exported | {"__version__"} | {f"{owner}.{name}" for owner in exported & set(members) for name in all_members(owner)}


def _members(node):
    methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    attributes = (item for item in ast.walk(node) if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Attribute))
    return methods | {item.target.attr for item in attributes}


def python_has(name):
    return name in python_names()


def julia_has(name):
    """Whether the package defines it, and exports it or names it `Subquad.name`, or adds a method to a function of Base's."""
    plain = name.removeprefix("Subquad.")
    everything = "\n".join(sources("julia").values())
    own = re.search(rf"^(?:function |(?:mutable )?struct )?{re.escape(plain)}[({{\s]", everything, re.MULTILINE)
    exported = re.search(rf"^export .*(?<![\w!]){re.escape(plain)}(?![\w!])", everything, re.MULTILINE)
    if own and (exported or plain != name):
        return True
    return (
        re.search(rf"^ *(?:@eval )?(?:function )?(?:Base|LinearAlgebra)\.{re.escape(plain)}[({{]", everything, re.MULTILINE)
        is not None
    )


def rust_has(name):
    """Whether the crate has a public function of this name, and a type of that one."""
    everything = "\n".join(sources("rust").values())
    owner, _, function = name.rpartition("::")
    found = re.search(rf"^ +pub fn {function}\b" if owner else rf"^pub fn {function}\b", everything, re.MULTILINE)
    return found is not None and (not owner or re.search(rf"^pub struct {owner}\b", everything, re.MULTILINE) is not None)


HAS = {"python": python_has, "julia": julia_has, "rust": rust_has}


@pytest.mark.parametrize(("kind", "expected"), [("functions", FUNCTIONS), ("options", OPTIONS)])
def test_the_rows_are_those_of_the_header(kind, expected):
    assert sorted(CELLS[kind]) == sorted(expected)


def test_the_page_has_no_empty_cell():
    page = (ROOT / "docs/parity.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `subquad_") or line.startswith("| `SUBQUAD_OPTION_")]
    assert len(rows) == len(FUNCTIONS) + len(OPTIONS)
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 1 + len(emit_parity.LANGUAGES), row
        assert all(cells), f"an empty cell: {row}"


def test_a_function_without_a_row_has_empty_cells():
    parsed = header.parse((ROOT / "capi/subquad.h").read_text())
    cells = {"functions": {}, "options": CELLS["options"]}
    assert f"| `{FUNCTIONS[0]}` |  |  |  |" in emit_parity.emit(parsed, capi_tables.load(ROOT / "capi/tables"), cells)


@pytest.mark.parametrize("language", emit_parity.LANGUAGES)
@pytest.mark.parametrize("kind", ["functions", "options"])
def test_names_in_cells_exist(kind, language):
    missing = []
    for row, cells in CELLS[kind].items():
        for written in emit_parity.names(cells[language]):
            name, _, keyword = written.partition("(")
            known = HAS[language](name)
            if keyword:
                known = known and any(re.search(rf"\b{keyword.rstrip('=)')}\b", text) for text in sources(language).values())
            if not known:
                missing.append(f"{row}: {written}")
    assert missing == []


@pytest.mark.parametrize("language", emit_parity.LANGUAGES)
def test_a_reason_is_given_where_and_only_where_a_function_is_not_called(language):
    wrong = []
    for function in FUNCTIONS:
        cell = CELLS["functions"][function][language]
        if called(language, function) == cell.startswith(emit_parity.NOT_APPLICABLE):
            wrong.append(f"{function}: {cell!r}, and the package {'calls' if called(language, function) else 'does not call'} it")
        if cell in (emit_parity.INSIDE, emit_parity.NOT_APPLICABLE):
            wrong.append(f"{function}: no reason")
    assert wrong == []


@pytest.mark.parametrize("option", OPTIONS)
def test_rust_sets_an_option_in_the_methods_that_its_cell_names(option):
    methods = {name.rpartition("::")[2] for name in emit_parity.names(CELLS["options"][option]["rust"])}
    setting = set()
    for text in sources("rust").values():
        for part in re.split(r"(?=\bpub fn )", text)[1:]:
            if re.search(rf"\bSUBQUAD_OPTION_{option}\b", part):
                setting.add(re.match(r"pub fn (\w+)", part)[1])
    assert methods <= setting
