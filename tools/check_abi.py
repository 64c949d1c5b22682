#!/usr/bin/env python3
"""Check that the C header still serves programs that were compiled with an earlier one.

tests/abi/subquad.txt has the binary interface of the present soname: every function with its types, every constant with its value,
every struct with its size and offsets. Additions may join it; what is in it stays until `soversion` of capi/tables/version.toml, which
is the soname's number, is another one.

    tools/check_abi.py           name what an earlier program would stumble over, or what is not recorded yet; exit with 1 if there is any
    tools/check_abi.py --write   record additions, or everything anew where the soname has changed; refuse anything else
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import capi_tables
import header
from header import CType, Function, Header, Struct

ROOT = Path(__file__).resolve().parent.parent


def interface(root: Path) -> dict[str, str]:
    """What the binary interface is made of: by name, in the order of the header, the soname's number first."""
    parsed = header.parse((root / "capi/subquad.h").read_text())
    result = {"soversion": str(capi_tables.load(root / "capi/tables").version.soversion)}
    # The version is what changes when nothing else does.
    result |= {f"constant {n}": str(v) for n, v in parsed.constants.items() if not n.startswith("SUBQUAD_VERSION_")}
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
    parameters = ", ".join(_type(parameter.type, parsed) for parameter in function.parameters)
    return f"{_type(function.result, parsed)} ({parameters})"


def _layouts(include: Path, structs: list[Struct], parsed: Header) -> dict[str, str]:
    """Sizes and offsets as the C compiler has them."""
    lines = []
    for struct in structs:
        lines.append(f'printf("%zu\\n", sizeof({struct.name}));')
        lines += [f'printf("%zu\\n", offsetof({struct.name}, {field.name}));' for field in struct.fields]
    source = "#include <stddef.h>\n#include <stdio.h>\n#include <subquad.h>\nint main(void) {\n" + "\n".join(lines) + "\n}\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "layout.c").write_text(source)
        program = str(Path(folder, "layout"))
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-std=c99", f"-I{include}", "-o", program, str(Path(folder, "layout.c"))], check=True)
        numbers = iter(subprocess.run([program], check=True, capture_output=True, text=True).stdout.split())
    result = {}
    for struct in structs:
        result[f"struct {struct.name}"] = f"{next(numbers)} bytes"
        for field in struct.fields:
            length = "" if field.length is None else f"[{field.length}]"
            result[f"field {struct.name}.{field.name}"] = f"{_type(field.type, parsed)}{length} at {next(numbers)}"
    return result


def read(path: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in path.read_text().splitlines())


def broken(recorded: dict[str, str], present: dict[str, str]) -> list[str]:
    """One line for each thing that programs compiled with the recorded interface rely on and would not find."""
    if recorded["soversion"] != present["soversion"]:
        return []
    changed = {name: was for name, was in recorded.items() if present.get(name) != was}
    # A field that joins a struct changes its layout even where the padding takes it up: what it holds was never set.
    structs = {name.removeprefix("struct ") for name, was in recorded.items() if name.startswith("struct ") and was != "opaque"}
    joined = [
        name for name in present if name not in recorded and name.startswith("field ") and name[6:].split(".")[0] in structs
    ]
    lines = [f"{name} was {was} and is {present.get(name, 'gone')}" for name, was in changed.items()]
    return lines + [f"{name} was not there and is {present[name]}" for name in joined]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="record the interface of the header")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to work on")
    options = parser.parse_args(arguments)
    path = options.root / "tests/abi/subquad.txt"
    present = interface(options.root)
    recorded = read(path) if path.exists() else {"soversion": "none"}
    if lines := broken(recorded, present):
        print("\n".join(lines))
        print(
            f"programs linked with libsubquad.so.{present['soversion']} would break: restore this, or raise soversion in version.toml"
        )
        return 1
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
