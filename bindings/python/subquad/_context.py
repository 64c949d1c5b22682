"""Contexts for the calls: each call borrows one, so that calls may run in several threads, or in the handler of a signal."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._constants import MAX_THREADS
from ._handle import Handle
from ._library import raw
from ._progress import listener
from ._scalars import integer


class _Context(Handle):
    """A context together with the thread count that it was set to; 0 is the default count."""

    __slots__ = ("threads",)

    def __init__(self) -> None:
        super().__init__(raw.subquad_context_create, raw.subquad_context_destroy)
        self.threads = 0

    def set_threads(self, threads: int) -> None:
        if threads != self.threads:
            raw.subquad_context_set_threads(self.pointer, threads)
            self.threads = threads


# Contexts that no call uses. A deque needs no lock, which a signal's handler could find taken by the very call that it
# interrupted. More contexts than processors are not worth keeping: their calls would only wait for each other.
_idle: deque[_Context] = deque(maxlen=os.cpu_count() or 1)


@contextmanager
def borrow(threads: object) -> Iterator[Any]:
    """A context of that many threads (None: the default) that nobody else uses meanwhile."""
    count = 0 if threads is None else integer("threads", threads, 1, MAX_THREADS)
    try:
        context = _idle.pop()
    except IndexError:
        context = _Context()
    try:
        context.set_threads(count)
        told = listener.get()
        # Python runs the handlers of signals in the main thread only.
        signals = threading.get_ident() == threading.main_thread().ident
        raw.subquad_context_set_callback(context.pointer, signals if told is None else told)
        yield context.pointer
    finally:
        _idle.append(context)
