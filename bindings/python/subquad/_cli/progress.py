"""Progress bars, on a terminal, where tqdm is installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .._progress import progress

SECONDS_BEFORE_A_BAR = 0.5
SECONDS_BETWEEN_LOOKS = 0.1


@contextmanager
def bar(description: str, calls: int = 1) -> Iterator[Callable[[], None]]:
    """A bar over a number of the library's calls, which each moves as it goes. Yields what to call after each of them."""
    tqdm = _tqdm()
    if tqdm is None:
        yield lambda: None
        return
    with tqdm(
        total=calls,
        desc=description,
        bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left",
        delay=SECONDS_BEFORE_A_BAR,
        mininterval=SECONDS_BETWEEN_LOOKS,
        miniters=0,
        leave=False,
    ) as shown:
        done = 0

        def move(fraction: float) -> None:
            shown.update(done + fraction - shown.n)

        def step() -> None:
            nonlocal done
            done += 1
            move(0)

        with progress(move):
            yield step


def _tqdm() -> Any | None:
    """tqdm's class where a person sees its bars, else None."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ModuleNotFoundError:
        return None
    tqdm.monitor_interval = 0  # its thread looks after bars that are updated too seldom, which these are not
    return tqdm
