"""bindings/rust/subquad-sys/src/generated.rs: constants, types and the functions of the header, in rustfmt's layout."""

import re

from banner import BANNER
from capi_tables import Tables
from header import CType, Function, Header, Struct, Variable

SCALARS = {"int32_t": "i32", "int64_t": "i64", "uint64_t": "u64", "double": "f64", "char": "c_char", "void": "c_void"}

# The defaults of rustfmt, which leaves the file as it is.
WIDTH = 100
TUPLE_WIDTH = 60


def emit(header: Header, tables: Tables) -> str:
    docs = {name: _markdown(entry.doc) for name, entry in tables.prefixed().items()}
    parts = [
        f"// {BANNER}\n\n"
        "use core::ffi::{c_char, c_void};\n"
        "use core::marker::{PhantomData, PhantomPinned};\n\n"
        "/// Version of the header as text.\n"
        f'pub const SUBQUAD_VERSION_STRING: &str = "{tables.version.text}";\n'
    ]
    for name, value in header.constants.items():
        parts.append(f"/// {docs.get(name, f'`{name}` of the C header.')}\npub const {name}: i32 = {value};\n")
    listed = "".join(_pair(name) for name in header.constants)
    parts.append(
        "\n/// Every numeric constant above, for the check against the library that was loaded.\n"
        f"pub const CONSTANTS: &[(&str, i64)] = &[\n{listed}];\n"
    )
    parts += [f"\n{_doc(a.doc)}pub type {a.name} = {_type(a.type)};\n" for a in header.aliases]
    parts += [_struct(struct) for struct in header.structs]
    parts += [_callback(callback) for callback in header.callbacks]
    functions = "\n".join(_function(function) for function in header.functions)
    parts.append(f'\nunsafe extern "C" {{\n{functions}}}\n')
    return "".join(parts)


def _pair(name: str) -> str:
    items = f'"{name}", {name} as i64'
    if len(items) > TUPLE_WIDTH:
        return f'    (\n        "{name}",\n        {name} as i64,\n    ),\n'
    return f"    ({items}),\n"


def _markdown(text: str) -> str:
    """A sentence of the tables, in which brackets are no links, stars and tildes no emphasis, and < opens no tag."""
    return re.sub(r"[][*~<\\]", r"\\\g<0>", text)


def _doc(lines: list[str], indent: str = "") -> str:
    """The comment of the header as it stands, kept from being read as Markdown."""
    fenced = ["```text", *lines, "```"]
    return "".join(f"{indent}/// {line}".rstrip() + "\n" for line in fenced)


def _type(ctype: CType) -> str:
    stars = ["*mut "] * ctype.pointers
    if ctype.const and stars:
        stars[-1] = "*const "
    return "".join(stars) + SCALARS.get(ctype.base, ctype.base)


def _struct(struct: Struct) -> str:
    if not struct.fields:
        body = "    _data: [u8; 0],\n    _marker: PhantomData<(*mut u8, PhantomPinned)>,\n"
        return f"\n{_doc(struct.doc)}#[repr(C)]\npub struct {struct.name} {{\n{body}}}\n"
    body = "".join(f"    /// `{f.name}` of the C struct.\n    pub {f.name}: {_field_type(f)},\n" for f in struct.fields)
    return f"\n{_doc(struct.doc)}#[repr(C)]\n#[derive(Clone, Copy, Debug)]\npub struct {struct.name} {{\n{body}}}\n"


def _field_type(field: Variable) -> str:
    return _type(field.type) if field.length is None else f"[{_type(field.type)}; {field.length}]"


def _callback(callback: Function) -> str:
    parameters = ", ".join(f"{p.name}: {_type(p.type)}" for p in callback.parameters)
    line = f'pub type {callback.name} = Option<unsafe extern "C" fn({parameters}){_result(callback)}>;'
    if len(line) > WIDTH:
        line = line.replace("= Option", "=\n    Option")
    if max(map(len, line.split("\n"))) > WIDTH:
        line = line.replace("=\n    Option<", "= Option<\n    ").replace(">;", ",\n>;")
    return f"\n{_doc(callback.doc)}{line}\n"


def _function(function: Function) -> str:
    parameters = [f"{p.name}: {_type(p.type)}" for p in function.parameters]
    line = f"    pub fn {function.name}({', '.join(parameters)}){_result(function)};"
    if len(line) > WIDTH:
        inner = "".join(f"        {parameter},\n" for parameter in parameters)
        line = f"    pub fn {function.name}(\n{inner}    ){_result(function)};"
    return f"{_doc(function.doc, '    ')}{line}\n"


def _result(function: Function) -> str:
    result = _type(function.result)
    return "" if result == "c_void" else f" -> {result}"
