"""Docstrings as they are written here, as reStructuredText, which is what autodoc reads.

They are plain text. Indented blocks are equations; blocks of lines such as `causal   Query i sees ..`, two spaces or more behind the
names, describe arguments; blocks that begin with `>>>` are examples; all else is prose with code between backquotes.
"""

import re
import textwrap
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

NAMES = re.compile(r"\*{0,2}\w+(?:,? (?:or )?\"?\w+\"?)*")
TEXT = re.compile(r"(?:\*{0,2}\w+(?:, \w+)*)? {2,}(?=\S)")  # up to where descriptions begin
SPECIAL = re.compile(r"([\\*|`]|(?<=\w)_(?!\w))")


def restructured(lines: list[str]) -> list[str]:
    """A whole docstring."""
    text: list[str] = []
    for block in re.split(r"\n\s*\n", textwrap.dedent("\n".join(lines)).strip("\n")):
        text += ["", *restructured_block(block.split("\n"))]
    return text


def restructured_block(lines: list[str]) -> list[str]:
    if lines[0].startswith(">>>"):
        return lines
    if all(line.startswith("    ") for line in lines):
        return ["::", "", *lines]
    before, items = entries(lines)
    text = [prose(" ".join(line.strip() for line in before)), ""] if before else []
    for name, said in items:
        text += [name, f"    {prose(' '.join(said))}"]
    return text


def entries(lines: list[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The prose that a block begins with, and after it names and what is said of them; all is prose where that is not its form."""
    starts = (match.end() for line in lines if (match := TEXT.match(line)))
    column = next(starts, 0)
    items: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(" ") and items:
            items[-1][1].append(line.strip())
        elif len(line) > column > 0 and line[column - 1] == " " and NAMES.fullmatch(line[:column].rstrip()):
            items.append((line[:column].rstrip(), [line[column:]]))
        else:
            items.append((line, []))
    first = next((i for i, (_, said) in enumerate(items) if said), len(items))
    if not all(said and NAMES.fullmatch(name) for name, said in items[first:]):
        return lines, []
    return lines[:first], [(re.sub(r"(?<![\w*])(?!or\b)[\w*]+", r"``\g<0>``", name), said) for name, said in items[first:]]


def prose(text: str) -> str:
    """Text in which nothing is markup but code, and links to pages."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(code(part) if i % 2 else plain(part) for i, part in enumerate(parts))


def code(text: str) -> str:
    """A name may be of something documented, in the same class or module or in the package, and is a link then."""
    return f":py:obj:`{text}`" if re.fullmatch(r"[A-Za-z_][\w.]*", text) else f"``{text}``"


def plain(text: str) -> str:
    return re.sub(r"\b(docs/[\w/]+)\.md\b", r":doc:`\1.md </\1>`", SPECIAL.sub(r"\\\1", text))


def of_the_package(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement) -> nodes.Element | None:
    """What a name in a docstring means that is none of its class or module: something of `subquad`, or mere code."""
    if (node["refdomain"], node["reftype"]) != ("py", "obj"):
        return None
    target = f"subquad.{node['reftarget']}"
    found = env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, text)
    return found or text


def process(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("autodoc-process-docstring", process)
    app.connect("missing-reference", of_the_package)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
