"""How a command fails: in one line, and with a code that says whose turn it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """What the program returns. Ends by signals are 128 and their number, as shells have it."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130
    NO_READER = 141
    TERMINATED = 143


MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "failed: a file, what it holds, options that do not go together, or the machine; files to be written are as they were",
    Exit.USAGE: "the command line is wrong; nothing was read or written",
    Exit.INTERRUPTED: "stopped by Ctrl-C, within 0.2 s; no file is half-written",
    Exit.NO_READER: "whoever was to read what is printed went away; files are written",
    Exit.TERMINATED: "stopped by SIGTERM; no file is half-written",
}


class CommandError(Exception):
    """What a user can mend. The text names the argument or file, and the value."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def blaming(path: Path, action: str) -> Iterator[None]:
    """Let errors of the system inside say which file could not be read or written; action: "read" or "written"."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as cause:
        raise CommandError(f"{path} cannot be {action}: {cause.strerror or cause}") from cause
