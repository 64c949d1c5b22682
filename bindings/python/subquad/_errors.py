"""The exception of the package, one subclass for each built-in exception that callers may expect."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ._constants import Option, Status


class SubquadError(Exception):
    """A call was refused or failed.

    `code` is the `Status`, `name` its name ("ERR_SHAPE"). The text names the argument and its value. Errors of value and shape
    are also `ValueError`, of type and dtype `TypeError`, of memory `MemoryError`; an overflowing logit is an `OverflowError`,
    and what this version does not offer a `NotImplementedError`.

    >>> import numpy as np
    >>> import subquad
    >>> try:
    ...     subquad.attention(np.zeros((3, 2)), np.zeros((3, 4)), np.zeros((3, 2)))
    ... except ValueError as failure:
    ...     print(failure.name, failure.code == subquad.Status.ERR_SHAPE)
    ERR_SHAPE True
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)  # both are in args: the exception survives pickling
        self.code: Status = Status(code)
        self.message: str = message

    @property
    def name(self) -> str:
        """The status code's name."""
        return self.code.name

    def __str__(self) -> str:
        return f"{self.message} [{self.name}]"


class SubquadValueError(SubquadError, ValueError):
    """An argument's value or an array's shape is at fault."""


class SubquadTypeError(SubquadError, TypeError):
    """An argument's type or an array's dtype is at fault."""


class SubquadMemoryError(SubquadError, MemoryError):
    """Memory ran out, or its limit was reached."""


class SubquadOverflowError(SubquadError, OverflowError):
    """A logit overflows the arrays' dtype."""


class SubquadUnsupportedError(SubquadError, NotImplementedError):
    """This version does not offer what was asked for."""


_CLASSES: dict[Status, type[SubquadError]] = {
    Status.ERR_NULL: SubquadTypeError,  # None where an array is needed
    Status.ERR_VALUE: SubquadValueError,
    Status.ERR_UNKNOWN: SubquadValueError,
    Status.ERR_CONFLICT: SubquadValueError,
    Status.ERR_SHAPE: SubquadValueError,
    Status.ERR_STRIDE: SubquadValueError,
    Status.ERR_ALIAS: SubquadValueError,
    Status.ERR_NONFINITE: SubquadValueError,
    Status.ERR_SIZE: SubquadValueError,
    Status.ERR_TYPE: SubquadTypeError,
    Status.ERR_DTYPE: SubquadTypeError,
    Status.ERR_MEMORY: SubquadMemoryError,
    Status.ERR_WORKSPACE: SubquadMemoryError,
    Status.ERR_OVERFLOW: SubquadOverflowError,
    Status.ERR_UNSUPPORTED: SubquadUnsupportedError,
}


def error(code: int, message: str) -> SubquadError:
    """The exception of a status code."""
    return _CLASSES.get(Status(code), SubquadError)(code, message)


#: Options of conv bases and of sparsifiers have a family's prefix in the table. Keywords do not: no function takes those of both.
FAMILIES = ("conv_", "sparsify_")


def keyword(option: Option) -> str:
    """The keyword argument of an option: its name, without the prefix of its family."""
    name = option.name.lower()
    return next((name.removeprefix(family) for family in FAMILIES if name.startswith(family)), name)


_RENAMED_OPTIONS = re.compile(rf"\b(?:{'|'.join(FAMILIES)})({'|'.join(keyword(option) for option in Option)})\b")


def library_error(code: int, message: str) -> SubquadError:
    """The exception of a failing call of the library, whose text calls options by their keywords here."""
    return error(code, _RENAMED_OPTIONS.sub(r"\1", message))


def renamed(failure: SubquadError, theirs: str, ours: str) -> SubquadError:
    """An error of the library that calls an argument by its name here. theirs: a regular expression, ours what replaces it."""
    return type(failure)(failure.code, re.sub(rf"\b{theirs}(?!\w)", ours, failure.message))


@contextmanager
def naming(theirs: str, ours: str) -> Iterator[None]:
    """Let errors of the library call an argument by its name here, as `renamed` does."""
    try:
        yield
    except SubquadError as failure:
        raise renamed(failure, theirs, ours) from None
