"""Ends asked for by signals: at once, with nothing half-written."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Files that must not outlive the process.
leftovers: set[Path] = set()

#: Whoever holds this is not ended: for stretches of a few system calls.
undisturbed = threading.Lock()


@contextmanager
def stoppable(name: str) -> Iterator[None]:
    """Inside, a signal that asks for the end ends the process, but for those that it was started to ignore (nohup).

    A thread waits for signals and ends the process itself. Handlers in Python would have to wait until whatever compiled code runs in the
    main thread comes back, which takes as long as it takes: of the library it is promised, of what reads and writes files it is not.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watch = threading.Thread(target=_watch, args=(reading, name), daemon=True)
    watch.start()
    descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in heeded:
        signal.signal(number, _leave_it_to_the_watch)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
        signal.set_wakeup_fd(descriptor)
        os.write(writing, b"\0")
        watch.join()
        os.close(reading)
        os.close(writing)


def _leave_it_to_the_watch(number: int, frame: FrameType | None) -> None:
    """A handler, so that Python writes the signal's number to the pipe as it arrives."""


def _watch(pipe: int, name: str) -> None:
    number = -1
    while number not in (0, *ENDING):
        (number,) = os.read(pipe, 1)
    if number:
        with undisturbed:
            for path in leftovers:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            _say(f"{name}: stopped by {signal.Signals(number).name}\n")
            os._exit(128 + number)


def _say(text: str) -> None:
    """On standard error, past Python's buffers, which the main thread may be using; in place of a progress bar."""
    if sys.stderr is not None:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        with contextlib.suppress(OSError):
            os.write(2, f"{clear}{text}".encode())
