"""What is wrong with the cells of capi/tables/parity.toml: compared with what the packages' sources define and call."""

import re

import capi_tables
import emit_parity
import package_sources as package
from conftest import ROOT
from definition import Definition

OPTIONS = {option.name for option in capi_tables.load(ROOT / "capi/tables").options}
#: A reason is a sentence, and reasons are few: most of the library is there for every language.
WORDS_OF_A_REASON, SHARE_WITHOUT = 4, 1 / 4
#: Keywords for what C sets by another name.
SETTINGS = {"progress": "callback"}
#: What a cell with a note holds: `file`, note.
INSIDE = re.compile(re.escape(emit_parity.INSIDE) + r"`([\w/.]+)`, \S")


def wrong_cells(cells: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    """One line for each cell that the sources contradict."""
    lines = []
    for language in emit_parity.LANGUAGES:
        functions = {row: row_cells[language] for row, row_cells in cells["functions"].items()}
        options = {row: row_cells[language] for row, row_cells in cells["options"].items()}
        problems = [(row, cell, wrong_function(language, row, cell)) for row, cell in functions.items()]
        problems += [(row, cell, wrong_option(language, row, cell)) for row, cell in options.items()]
        lines += [f"{row} in {language}: {cell!r}: {problem}" for row, cell, problem in problems if problem]
        without = sum(cell.startswith(emit_parity.NOT_APPLICABLE) for cell in functions.values())
        if without > SHARE_WITHOUT * len(functions):
            lines.append(f"{language}: {without} functions of {len(functions)} are not there")
    return lines


def wrong_function(language: str, function: str, cell: str) -> str | None:
    """What is wrong with the cell of a function, if anything is."""
    if cell.startswith(emit_parity.NOT_APPLICABLE):
        return _wrong_reason(language, function, cell.removeprefix(emit_parity.NOT_APPLICABLE))
    # Whoever calls this function, and no other, is what the language has for it.
    own = package.own_callers(language, function)
    if cell.startswith(emit_parity.INSIDE):
        return _wrong_place(language, function, cell) or (f"public are {sorted(own)}" if own else None)
    written = emit_parity.names(cell)
    if problem := next(filter(None, (_wrong_name(language, name) for name in written)), None):
        return problem
    items = {name: package.find(language, _parts(name)[0]) for name in written}
    for name, found in items.items():
        if not any(package.neighbours(language, item.path, function) for item in found):
            return f"{name} is far from what calls it"
    if not any(_stands_for(language, name, found, function) for name, found in items.items()):
        return "none of the files of these calls it"
    plain = {_parts(name)[0] for name in written}
    owners = {re.split(r"\.|::", name)[0] for name in plain}
    return f"{sorted(own)} call it themselves" if own and not own & (plain | owners) else None


def _wrong_reason(language: str, function: str, reason: str) -> str | None:
    if function in package.called(language):
        return "the package calls it"
    return None if len(reason.split()) >= WORDS_OF_A_REASON else "no reason"


def _wrong_place(language: str, function: str, cell: str) -> str | None:
    place = INSIDE.match(cell)
    if place is None:
        return "not a `file` and a note"
    calling = [path for path in package.sources(language) if function in package.calls_of_file(language, path)]
    return None if any(path.match(place[1]) for path in calling) else f"called in {[path.name for path in calling]}"


def _wrong_name(language: str, written: str) -> str | None:
    name, keyword = _parts(written)
    found = package.find(language, name)
    if not found:
        return f"{name} is no public name"
    return f"{name} has no such keyword" if keyword and not any(item.takes(keyword) for item in found) else None


def _parts(written: str) -> tuple[str, str]:
    """Name and keyword of name(keyword=)."""
    name, _, keyword = written.partition("(")
    return name, keyword.removesuffix("=)")


def _stands_for(language: str, written: str, found: list[Definition], function: str) -> bool:
    """Whether it is a setting's keyword, or stands in a file that calls the function, or only in files that leave all calls to others."""
    _, keyword = _parts(written)
    if keyword:
        return function.endswith(f"_set_{SETTINGS.get(keyword, keyword)}")
    calls = set().union(*(package.calls_of_file(language, item.path) for item in found))
    return function in calls or not calls


def wrong_option(language: str, option: str, cell: str) -> str | None:
    """What is wrong with the cell of an option, if anything is: each can be given in each language."""
    written = emit_parity.names(cell)
    for name in written:
        if problem := _wrong_name(language, name):
            return problem
        plain, keyword = _parts(name)
        items = package.find(language, plain)
        if not (keyword or language == "rust") or not any(option in _options(language, item, keyword) for item in items):
            return f"{name} is not this option"
    return None if written else "no name"


def _options(language: str, item: Definition, keyword: str) -> set[str]:
    """The options that a keyword of an item is, in Rust those that the item sets: two families have short names for theirs."""
    if language == "rust":
        return set(re.findall(r"\bSUBQUAD_OPTION_(\w+)", item.text))
    text = package.sources(language)[item.path]
    names = {keyword}
    if language == "python":
        names = set(re.findall(rf"\b(\w+)={keyword}\b(?!\()", item.text)) or names
    elif "SCORE_NAMES" in text:
        everything = "\n".join(package.sources(language).values())
        names = set(re.findall(rf"const SCORE_NAMES =.*:{keyword} => :(\w+)", everything)) or names
    family = "SPARSIFY" if re.search("sparsify_options|SPARSIFY_NAMES|SCORE_NAMES", text) else "CONV"
    long = {name: f"{family}_{name.upper()}" for name in names}
    return {long[name] if long[name] in OPTIONS else name.upper() for name in names}
