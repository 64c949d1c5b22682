"""Numbers to draw: checked, and named in errors."""

from __future__ import annotations  # signatures show short names

import numpy as np
import numpy.typing as npt

from .._constants import Status
from .._errors import error
from .._scalars import real


def numbers(name: str, values: object, *, ndim: tuple[int, ...] = (1,)) -> npt.NDArray[np.float64]:
    """Finite numbers, not below 0, as an array of that many dimensions."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise error(Status.ERR_TYPE, f"{name} is {values!r:.80}, not an array of numbers") from None
    if array.ndim not in ndim:
        raise error(Status.ERR_SHAPE, f"{name} has {array.ndim} dimensions, not {' or '.join(map(str, ndim))}")
    for what, bad, code in (
        ("not finite", ~np.isfinite(array), Status.ERR_NONFINITE),
        ("below 0", array < 0, Status.ERR_VALUE),
    ):
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise error(code, f"{name}[{', '.join(map(str, place))}] is {array[place]}, {what}")
    return array


def above_zero(name: str, value: object) -> float:
    """A finite number above 0."""
    number = real(name, value)
    if not 0 < number < np.inf:
        raise error(Status.ERR_VALUE, f"{name} is {number}, not above 0 and finite")
    return number
