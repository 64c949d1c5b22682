"""What the files of the Julia package define."""

import re
from pathlib import Path

from definition import Definition

DEFINITION = re.compile(
    r'(?:^"""\n(?P<doc>(?:(?!""").)*?)"""\n)?'
    r"^(?P<indent> *)(?:@eval )?"
    r"(?:(?P<kind>function|(?:mutable )?struct) (?P<long>[\w.]+!?)|(?P<short>[A-Za-z_][\w.]*!?)(?=[({][^\n]* = ))",
    re.MULTILINE | re.DOTALL,
)


def parse(files: dict[Path, str]) -> list[Definition]:
    """Functions and types; public is what is exported, what the module's docstring names, and methods of others' functions."""
    module = next(text for path, text in files.items() if path.name == "Subquad.jl")
    exported = set(re.findall(r"[\w!]+", " ".join(re.findall(r"^export (.*)", module, re.MULTILINE))))
    result = []
    for path, text in files.items():
        for match in DEFINITION.finditer(text):
            written = match["long"] or match["short"]
            end = re.compile(rf"^{match['indent']}end$" if match["kind"] else "$", re.MULTILINE).search(text, match.end()).end()
            body = text[match.start("long" if match["kind"] else "short") : end]
            plain = re.sub(r"^(?:Base|LinearAlgebra)\.", "", written)
            name = plain if plain != written or plain in exported else f"Subquad.{plain}"
            keywords, rest = _keywords(body)
            public = not name.startswith("Subquad.") or f"`{name}`" in module
            result.append(Definition(name, path, body, public, keywords, rest, match["doc"] or ""))
    # What one method takes may be explained with another.
    docs = {}
    for item in result:
        docs[item.name] = docs.get(item.name, "") + item.doc
    return [Definition(i.name, i.path, i.text, i.public, i.keywords, i.rest, docs[i.name]) for i in result]


def _keywords(body: str) -> tuple[frozenset[str], bool]:
    """The keywords of a signature, and whether it takes any others."""
    start = body.find("(")
    depth, end = 0, start
    for end in range(max(start, 0), len(body)):
        depth += (body[end] == "(") - (body[end] == ")")
        if depth == 0:
            break
    _, _, keywords = body[start:end].partition(";")
    return frozenset(re.findall(r"(\w+)=", keywords)), "..." in keywords
