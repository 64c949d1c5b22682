"""The command line: `subquad` and `python -m subquad`. docs/cli.md shows it at work."""

from .program import main

__all__ = ["main"]
