"""The version lines of files that other tools read: packages of the languages, and CMake.

Rewritten are, where the file exists,
  CMakeLists.txt                         `project(subquad VERSION x.y.z`, `set(SUBQUAD_SOVERSION n)`
  pyproject.toml, Cargo.toml,            `version = "x.y.z"` at the start of a line of the table [project], [package] or
  Project.toml                           [workspace.package], or before any table
  Cargo.toml                             the version in a line `subquad-sys = { .. version = "x.y.z" .. }`
"""

import re
from pathlib import Path

from capi_tables import Version

OWN_TABLES = {"", "project", "package", "workspace.package"}


def files(root: Path) -> dict[Path, str]:
    """The kind of each file with a version line."""
    candidates = {
        root / "CMakeLists.txt": "cmake",
        root / "pyproject.toml": "manifest",
        root / "bindings/julia/Project.toml": "manifest",
        root / "bindings/rust/Cargo.toml": "manifest",
        root / "bindings/rust/subquad-sys/Cargo.toml": "manifest",
        root / "bindings/rust/subquad/Cargo.toml": "manifest",
    }
    return {path: kind for path, kind in candidates.items() if path.exists()}


def emit(kind: str, text: str, version: Version) -> str:
    return {"cmake": _cmake, "manifest": _manifest}[kind](text, version)


def _cmake(text: str, version: Version) -> str:
    text = re.sub(r"(project\(\s*subquad\s+VERSION )[\d.]+", rf"\g<1>{version.text}", text)
    return re.sub(r"(set\(SUBQUAD_SOVERSION )\d+\)", rf"\g<1>{version.soversion})", text)


def _manifest(text: str, version: Version) -> str:
    table = ""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if match := re.match(r"\[+([^\]]+)\]", line):
            table = match[1].strip()
        elif table in OWN_TABLES:
            lines[number] = re.sub(r'^(version\s*=\s*")[\d.]+"', rf'\g<1>{version.text}"', line)
        if line.startswith("subquad-sys"):
            lines[number] = re.sub(r'(version\s*=\s*"=?)[\d.]+"', rf'\g<1>{version.text}"', line)
    return "".join(lines)
