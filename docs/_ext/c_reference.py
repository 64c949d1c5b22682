"""The C reference, made from capi/subquad.h: the page docs/c_reference gets a section for each part of the header.

The header is regular. A line `/* ---- 4. Arrays ---- */` begins a part; blank lines part blocks; a block is a comment, a declaration, or
a comment and what it is about. In a comment, lines that are indented are equations and arguments, and lines of the form `Errors: ..`
close it. What has another form ends the build with the line that is not understood, so that nothing is left out in silence.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

PAGE = "docs/c_reference"
PLACE = "<!-- from capi/subquad.h -->\n"
PART = re.compile(r"/\* -{4} (\d+\. .+?) -+ \*/")
CLOSING = re.compile(r"(Owns|Errors|Threads|Since): +(.*)")
ARGUMENT = re.compile(r"(?:(?<=^)|(?<= {3}))((?:[a-z]\w*|\*_out)(?:, [a-z]\w*|, \*_out)*(?: \(written\))?):(?= )")
ENUMERATOR = re.compile(r"  (SUBQUAD_\w+) = (-?\d+),(?: +/\* (.*) \*/)?$")
BOUNDS = re.compile(r"[a-z]+, (default|unset)")  # of an option, on a line of their own
MACRO = re.compile(r"#define (SUBQUAD_\w+) (\S+)$")

Known = dict[str, str]  # names of the header, and what Markdown makes a link of each


def markdown(header: str) -> str:
    """The whole header as the body of a page."""
    start = header.index("/* ---- 1. ")
    preface = comment_text(header[: header.index("#ifndef")])
    parts = [(match[1], match.end(), match.start()) for match in PART.finditer(header)]
    ends = [*(after[2] for _, after in pairwise(parts)), header.index("#ifdef __cplusplus", start)]
    known = links(header)
    text = [*comment(preface, known)]
    for (title, first, _), end in zip(parts, ends, strict=True):
        text += ["", f"## {title}", ""]
        for block in blocks(header[first:end]):
            text += ["", *declaration(block, known)]
    return "\n".join(text) + "\n"


def links(header: str) -> Known:
    """How the text links to each function, type and constant."""
    found = dict.fromkeys(re.findall(r"^SUBQUAD_API .*?\b(subquad_\w+)\(", header, re.MULTILINE), "func")
    found |= dict.fromkeys(re.findall(r"^typedef [^;{]*?\(?\*?\b(subquad_\w+)(?:\)\(|;| \{)", header, re.MULTILINE), "type")
    found |= dict.fromkeys(re.findall(r"^  (SUBQUAD_\w+) =", header, re.MULTILINE), "enumerator")
    found |= {name: "macro" for name in re.findall(r"^#define (SUBQUAD_\w+) \S+$", header, re.MULTILINE) if name != "SUBQUAD_API"}
    return {name: f"{{c:{role}}}`{name}`" for name, role in found.items()}


def blocks(part: str) -> Iterator[str]:
    """What blank lines part, without the marks of generated lines."""
    for block in re.split(r"\n{2,}", part):
        lines = [line for line in block.split("\n") if not re.match(r"/\* generated[: ].*\*/", line)]
        if any(lines):
            yield "\n".join(lines).strip("\n")


def comment_text(block: str) -> list[str]:
    """Lines of a block comment without its decoration."""
    return [re.sub(r"^ \*(?: |$)", "", line).rstrip() for line in block.strip()[3:-2].rstrip().split("\n")]


def declaration(block: str, known: Known) -> list[str]:
    """A block as Markdown: what is declared, then what its comment says."""
    said, code = [], block
    if block.startswith("/*"):
        end = block.index("*/") + 2
        said, code = comment(comment_text(block[:end]), known), block[end:].strip("\n")
    if not code:
        return said
    if code.startswith("#if"):
        return [*said, "```c", code, "```"]
    if code.startswith("#define"):
        return [*said, *macros(code)]
    if code.startswith("enum {"):
        return [*said, *enumerators(code, known)]
    if struct := re.match(r"typedef struct (\w+) \{", code):
        return [f"```{{c:type}} {struct[1]}", "```", "", *said, "", "```c", code, "```"]
    flat = re.sub(r"\s+", " ", code).removesuffix(";")
    if handle := re.fullmatch(r"typedef struct (\w+) \1", flat):
        return directive("type", handle[1], said)
    if callback := re.fullmatch(r"typedef (\w+) \(\*(\w+)\)\((.*)\)", flat):
        return directive("type", f"{callback[1]} (*{callback[2]})({callback[3]})", said)
    if alias := re.fullmatch(r"typedef (\w+) (\w+)", flat):
        return directive("type", f"{alias[1]} {alias[2]}", said)
    if function := re.fullmatch(r"SUBQUAD_API (.+\(.*\))", flat):
        return directive("function", function[1], said)
    raise ExtensionError(f"capi/subquad.h: not understood: {code}")


def directive(kind: str, signature: str, said: list[str]) -> list[str]:
    return [f"````{{c:{kind}}} {signature}", "", *said, "````"]


def macros(code: str) -> list[str]:
    text = []
    for line in code.split("\n"):
        match = MACRO.match(line)
        if match is None:
            raise ExtensionError(f"capi/subquad.h: not understood: {line}")
        text += [*directive("macro", match[1], [f"`{match[2]}`"]), ""]
    return text


def enumerators(code: str, known: Known) -> list[str]:
    """Each constant with its value, and the comment above it or behind it."""
    text: list[str] = []
    above = ""
    for line in code.split("\n")[1:-1]:
        if match := ENUMERATOR.match(line):
            said = [prose(line, known) for line in (match[3] or above).split("\n")]
            text += [*directive("enumerator", f"{match[1]} = {match[2]}", said), ""]
            above = ""
        elif line.startswith(("  /*", "   *")):
            bare = re.sub(r"^ +(/\*|\*) |\*/$", "", line)
            above += f"\n\n{bare}" if BOUNDS.match(bare) else f" {bare}"
        else:
            raise ExtensionError(f"capi/subquad.h: not understood: {line}")
    return text


def comment(lines: list[str], known: Known) -> list[str]:
    """A comment as Markdown: paragraphs, indented lines as equations and arguments, closing lines as a list."""
    text: list[str] = []
    paragraph: list[str] = []
    indented: list[str] = []

    def flush() -> None:
        if paragraph:
            text.extend([prose(" ".join(paragraph), known), ""])
        text.extend(equations_and_arguments(indented, known))
        paragraph.clear()
        indented.clear()

    closing: list[str] = []
    for line in lines:
        if match := CLOSING.match(line):
            closing.append(f"- **{match[1]}:** {prose(match[2], known)}")
        elif closing:
            closing[-1] += " " + prose(line.strip(), known)
        elif line.startswith("  "):
            indented.append(line)
        else:
            if indented or not line:
                flush()
            if line:
                paragraph.append(line)
    flush()
    return [*text, *closing]


def equations_and_arguments(lines: list[str], known: Known) -> list[str]:
    """Indented lines: a list where they name arguments or begin with dashes, else as they stand."""
    items: list[str] = []
    code: list[str] = []
    for line in lines:
        body = line.strip()
        if body.startswith("- "):
            items.append("- " + prose(body[2:], known))
        elif (starts := [match.start() for match in ARGUMENT.finditer(body)]) and starts[0] == 0:
            for first, end in pairwise([*starts, len(body)]):
                name, rest = body[first:end].split(":", 1)
                items.append(f"- `{name}`: {prose(rest.strip(), known)}")
        elif items and re.match(r"  [A-Z]", line) and items[-1].endswith("."):
            items.append("- " + prose(body, known))
        elif items:
            items[-1] += " " + prose(body, known)
        else:
            code.append(line[2:])
    return [*(["```", *code, "```", ""] if code else []), *items, *([""] if items else [])]


def prose(text: str, known: Known) -> str:
    """Text in which nothing is Markdown but code between backquotes, and links to what the header declares and to pages."""
    text = re.sub(r" {2,}", " ", text.strip())
    return "".join(part if part.startswith("`") else linked(part, known) for part in re.split(r"(`[^`]+`)", text))


def linked(text: str, known: Known) -> str:
    text = re.sub(r"([\\`*_<>|\[\]~#])", r"\\\1", text)
    text = re.sub(r"\bdocs/([\w/\\]+\.md)\b", r"[docs/\1](\1)", text)
    return re.sub(r"\b(?:subquad|SUBQUAD)(?:\\_\w+)+", lambda match: known.get(match[0].replace("\\", ""), match[0]), text)


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == PAGE:
        source[0] = source[0].replace(PLACE, markdown(Path(app.srcdir, "capi/subquad.h").read_text()))


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("source-read", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
