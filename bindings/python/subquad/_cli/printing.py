"""What commands print: text for people, or one JSON document."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .failures import CommandError, blaming

STANDARD_OUTPUT = Path("standard output")


def show(document: Mapping[str, Any], text: str, as_json: bool) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may hold any bytes
    with blaming(STANDARD_OUTPUT, "written"):
        print(json.dumps(document, indent=2, allow_nan=False) if as_json else text)


def flush() -> None:
    """Have all that was printed written, or say why that cannot be; nothing is left for Python's end, which would say it again."""
    if sys.stdout is None:
        return
    try:
        with blaming(STANDARD_OUTPUT, "written"):
            sys.stdout.flush()
    except (BrokenPipeError, CommandError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def pairs(values: Mapping[str, object]) -> str:
    """Lines of keys and values."""
    width = max(map(len, values), default=0)
    return "\n".join(f"{key:{width}}  {value}" for key, value in values.items())


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Columns as wide as what they hold, numbers to the right."""
    lines: list[Iterable[str]] = [rows[0].keys(), *(row.values() for row in rows)]
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    texts = [not column[1][:1].isdigit() for column in columns]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if text else cell.rjust(width) for cell, width, text in zip(line, widths, texts, strict=True)
        ).rstrip()
        for line in lines
    )
