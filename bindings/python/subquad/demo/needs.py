"""Packages of the extra `subquad[demo]`, imported where they are used: without them the rest of the package works."""

from __future__ import annotations

import importlib
from typing import Any


def needed(module: str) -> Any:
    """The module; where it is missing, an error that says how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(f"the demo needs {missing.name}: pip install 'subquad[demo]'", name=missing.name) from None


def found(module: str) -> Any | None:
    """The module, or None where it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        return None
