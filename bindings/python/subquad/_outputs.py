"""Arrays that a call fills: new ones, or those that it was given as `out`."""

from __future__ import annotations  # signatures show short names

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from ._arrays import FloatArray, View, empty, writable_view
from ._constants import Status
from ._errors import SubquadError, error, renamed
from ._report import Report, read_report
from ._tensors import Tensor

#: What `out` may be where a call returns arrays of which the first is the result proper, and where it returns equals: None for all or
#: for one is for new ones.
Out: TypeAlias = Tensor | tuple[Tensor | None, ...] | None
Outs: TypeAlias = tuple[Tensor | None, ...] | None


class Outputs:
    """The arrays of a call's results. In a `with` block around the call its errors name them as the user did.

    shapes  What there is to return, by the library's names; None where this call does not return it.
    out     None; an array for the first result, where `alone` lets it be given without the others; or a tuple with an array or None, for a
            new one, in each place.
    """

    __slots__ = ("_called", "arrays", "views")

    def __init__(
        self, out: Any, dtype: np.dtype[Any], shapes: Mapping[str, tuple[int, ...] | None], *, alone: bool = True
    ) -> None:
        self.arrays: list[Any] = []
        self.views: list[View | None] = []
        self._called: dict[str, str] = {}
        given = _by_name(out, list(shapes), alone)
        for name, shape in shapes.items():
            called, array = given.get(name, (name, None))
            if array is not None:
                self._called[name] = called
                if shape is None:
                    raise error(Status.ERR_CONFLICT, f"{called} is given, but this call returns no {name}")
            elif shape is not None:
                array = empty(name, shape, dtype)
            self.arrays.append(array)
            self.views.append(None if array is None else writable_view(called, array))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(value, SubquadError):
            failure = value
            for name, called in self._called.items():
                failure = renamed(failure, name, called)
            if failure.message != value.message:
                raise failure from None

    def results(self, report: Any | None) -> Any:
        """What the call returns: the arrays, and a copy of the report unless that is None; a tuple where it is not one array alone."""
        results: list[FloatArray | Report] = [array for array in self.arrays if array is not None]
        if report is not None:
            results.append(read_report(report))
        return tuple(results) if len(results) > 1 else results[0]


def _by_name(out: Any, names: list[str], alone: bool) -> dict[str, tuple[str, Any]]:
    """What was given as `out`: by the name of the result how errors call it, and the array or None."""
    if out is None:
        return {}
    if alone and (len(names) == 1 or not isinstance(out, tuple)):
        return {names[0]: ("out", out)}
    wanted = f"a tuple ({', '.join(names)})"
    if not isinstance(out, tuple):
        raise error(Status.ERR_TYPE, f"out is a {type(out).__module__}.{type(out).__name__}, not {wanted}")
    if len(out) > len(names):
        raise error(Status.ERR_VALUE, f"out has {len(out)} arrays, not {wanted}")
    return {name: (f"out[{i}]", array) for i, (name, array) in enumerate(zip(names, out, strict=False))}
