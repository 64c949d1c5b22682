"""Real text that a machine with Python has: sources, their manual, headers of C, and the system's manual in other languages."""

from __future__ import annotations

import argparse
import gzip
import re
import sysconfig
from collections.abc import Iterable
from pathlib import Path


def standard_library() -> str:
    """Sources of Python's standard library, argparse.py first and the rest by name."""
    folder = Path(argparse.__file__).parent
    return _joined(sorted(folder.glob("*.py"), key=lambda file: (file.name != "argparse.py", file.name)))


def manual() -> str:
    """English prose: the topics of Python's reference manual, which `help` shows."""
    from pydoc_data.topics import topics

    return "\n\n".join(text for _, text in sorted(topics.items()))


def headers() -> str:
    """C: the headers of Python."""
    return _joined(sorted(Path(sysconfig.get_path("include")).rglob("*.h")))


def pages(language: str) -> str:
    """Manual pages in another language, as far as the machine has them: the text of their sources, longest page first."""
    files = sorted(Path("/usr/share/man", language).glob("man*/*.gz"), key=lambda file: (-file.stat().st_size, file.name))
    return "\n".join(without_requests(gzip.decompress(file.read_bytes()).decode("utf-8", "replace")) for file in files)


def without_requests(page: str) -> str:
    """The text of a page's source: no comments, no names of requests, no escapes."""
    lines = (line for line in page.splitlines() if not re.match(r"[.']\s*\\\"", line))
    plain = (re.sub(r"\\f.|\\&|\\", "", re.sub(r"^[.']\s*[A-Za-z]* *", "", line)) for line in lines)
    return "\n".join(line for line in plain if line)


def _joined(files: Iterable[Path]) -> str:
    return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
