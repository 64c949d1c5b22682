"""bindings/julia/src/generated.jl: constants and one ccall per C function."""

import textwrap

from banner import BANNER
from capi_tables import Tables
from header import CType, Function, Header

SCALARS = {"int32_t": "Int32", "int64_t": "Int64", "uint64_t": "UInt64", "double": "Float64", "void": "Cvoid"}

WIDTH = 120
INDENT = 8 * " "

CONTRACT = f"""\
# {BANNER}
#
# The file that includes this one defines first
#   _symbol(name::Symbol)::Ptr{{Cvoid}}   address of a function of the loaded library
#   SubquadArray, SubquadSparse         isbits structs laid out as C's subquad_array and subquad_sparse
# The functions below are raw: they take and return what C does, check nothing, and keep nothing alive. A pointer
# argument takes a pointer, C_NULL, a Ref or an Array. Texts are returned as Cstring.
"""


def emit(header: Header, tables: Tables) -> str:
    docs = {name: entry.doc for name, entry in tables.prefixed().items()}
    lines = [CONTRACT, f'const SUBQUAD_VERSION_STRING = "{tables.version.text}"', ""]
    for name, value in header.constants.items():
        if name in docs:
            lines.append(f"# {docs[name]}")
        lines.append(f"const {name} = Int32({value})")
    lines += ["", "# Every constant above, for the check against the library that was loaded."]
    lines.append("const CONSTANTS = Dict{String,Int64}(")
    lines += [f'    "{name}" => {name},' for name in header.constants]
    lines += [")", ""]
    for alias in header.aliases:
        lines += [*_comment(alias.doc), f"const {alias.name} = {_type(alias.type, header)}", ""]
    for struct in header.structs:
        if not struct.fields:
            lines += [*_comment(struct.doc), f"struct {struct.name} end", ""]
    for callback in header.callbacks:
        signature = ", ".join(f"{p.name}::{_type(p.type, header)}" for p in callback.parameters)
        lines += [*_comment(callback.doc), f"# ({signature})::{_type(callback.result, header)}"]
        lines += [f"const {callback.name} = Ptr{{Cvoid}}", ""]
    lines += [_function(function, header) for function in header.functions]
    return "\n".join(lines).rstrip("\n") + "\n"


def _comment(doc: list[str]) -> list[str]:
    return [f"# {line}".rstrip() for line in doc]


def _type(ctype: CType, header: Header) -> str:
    if ctype.base == "char" and ctype.pointers:
        return "Ptr{" * (ctype.pointers - 1) + "Cstring" + "}" * (ctype.pointers - 1)
    if ctype.base in SCALARS:
        name = SCALARS[ctype.base]
    elif any(ctype.base == struct.name and struct.fields for struct in header.structs):
        name = ctype.base.title().replace("_", "")
    else:
        name = ctype.base
    return "Ptr{" * ctype.pointers + name + "}" * ctype.pointers


def _function(function: Function, header: Header) -> str:
    names = ", ".join(p.name for p in function.parameters)
    types = [_type(p.type, header) for p in function.parameters]
    # A tuple of one needs its comma.
    type_tuple = f"({types[0]},)" if len(types) == 1 else f"({', '.join(types)})"
    arguments = [f"_symbol(:{function.name})", _type(function.result, header), type_tuple]
    if names:
        arguments.append(names)
    wrapped = [textwrap.fill(a, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT) for a in arguments]
    call = ",\n".join(wrapped)
    doc = "\n".join(function.doc).replace("\\", "\\\\").replace("$", "\\$").replace('"', '\\"')
    return f'''\
"""
    {function.name}({names})

```text
{doc}
```
"""
function {function.name}({names})
    return ccall(
{call}
    )
end
'''
