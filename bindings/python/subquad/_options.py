"""Options of a call: keyword arguments set by the names and types of the library's own table.

What the table calls conv_window is the keyword `window`, and so on.
"""

from ._constants import Method, Option, Status, ValueType
from ._errors import error, keyword
from ._handle import Handle
from ._library import raw
from ._scalars import flag, integer, real

_TYPES = {keyword(option): (option, raw.subquad_option_describe(option.value)[1]) for option in Option}


def options(**values: object) -> Handle:
    """Options with these values by keyword; None leaves an option at its default."""
    result = Handle(raw.subquad_options_create, raw.subquad_options_destroy)
    for name, value in values.items():
        if value is not None:
            _set(result, name, value)
    return result


def _set(handle: Handle, name: str, value: object) -> None:
    option, kind = _TYPES[name]
    if kind == ValueType.FLOAT:
        raw.subquad_options_set_float(handle.pointer, option, real(name, value))
    elif kind == ValueType.BOOL:
        raw.subquad_options_set_int(handle.pointer, option, flag(name, value))
    elif option in (Option.METHOD, Option.BACKWARD):
        raw.subquad_options_set_int(handle.pointer, option, _method(name, value))
    else:
        raw.subquad_options_set_int(handle.pointer, option, integer(name, value))


def _method(name: str, value: object) -> int:
    if not isinstance(value, str):
        raise error(Status.ERR_TYPE, f"{name} is {value!r} of type {type(value).__name__}, not a text")
    methods = {method.name.lower(): method.value for method in Method}
    if value not in methods:
        raise error(Status.ERR_VALUE, f"{name} is {value!r}, not one of {', '.join(methods)}")
    return methods[value]
