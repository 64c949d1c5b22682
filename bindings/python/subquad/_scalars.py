"""Checks of scalar arguments: a wrong type or a number that the library's types cannot hold, named."""

import numbers
import operator

import numpy as np

from ._constants import Status
from ._errors import SubquadError, error


def integer(name: str, value: object, lowest: int = -(2**63), highest: int = 2**63 - 1) -> int:
    """A Python or NumPy integer; the default bounds are those of int64_t."""
    if isinstance(value, bool | np.bool_):
        raise error(Status.ERR_TYPE, f"{name} is {value}, not an integer")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise error(Status.ERR_TYPE, f"{name} is {value!r} of type {type(value).__name__}, not an integer") from None
    if not lowest <= number <= highest:
        raise error(Status.ERR_VALUE, f"{name} is {number}, not in [{lowest}, {highest}]")
    return number


def real(name: str, value: object) -> float:
    """A Python or NumPy number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:  # what a tensor of one number has become
        value = value[()]
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise error(Status.ERR_TYPE, f"{name} is {value!r} of type {type(value).__name__}, not a number")
    try:
        return float(value)
    except OverflowError:
        raise error(Status.ERR_VALUE, f"{name} is {value}, beyond double precision") from None


def flag(name: str, value: object) -> bool:
    """True or False, nothing that is merely true or false."""
    if not isinstance(value, bool | np.bool_):
        raise unlisted(name, value, "True or False")
    return bool(value)


def unlisted(name: str, value: object, wanted: str) -> SubquadError:
    """The error for a value that is none of the few that there are. An integer is a bad value: the library itself numbers them."""
    code = Status.ERR_VALUE if isinstance(value, numbers.Integral) and not isinstance(value, bool) else Status.ERR_TYPE
    return error(code, f"{name} is {value!r} of type {type(value).__name__}, not {wanted}")
