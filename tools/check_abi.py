#!/usr/bin/env python3
"""Check that the C header still serves programs that were compiled with an earlier one.

tests/abi/subquad.txt has the binary interface of the present soname: every function with its parameters, every constant with its value,
every struct with its size, alignment and offsets, and the types of options and report keys, which decide what reads and sets them.
Additions may join it, and parameters get other names; the rest stays until `soversion` of capi/tables/version.toml, which is the
soname's number, is raised.

    tools/check_abi.py           name what an earlier program would stumble over, or what is not recorded yet; exit with 1 if there is any
    tools/check_abi.py --write   record additions and names, or everything anew where the soname was raised; refuse anything else
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import capi_tables
import header
from header import CType, Function, Header, Struct

ROOT = Path(__file__).resolve().parent.parent
#: What SUBQUAD_API stands for: it says who may call a function, not how.
LINKAGE = re.compile(r'__attribute__\(\(visibility\("default"\)\)\)|__declspec\(dll(?:ex|im)port\)')


def interface(root: Path) -> dict[str, str]:
    """What the binary interface is made of: by name, in the order of the header, the soname's number first."""
    parsed = header.parse((root / "capi/subquad.h").read_text())
    tables = capi_tables.load(root / "capi/tables")
    result = {"soversion": str(tables.version.soversion)}
    # The version is what changes when nothing else does.
    result |= {f"constant {n}": str(v) for n, v in parsed.constants.items() if not n.startswith("SUBQUAD_VERSION_")}
    result |= {f"option {option.name}": option.type for option in tables.options}
    result |= {f"report key {key.name}": key.type for key in tables.report_keys}
    result |= {f"type {alias.name}": _type(alias.type, parsed) for alias in parsed.aliases}
    result |= {f"struct {struct.name}": "opaque" for struct in parsed.structs if not struct.fields}
    result |= _layouts(root / "capi", [struct for struct in parsed.structs if struct.fields], parsed)
    result |= {f"callback {callback.name}": _signature(callback, parsed) for callback in parsed.callbacks}
    return result | {f"function {function.name}": _signature(function, parsed) for function in parsed.functions}


def _type(ctype: CType, parsed: Header) -> str:
    """The type without const, which no compiled program can tell, and with aliases looked through."""
    aliases = {alias.name: alias.type.base for alias in parsed.aliases}
    return aliases.get(ctype.base, ctype.base) + "*" * ctype.pointers


def _signature(function: Function, parsed: Header) -> str:
    parameters = ", ".join(f"{_type(parameter.type, parsed)} {parameter.name}" for parameter in function.parameters)
    return f"{_type(function.result, parsed)} ({parameters})"


def _layouts(include: Path, structs: list[Struct], parsed: Header) -> dict[str, str]:
    """Sizes, alignments and offsets as the C compiler has them."""
    lines = []
    for struct in structs:
        lines.append(f'printf("%zu\\n%zu\\n", sizeof({struct.name}), _Alignof({struct.name}));')
        lines += [f'printf("%zu\\n", offsetof({struct.name}, {field.name}));' for field in struct.fields]
    source = "#include <stddef.h>\n#include <stdio.h>\n#include <subquad.h>\nint main(void) {\n" + "\n".join(lines) + "\n}\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "layout.c").write_text(source)
        program = str(Path(folder, "layout"))
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-std=c11", f"-I{include}", "-o", program, str(Path(folder, "layout.c"))], check=True)
        numbers = iter(subprocess.run([program], check=True, capture_output=True, text=True).stdout.split())
    result = {}
    for struct in structs:
        result[f"struct {struct.name}"] = f"{next(numbers)} bytes, aligned to {next(numbers)}"
        for field in struct.fields:
            length = "" if field.length is None else f"[{field.length}]"
            result[f"field {struct.name}.{field.name}"] = f"{_type(field.type, parsed)}{length} at {next(numbers)}"
    return result


def read(path: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in path.read_text().splitlines())


def unknown_attributes(text: str) -> list[str]:
    """Lines of the header with an attribute that may change how functions are called: the parser leaves attributes out."""
    attribute = re.compile("__attribute|__declspec")
    lines = enumerate(LINKAGE.sub("", text).splitlines(), start=1)
    return [f"line {number} of subquad.h has an attribute: {line}" for number, line in lines if attribute.search(line)]


def broken(recorded: dict[str, str], present: dict[str, str]) -> list[str]:
    """One line for each thing that programs compiled with the recorded interface rely on and would not find."""
    was, now = recorded["soversion"], present["soversion"]
    if not now.isdecimal():
        return [f"soversion is {now}, not an integer from 0 up"]
    if int(now) != int(was):
        return [] if int(now) > int(was) else [f"soversion was {was} and is {now}: programs know an earlier library by it"]
    named = renamed(recorded, present)
    changed = {name: was for name, was in recorded.items() if present.get(name) != was and name not in named}
    # A field that joins a struct changes its layout even where the padding takes it up: what it holds was never set.
    structs = {name.removeprefix("struct ") for name, was in recorded.items() if name.startswith("struct ") and was != "opaque"}
    joined = [
        name for name in present if name not in recorded and name.startswith("field ") and name[6:].split(".")[0] in structs
    ]
    lines = [f"{name} was {was} and is {present.get(name, 'gone')}" for name, was in changed.items()]
    return lines + [f"{name} was not there and is {present[name]}" for name in joined]


def renamed(recorded: dict[str, str], present: dict[str, str]) -> list[str]:
    """The functions whose parameters have other names and are otherwise what they were. A name that moved is another parameter."""
    parameter = re.compile(r" (\w+)(?=[,)])")
    result = []
    for name in recorded.keys() & present.keys():
        was, now = recorded[name], present[name]
        if was != now and name.startswith(("function ", "callback ")) and parameter.sub("", was) == parameter.sub("", now):
            pairs = zip(parameter.findall(was), parameter.findall(now), strict=True)
            if not {old for old, new in pairs if old != new} & set(parameter.findall(now)):
                result.append(name)
    return sorted(result)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="record the interface of the header")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to work on")
    options = parser.parse_args(arguments)
    path = options.root / "tests/abi/subquad.txt"
    if lines := unknown_attributes((options.root / "capi/subquad.h").read_text()):
        print("\n".join(lines))
        return 1
    if not path.exists():
        print(f"{path} is missing: what earlier programs rely on is known from it alone; restore it")
        return 1
    recorded, present = read(path), interface(options.root)
    if lines := broken(recorded, present):
        print("\n".join(lines))
        print(
            f"programs linked with libsubquad.so.{recorded['soversion']} would break: restore this, or raise soversion in version.toml"
        )
        return 1
    if recorded["soversion"] == present["soversion"]:
        for name in renamed(recorded, present):
            print(f"renamed: {name} was {recorded[name]} and is {present[name]}")
    if options.write:
        path.write_text("".join(f"{name}: {value}\n" for name, value in present.items()))
        return 0
    unrecorded = [name for name in present if recorded.get(name) != present[name]]
    if unrecorded or list(recorded) != list(present):
        print("\n".join(f"not recorded: {name}" for name in unrecorded))
        print(f"{path.relative_to(options.root)} is not that of the header: run tools/check_abi.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
