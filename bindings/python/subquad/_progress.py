"""Watching how far the calls are."""

from __future__ import annotations  # signatures show short names

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ._constants import Status
from ._errors import error

#: What the calls of this thread tell how far they are.
listener: ContextVar[Callable[[float], object] | None] = ContextVar("listener", default=None)


@contextmanager
def progress(tell: Callable[[float], object]) -> Iterator[None]:
    """Inside the block, long calls of this thread tell how much of their work is done.

    tell  A function of a fraction in [0, 1], which never falls during a call and is 0 while inputs are checked and prepared. It is called
          about every 20 ms, on the thread of the call, with the GIL held; by short calls not at all. What it raises ends the call, and
          comes out of it.

    Blocks may be nested: the innermost one is told. Other threads' calls are theirs to watch.

    Raises `SubquadError`: ERR_TYPE where tell cannot be called.

    >>> import subquad
    >>> x = subquad.fill_uniform((5000, 8), seed=1, stream=0, low=-1, high=1, dtype="float32")
    >>> seen = [0.0]
    >>> with subquad.progress(seen.append):
    ...     o = subquad.attention(x, x, x)
    >>> seen == sorted(seen), 0 <= seen[-1] <= 1
    (True, True)
    """
    told: Any = tell  # whatever it is in truth
    if not callable(told):
        raise error(Status.ERR_TYPE, f"tell is {told!r} of type {type(told).__name__}, not a function")
    token = listener.set(tell)
    try:
        yield
    finally:
        listener.reset(token)
