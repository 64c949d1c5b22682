"""Options of a call: keyword arguments set by the names and types of the library's own table.

What the table calls conv_window is the keyword `window`, and so on. Two families have an `eps`: the function says whose it means.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from ._constants import Certificate, Estimate, Method, Option, Part, Score, Sparsifier, Status, ValueType
from ._errors import error
from ._handle import Handle
from ._library import raw
from ._scalars import flag, integer, real, unlisted

_TYPES = {option.name.lower(): (option, raw.subquad_option_describe(option.value)[1]) for option in Option}

_METHODS: dict[str | bool, int] = {method.name.lower(): method.value for method in Method}
#: What the options that choose have to choose from. No certificate is False.
CHOICES: dict[Option, dict[str | bool, int]] = {
    Option.METHOD: _METHODS,
    Option.BACKWARD: _METHODS,
    Option.ESTIMATE: {way.name.lower(): way.value for way in Estimate},
    Option.SPARSIFY_METHOD: {method.name.lower(): method.value for method in Sparsifier},
    Option.SPARSIFY_SCORES: {way.name.lower(): way.value for way in Score},
    Option.SPARSIFY_CERTIFY: {way.name.lower() if way else False: way.value for way in Certificate},
}
#: Names whose values add up.
PARTS: dict[str | bool, int] = {part.name.lower(): part.value for part in Part}


def options(**values: object) -> Handle:
    """Options of attention and conv bases with these values by keyword; None leaves an option at its default."""
    return _options("conv_", values)


def sparsify_options(**values: object) -> Handle:
    """Options of sparsifiers with these values by keyword; None leaves an option at its default."""
    return _options("sparsify_", values)


def _options(family: str, values: Mapping[str, object]) -> Handle:
    result = Handle(raw.subquad_options_create, raw.subquad_options_destroy)
    for name, value in values.items():
        if value is not None:
            option, kind = _TYPES.get(family + name) or _TYPES[name]
            _set(result, name, value, option, kind)
    return result


def _set(handle: Handle, name: str, value: object, option: Option, kind: int) -> None:
    if option in CHOICES:
        raw.subquad_options_set_int(handle.pointer, option, _choice(name, value, CHOICES[option]))
    elif option == Option.PARTS:
        raw.subquad_options_set_int(handle.pointer, option, _sum(name, value, PARTS))
    elif kind == ValueType.FLOAT:
        raw.subquad_options_set_float(handle.pointer, option, real(name, value))
    elif kind == ValueType.BOOL:
        raw.subquad_options_set_int(handle.pointer, option, flag(name, value))
    else:
        raw.subquad_options_set_int(handle.pointer, option, integer(name, value))


def _choice(name: str, value: object, choices: Mapping[str | bool, int]) -> int:
    chosen = bool(value) if isinstance(value, np.bool_) else value
    if isinstance(chosen, str | bool) and chosen in choices:
        return choices[chosen]
    if isinstance(value, str):
        raise error(Status.ERR_VALUE, f"{name} is {value!r}, not one of {', '.join(map(str, choices))}")
    raise unlisted(name, value, f"one of {', '.join(map(repr, choices))}")


def _sum(name: str, value: object, choices: Mapping[str | bool, int]) -> int:
    if isinstance(value, str) or not isinstance(value, Iterable):  # a text would be taken for its letters
        raise unlisted(name, value, f"an iterable of some of {', '.join(map(repr, choices))}")
    return sum({_choice(f"{name}[{i}]", item, choices) for i, item in enumerate(value)})
