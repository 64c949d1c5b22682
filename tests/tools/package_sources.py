"""What the sources of the three packages define: by the names that users write, and with the library's functions that each calls."""

import re
from functools import cache
from pathlib import Path

import header
import julia_definitions
import python_definitions
import rust_definitions
from conftest import ROOT
from definition import Definition

FUNCTIONS = [function.name for function in header.parse((ROOT / "capi/subquad.h").read_text()).functions]
#: Where each package calls the library, and how a call is written there.
CALLS = {
    "python": ("bindings/python/subquad/*.py", r"\braw\.(subquad_\w+)"),
    "julia": ("bindings/julia/src/*.jl", r"(?<![:\w])(subquad_\w+)"),
    "rust": ("bindings/rust/subquad/src/**/*.rs", r"\bsys::(subquad_\w+)"),
}
#: Files that name every function without calling any.
GENERATED = {"_constants.py", "generated.jl"}
#: Python's raw layer makes calls of its own; they are those of the file that connects it.
RAW_LAYER, CONNECTED_BY = "bindings/python/subquad_raw.i", "_library.py"


@cache
def sources(language: str) -> dict[Path, str]:
    return {path: path.read_text() for path in sorted(ROOT.glob(CALLS[language][0])) if path.name not in GENERATED}


def _calls(language: str, text: str) -> set[str]:
    return set(re.findall(CALLS[language][1], text)) & set(FUNCTIONS)


@cache
def calls_of_file(language: str, path: Path) -> set[str]:
    found = _calls(language, sources(language)[path])
    if path.name == CONNECTED_BY:
        found |= set(re.findall(r"^[^%\n]*\b(subquad_\w+)\(", (ROOT / RAW_LAYER).read_text(), re.MULTILINE)) & set(FUNCTIONS)
    return found


def called(language: str) -> set[str]:
    return set().union(*(calls_of_file(language, path) for path in sources(language)))


@cache
def definitions(language: str) -> list[Definition]:
    parsers = {"python": python_definitions, "julia": julia_definitions, "rust": rust_definitions}
    return parsers[language].parse(sources(language))


def find(language: str, written: str) -> list[Definition]:
    """The public definitions that this name, as a cell has it, stands for."""
    return [item for item in definitions(language) if item.public and item.name == written]


@cache
def own_callers(language: str, function: str) -> set[str]:
    """The public names that call this function and no other."""
    public = [item for item in definitions(language) if item.public]
    return {item.name for item in public if {function} in (_calls(language, item.text), _calls_in_file(language, item))}


@cache
def _calls_in_file(language: str, item: Definition) -> set[str]:
    """The library's functions that an item calls itself or through what its own file defines."""
    bodies = {}
    for other in definitions(language):
        if other.path == item.path:
            bodies.setdefault(re.split(r"\.|::", other.name)[-1], []).append(other.text)
    reached, texts, found = set(), [item.text], set()
    while texts:
        text = texts.pop()
        found |= _calls(language, text)
        for name in set(re.findall(r"\b[A-Za-z_]\w*!?", text)) & bodies.keys() - reached:
            reached.add(name)
            texts += bodies[name]
    return found


@cache
def uses(language: str, path: Path) -> set[Path]:
    """The files of the package that this one takes names from."""
    text, files = sources(language)[path], sources(language)
    if language == "python":
        return {other for other in files if re.search(rf"^from \.{other.stem} import", text, re.MULTILINE)}
    if language == "rust":
        modules = {other: other.parent.name if other.stem == "mod" else other.stem for other in files}
        return {other for other, module in modules.items() if re.search(rf"\bcrate::{module}\b", text)}
    # Files of a Julia module share their names; those of every day would make all of them users of all.
    words = set(re.findall(r"\b[A-Za-z_]\w*!?", text))
    return {item.path for item in definitions(language) if item.name in words}


def neighbours(language: str, path: Path, function: str) -> bool:
    """Whether a file calls the function, uses a file that does, or is used by one."""
    calling = {other for other in sources(language) if function in calls_of_file(language, other)}
    return path in calling or bool(calling & uses(language, path)) or any(path in uses(language, other) for other in calling)
