"""What owns a handle of the library for as long as the user wants it."""

from __future__ import annotations  # signatures show short names

from types import TracebackType
from typing import Generic, Self, TypeVar

from ._constants import Status
from ._errors import SubquadValueError
from ._handle import Handle

H = TypeVar("H", bound=Handle)


class Owner(Generic[H]):
    """Holds a handle until `close`, the end of a `with` block, or its own."""

    def __init__(self, handle: H) -> None:
        self._handle: H | None = handle

    def close(self) -> None:
        """Release the memory now, or when the calls that use it in other threads have ended. Twice is as good as once.

        Raises nothing; later calls raise `SubquadError`: ERR_NULL, which is a `ValueError` here, as with closed files.

        >>> import numpy as np
        >>> import subquad
        >>> basis = subquad.ConvBasis.toeplitz(np.ones(3))
        >>> basis.close()
        >>> basis
        ConvBasis(shape=(3, 3), bases=1, dtype=float64, closed)
        """
        self._handle = None  # calls hold a reference of their own, and the last one to go destroys the handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self) -> H:
        handle = self._handle
        if handle is None:
            raise SubquadValueError(Status.ERR_NULL, f"the {type(self).__name__} is closed")
        return handle
