"""The version lines of files that other tools read: packages of the languages, and CMake.

Rewritten are, where the file exists,
  CMakeLists.txt                  `project(subquad VERSION x.y.z` and `set(SUBQUAD_SOVERSION n)`
  pyproject.toml, Project.toml,   a line that begins with `version = "x.y.z"`, in the table [project] or [workspace.package] or
  bindings/rust/Cargo.toml        before any table, and the version in a line that begins with `subquad-sys =`
"""

import re
from collections.abc import Callable
from pathlib import Path

from capi_tables import Version

OWN_TABLES = {"", "project", "workspace.package"}


class VersionError(Exception):
    """A file that should state the version does not."""


def outputs(root: Path, version: Version) -> dict[Path, str]:
    """Text of every file with a version line, by path."""
    emitters: dict[str, Callable[[str, Version], str]] = {
        "CMakeLists.txt": cmake,
        "pyproject.toml": manifest,
        "bindings/julia/Project.toml": manifest,
        "bindings/rust/Cargo.toml": manifest,
    }
    return {root / name: emit((root / name).read_text(), version) for name, emit in emitters.items() if (root / name).exists()}


def cmake(text: str, version: Version) -> str:
    text, projects = re.subn(r"(project\(\s*subquad\s+VERSION )[\d.]+", rf"\g<1>{version.text}", text)
    text, soversions = re.subn(r"(set\(SUBQUAD_SOVERSION )\d+\)", rf"\g<1>{version.soversion})", text)
    if (projects, soversions) != (1, 1):
        raise VersionError(
            f"CMakeLists.txt has {projects} lines with the version and {soversions} with SUBQUAD_SOVERSION, not one each"
        )
    return text


def manifest(text: str, version: Version) -> str:
    table = ""
    found = 0
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if match := re.match(r"\[+([^\]]+)\]", line):
            table = match[1].strip()
        elif table in OWN_TABLES:
            lines[number], count = re.subn(r'^(version\s*=\s*")[\d.]+"', rf'\g<1>{version.text}"', line)
            found += count
        if line.startswith("subquad-sys"):
            lines[number] = re.sub(r'(version\s*=\s*"=?)[\d.]+"', rf'\g<1>{version.text}"', line)
    if found != 1:
        raise VersionError(f"{found} lines state the version, not one, in the package manifest that begins:\n{text[:200]}")
    return "".join(lines)
