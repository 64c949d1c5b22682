"""Read capi/subquad.h: constants, types and functions, each with the comment that stands above it.

The C preprocessor and pycparser do the reading. Comments, which the preprocessor removes, are found by line number.
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pycparser import c_ast, c_parser

# pycparser only has to know that these names are types; their widths are known to the C compilers that use the header.
STDINT = "".join(f"typedef int {name};\n" for name in ("int32_t", "uint32_t", "int64_t", "uint64_t"))


class HeaderError(Exception):
    """The header holds something that the bindings could not express."""


@dataclass(frozen=True)
class CType:
    """`base` behind `pointers` stars; `const` says that the innermost pointee is const."""

    base: str
    pointers: int
    const: bool


@dataclass(frozen=True)
class Variable:
    name: str
    type: CType
    length: int | None = None  # of an array field


@dataclass(frozen=True)
class Function:
    name: str
    result: CType
    parameters: list[Variable]
    doc: list[str]


@dataclass(frozen=True)
class Struct:
    """A struct; without fields it is an opaque handle."""

    name: str
    fields: list[Variable]
    doc: list[str]


@dataclass(frozen=True)
class Alias:
    name: str
    type: CType
    doc: list[str]


@dataclass(frozen=True)
class Header:
    constants: dict[str, int]
    aliases: list[Alias]
    structs: list[Struct]
    callbacks: list[Function]
    functions: list[Function]


def parse(text: str) -> Header:
    tree = c_parser.CParser().parse(_preprocess(text), "subquad.h")
    lines = text.splitlines()
    header = Header({}, [], [], [], [])
    for node in tree.ext:
        if "subquad.h" not in str(node.coord):
            continue
        doc = _comment_above(lines, _first_line(lines, node))
        if isinstance(node, c_ast.Typedef):
            _add_typedef(header, node, doc)
        elif isinstance(node.type, c_ast.FuncDecl):
            header.functions.append(_function(node.name, node.type, doc))
        elif isinstance(node.type, c_ast.Enum):
            _add_enumerators(header, node.type)
        else:
            raise HeaderError(f"line {node.coord.line}: neither a type, a function nor an enum")
    return header


def _preprocess(text: str) -> str:
    """Expanded text with line markers, in which every numeric macro of ours has become an enum at the same place."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "stdint.h").write_text(STDINT)
        command = [os.environ.get("CC", "cc"), "-E", "-dD", "-nostdinc", "-D__attribute__(x)=", f"-I{folder}"]
        source = Path(folder, "subquad.h")
        source.write_text(text)
        expanded = subprocess.run([*command, str(source)], check=True, capture_output=True, text=True).stdout
    numeric_macro = re.compile(r"#define (SUBQUAD_\w+) (-?\d+)$")
    kept = []
    for line in expanded.splitlines():
        if match := numeric_macro.match(line):
            line = f"enum {{ {match[1]} = {match[2]} }};"
        elif line.startswith(("#define", "#undef")):
            line = ""
        kept.append(line)
    return "\n".join(kept) + "\n"


def _first_line(lines: list[str], node: c_ast.Node) -> int:
    """Number of the line, counted from 1, that a declaration begins on: a struct's node is known by its last line."""
    line = node.coord.line
    while isinstance(node, c_ast.Typedef) and not lines[line - 1].startswith("typedef"):
        line -= 1
    return line


def _comment_above(lines: list[str], line: int) -> list[str]:
    """Text of the block comment that ends on the line before `line` (counted from 1), without its decoration."""
    last = line - 2
    if last < 0 or not lines[last].endswith("*/"):
        return []
    first = last
    while not lines[first].startswith("/*"):
        first -= 1
    body = "\n".join(lines[first : last + 1])[2:-2]
    return [re.sub(r"^ \* ?", "", part).rstrip() for part in body.strip(" ").splitlines()]


def _add_enumerators(header: Header, enum: c_ast.Enum) -> None:
    for item in enum.values.enumerators:
        sign = 1
        value = item.value
        if isinstance(value, c_ast.UnaryOp) and value.op == "-":
            sign, value = -1, value.expr
        if not isinstance(value, c_ast.Constant):
            raise HeaderError(f"{item.name}: write its value as a number")
        header.constants[item.name] = sign * int(value.value, 0)


def _add_typedef(header: Header, node: c_ast.Typedef, doc: list[str]) -> None:
    inner = node.type
    if isinstance(inner, c_ast.PtrDecl) and isinstance(inner.type, c_ast.FuncDecl):
        header.callbacks.append(_function(node.name, inner.type, doc))
    elif isinstance(inner, c_ast.TypeDecl) and isinstance(inner.type, c_ast.Struct):
        fields = [_variable(field) for field in inner.type.decls or []]
        header.structs.append(Struct(node.name, fields, doc))
    else:
        header.aliases.append(Alias(node.name, _type(inner), doc))


def _function(name: str, node: c_ast.FuncDecl, doc: list[str]) -> Function:
    parameters = [_variable(item) for item in node.args.params if not _is_void(item)]
    return Function(name, _type(node.type), parameters, doc)


def _is_void(node: c_ast.Node) -> bool:
    """Whether this is the `void` of an empty parameter list."""
    return isinstance(node, c_ast.Typename) and _type(node.type) == CType("void", 0, False)


def _variable(node: c_ast.Decl) -> Variable:
    if isinstance(node.type, c_ast.ArrayDecl):
        return Variable(node.name, _type(node.type.type), int(node.type.dim.value, 0))
    return Variable(node.name, _type(node.type))


def _type(node: c_ast.Node) -> CType:
    pointers = 0
    while isinstance(node, c_ast.PtrDecl):
        if node.quals:
            raise HeaderError(f"{node.coord}: a qualified pointer")
        pointers += 1
        node = node.type
    if not isinstance(node.type, c_ast.IdentifierType):
        raise HeaderError(f"{node.coord}: not a plain type")
    return CType(" ".join(node.type.names), pointers, "const" in node.quals)
