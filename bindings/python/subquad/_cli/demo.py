"""`subquad demo`: the demonstration on a real model, `subquad.demo`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

SUMMARY = "adaptive attention on a real language model: a table, and a report with pictures"


def run(rest: Sequence[str]) -> None:
    """Hand over: it reads the rest of the command line itself."""
    demo = importlib.import_module("subquad.demo.__main__")
    sys.argv = ["subquad demo", *rest]
    demo.main()
