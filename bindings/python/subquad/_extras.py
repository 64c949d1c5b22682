"""Packages that an extra of this one brings, imported where they are used: without them the rest of the package works."""

from __future__ import annotations  # signatures show short names

import importlib
from typing import Any


def needed(module: str, extra: str) -> Any:
    """The module; where it is missing, an error that says which extra brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        message = f"subquad.{extra} needs {missing.name}: pip install 'subquad[{extra}]'"
        raise ModuleNotFoundError(message, name=missing.name) from None
