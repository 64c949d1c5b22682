"""Arguments of the command line made from the library's own table of options: names, types, bounds and what they say."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .._constants import MAX_THREADS, Option, Status, ValueType
from .._errors import FAMILIES, SubquadError, keyword
from .._handle import Handle
from .._library import raw
from .._options import CHOICES, PARTS

N = TypeVar("N", int, float)

_FAMILY = re.compile(rf"\b(?:{'|'.join(FAMILIES)})(?={'|'.join(map(keyword, Option))})")
_FLAGS = re.compile(rf"\b({'|'.join(sorted(map(keyword, Option), key=len, reverse=True))})\b")


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def add_options(parser: argparse._ActionsContainer, *options: Option) -> None:
    """An argument for each option; unset where it is not given, so that the library's default holds."""
    for option in options:
        _add(parser, option)


def add_threads(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--threads",
        type=whole(1, MAX_THREADS),
        metavar="INT",
        help="How many threads to use. Default: SUBQUAD_NUM_THREADS in the environment, else the processors. "
        "The result is the same to the last bit for any number.",
    )


def chosen(arguments: argparse.Namespace, *options: Option) -> dict[str, Any]:
    """Keyword arguments of what was given."""
    values = {keyword(option): getattr(arguments, keyword(option)) for option in options}
    return {name: value for name, value in values.items() if value is not None} | {"threads": arguments.threads}


def in_words_of_the_line(message: str) -> str:
    """What the library says of its options, by the names that they have here; names of one common word stay as they are."""
    return re.sub(r"\b\w+_\w+\b", lambda found: _FLAGS.sub(lambda name: flag(name[0]), found[0]), message)


def _add(parser: argparse._ActionsContainer, option: Option) -> None:
    _, kind, text = raw.subquad_option_describe(option)
    name, told, default = keyword(option), _told(text), _default(option, kind)
    if option in CHOICES:
        choices = {str(choice or "none"): choice for choice in CHOICES[option]}
        told += f" One of {', '.join(choices)}."
        if default is not None:
            told += f" Default: {next(word for word, choice in choices.items() if CHOICES[option][choice] == default)}."
        parser.add_argument(flag(name), type=_one_of(choices), metavar="WAY", help=told)
    elif option == Option.PARTS:
        parts = {str(part): part for part in PARTS}
        told += f" Any of {', '.join(parts)}, separated by commas. Default: all."
        parser.add_argument(flag(name), type=_all_of(parts), metavar="PART,..", help=told)
    elif kind == ValueType.BOOL and default:
        told = f"Do not {told[0].lower()}{told[1:]}"
        parser.add_argument(flag(f"no_{name}"), action="store_const", const=False, dest=name, help=told)
    elif kind == ValueType.BOOL:
        parser.add_argument(flag(name), action="store_const", const=True, dest=name, help=told)
    else:
        metavar = "REAL" if kind == ValueType.FLOAT else "INT"
        told += "" if default is None else f" Default: {default:g}."
        parser.add_argument(flag(name), type=number_of(option), metavar=metavar, help=told)


def _told(text: str) -> str:
    """The table's sentences in the words of the command line: the table speaks to those who program in C."""
    text = re.sub(r": (?:one|a sum) of SUBQUAD_\w+\*", "", text)
    text = re.sub(r" subquad_\w+: .*?\.(?= |$)", "", text)  # about functions that no command calls
    text = re.sub(r"SUBQUAD_[A-Z]+_([A-Z_]+)", lambda found: found[1].lower(), text)
    text = _FAMILY.sub("", text).replace("Unset means", "Default:").replace("Unset:", "Default:")
    return text.replace("%", "%%")


def _default(option: Option, kind: int) -> float | None:
    """The library's own default; None where an option starts unset."""
    get = raw.subquad_options_get_float if kind == ValueType.FLOAT else raw.subquad_options_get_int
    with Handle(raw.subquad_options_create, raw.subquad_options_destroy) as defaults:
        try:
            value: float = get(defaults, option)
        except SubquadError as failure:
            if failure.code != Status.ERR_UNSET:
                raise
            return None
        return value


def number_of(option: Option) -> Callable[[str], Any]:
    """The type of an option that is a number, within its bounds."""
    _, kind, _ = raw.subquad_option_describe(option.value)
    lowest, highest = raw.subquad_option_bounds(option.value)
    if kind == ValueType.INT:
        return whole(lowest, highest)
    return lambda text: _within(_number(float, "a number", text), lowest, highest)


def whole(lowest: float, highest: float = math.inf) -> Callable[[str], int]:
    """The type of a whole number within bounds."""
    return lambda text: _within(_number(int, "a whole number", text), lowest, highest)


def several(number: Callable[[str], N]) -> Callable[[str], list[N]]:
    """The type of a list of such numbers, separated by commas."""
    return lambda text: [number(part) for part in text.split(",")]


def _number(kind: Callable[[str], N], wanted: str, text: str) -> N:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None


def _within(value: N, lowest: float, highest: float) -> N:
    if not lowest <= value <= highest:
        bounds = f"at least {lowest:g}" if highest == math.inf else f"in [{lowest:g}, {highest:g}]"
        raise argparse.ArgumentTypeError(f"{value} is not {bounds}")
    return value


def _one_of(choices: Mapping[str, Any]) -> Callable[[str], Any]:
    def choice(text: str) -> Any:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
        return choices[text]

    return choice


def _all_of(parts: Mapping[str, Any]) -> Callable[[str], list[Any]]:
    """The type of names separated by commas; no text is none of them."""
    one = _one_of(parts)
    return lambda text: [one(part) for part in text.split(",") if text]
