"""The program `subquad`: its commands, and how they end."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from .._constants import VERSION
from .._errors import SubquadError
from . import attention, bench, demo, info, sparsify
from .failures import MEANINGS, CommandError, Exit
from .printing import flush
from .settings import in_words_of_the_line
from .signals import stoppable

DESCRIPTION = """\
Softmax attention on the CPU, with an error that is measured and reported.

Arrays are files: .npy and .npz of NumPy, float32 or float64, and for matrices .mtx (Matrix Market). A file that is written appears whole
or not at all. `subquad COMMAND --help` explains a command, with examples."""
EXAMPLE = """\
  subquad info
  subquad attention q.npy k.npy v.npy -o o.npy --causal --tol 0.1
  subquad sparsify x.mtx -o chosen.npz --columns 500
  subquad bench --sizes 4096,16384"""
PRINTING = """\
What is printed goes to standard output: text, or with --json one JSON document. Messages, in one line, and progress bars, on a
terminal where tqdm is installed (pip install 'subquad[cli]'), go to standard error. Times are in seconds unless they say otherwise."""

COMMANDS: dict[str, ModuleType] = {"info": info, "attention": attention, "sparsify": sparsify, "bench": bench}


class _Formatter(argparse.HelpFormatter):
    """Wraps paragraphs to the terminal, but for those with indented lines: equations and examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(part if "\n  " in f"\n{part}" else textwrap.fill(part, width) for part in paragraphs)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message}; see {self.prog} --help", Exit.USAGE)


def main(line: Sequence[str] | None = None) -> int:
    """Run the command of a command line, sys.argv's unless given; the exit code."""
    words = sys.argv[1:] if line is None else list(line)
    name = f"subquad {words[0]}" if words[:1] and words[0] in (*COMMANDS, "demo") else "subquad"
    arguments = argparse.Namespace(inputs={})
    try:
        with stoppable(name):
            try:
                _run(words, arguments)
            finally:
                flush()
    except SystemExit as end:  # --help, --version, and what the demo does
        return _ended(name, f"error: {end.code}", Exit.FAILED) if isinstance(end.code, str) else end.code or Exit.DONE
    except BrokenPipeError:
        return Exit.NO_READER
    except CommandError as failure:
        return _ended(name, f"error: {failure}", failure.code)
    except SubquadError as failure:
        return _ended(name, f"error: {_explained(failure, arguments.inputs)}", Exit.FAILED)
    except OSError as failure:
        told = f"{failure.filename}: {failure.strerror}" if failure.filename else failure
        return _ended(name, f"error: {told}", Exit.FAILED)
    except MemoryError as failure:
        return _ended(name, f"error: out of memory: {failure}", Exit.FAILED)
    except ModuleNotFoundError as failure:
        return _ended(name, f"error: {failure}", Exit.FAILED)
    return Exit.DONE


def _run(words: Sequence[str], arguments: argparse.Namespace) -> None:
    if words[:1] == ["demo"]:
        demo.run(words[1:])
    else:
        _parser().parse_args(words, arguments)
        arguments.run(arguments)


def _ended(name: str, message: str, code: int) -> int:
    if sys.stderr is not None:
        print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _explained(failure: SubquadError, inputs: dict[str, Path]) -> str:
    """The library's message, in the words of the command line, with the files of the arrays that it names."""
    message = in_words_of_the_line(failure.message)
    named = [f"{name}: {path}" for name, path in inputs.items() if re.search(rf"\b{name}\b", message)]
    return f"{message} ({', '.join(named)})" if named else message


def _parser() -> _Parser:
    parser = _Parser(prog="subquad", description=DESCRIPTION, epilog=_epilog(EXAMPLE))
    parser.add_argument("--version", action="version", version=f"subquad {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            help=command.SUMMARY,
            description=f"{command.SUMMARY.capitalize()}.\n\n{command.DESCRIPTION}",
            epilog=_epilog(command.EXAMPLES),
        )
        command.add_arguments(subparser)
        subparser.add_argument("--json", action="store_true", help="Print one JSON document.")
        subparser.set_defaults(run=command.run)
    commands.add_parser("demo", help=demo.SUMMARY)
    return parser


def _epilog(examples: str) -> str:
    codes = "\n".join(f"  {code:3}  {meaning}" for code, meaning in MEANINGS.items())
    return f"examples:\n{examples}\n\n{PRINTING}\n\nexit codes:\n{codes}"
