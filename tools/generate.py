#!/usr/bin/env python3
"""Write everything that follows from capi/tables/*.toml and the prototypes of capi/subquad.h.

Two ways to run it:
    tools/generate.py           write the files that differ
    tools/generate.py --check   write nothing; name the files that differ, and exit with 1 if there are any
"""

import argparse
import difflib
import sys
from pathlib import Path

import capi_tables
import emit_c_tests
import emit_core
import emit_cpp
import emit_header
import emit_julia
import emit_parity
import emit_python
import emit_rust
import header
import versions

ROOT = Path(__file__).resolve().parent.parent


def outputs(root: Path) -> dict[Path, str]:
    """Text of every generated file, by path."""
    table = capi_tables.load(root / "capi/tables")
    header_path = root / "capi/subquad.h"
    header_text = emit_header.emit(header_path.read_text(), table)
    parsed = header.parse(header_text)
    result = {
        header_path: header_text,
        root / "capi/generated/tables.hpp": emit_cpp.emit(parsed, table),
        root / "capi/generated/symbols.txt": "".join(f"{name}\n" for name in sorted(f.name for f in parsed.functions)),
        root / "core/base/status.hpp": emit_core.emit(table),
        root / "tests/capi/generated_constants.h": emit_c_tests.emit_constants(parsed, table),
        root / "tests/capi/generated_functions.h": emit_c_tests.emit_functions(parsed),
        root / "bindings/python/subquad/_constants.py": emit_python.emit(parsed, table),
        root / "bindings/julia/src/generated.jl": emit_julia.emit(parsed, table),
        root / "bindings/rust/subquad-sys/src/generated.rs": emit_rust.emit(parsed, table),
        root / "docs/parity.md": emit_parity.emit(parsed, table, emit_parity.load(root / "capi/tables/parity.toml")),
    }
    return result | versions.outputs(root, table.version)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to work on")
    options = parser.parse_args(arguments)
    stale = False
    for path, text in outputs(options.root).items():
        present = path.read_text() if path.exists() else ""
        if text == present:
            continue
        name = str(path.relative_to(options.root))
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {name}")
            continue
        stale = True
        print(f"stale: {name} (run tools/generate.py)")
        difference = difflib.unified_diff(present.splitlines(), text.splitlines(), "in the tree", "generated", lineterm="", n=0)
        print("\n".join(list(difference)[:20]))
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
