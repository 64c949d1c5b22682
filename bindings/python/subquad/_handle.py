"""Ownership of the library's handles."""

from collections.abc import Callable
from types import TracebackType
from typing import Any


class Handle:
    """Owns what `create` returns until the end of a `with` block, or at the latest until it is collected itself."""

    __slots__ = ("_destroy", "pointer")

    def __init__(self, create: Callable[[], Any], destroy: Callable[[Any], None]) -> None:
        self.pointer: Any = None  # before create, which may raise: __del__ runs all the same
        self._destroy = destroy
        self.pointer = create()

    def close(self) -> None:
        pointer, self.pointer = self.pointer, None
        if pointer is not None:
            self._destroy(pointer)

    def __enter__(self) -> Any:
        return self.pointer

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
