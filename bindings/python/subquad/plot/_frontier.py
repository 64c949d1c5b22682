"""Error against time."""

from __future__ import annotations  # signatures show short names

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from .._constants import Status
from .._errors import error
from .._extras import needed
from ._axes import REFERENCE, axes_for, grid, legend, look
from ._numbers import above_zero, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Errors below this are drawn here unless another is given: a logarithmic axis has no zero, and what is exact has no error to speak of.
FLOOR = 1e-4
#: The share of the heads whose errors are no larger than the hollow mark.
HIGH = 0.95


class Point(NamedTuple):
    """One setting of one method."""

    method: str
    setting: str
    time: float
    median: float
    high: float | None


def frontier(
    times: npt.ArrayLike,
    errors: npt.ArrayLike,
    methods: Sequence[str] | None = None,
    *,
    settings: Sequence[str] | None = None,
    exact: float | None = None,
    tol: float | None = None,
    floor: float = FLOOR,
    ax: Axes | None = None,
) -> Axes:
    """What accuracy costs: error against time on logarithmic axes, one line for each method. Lower and further left is better.

    times     [p], seconds of each measurement.
    errors    [p], the relative error of each; or [p, heads], of each of several heads: then the median over the heads has a filled mark,
              and what 95 % of them are below a hollow one on a dashed line.
    methods   [p], which method each measurement is of, as the legend calls it. A line joins those of one method in order of time.
    settings  [p], what else to write beside each, such as its tolerance.
    exact     Seconds of exact attention: times are drawn as shares of it, and a dotted line stands at 1.
    tol       A line at this error.
    floor     Errors below it are drawn at it, as the axis then says.
    ax        A matplotlib Axes to draw on, in place of a new one.

    Returns the Axes.

    Raises `SubquadError`: ERR_SHAPE where lengths differ; ERR_VALUE (times not above 0, errors below 0, no measurement),
    ERR_NONFINITE, ERR_TYPE, naming the argument. ModuleNotFoundError without matplotlib.

    >>> import subquad.plot
    >>> ax = subquad.plot.frontier([0.2, 0.4, 0.1], [0.1, 0.02, 0.3], ["auto", "auto", "window"], exact=0.8)
    >>> [(line.get_label(), line.get_xdata().tolist()) for line in ax.lines[:2]]
    [('auto', [0.25, 0.5]), ('window', [0.125])]
    """
    seconds, found = numbers("times", times), numbers("errors", errors, ndim=(1, 2))
    if not seconds.size:
        raise error(Status.ERR_VALUE, "times is empty: there is nothing to draw")
    if (seconds == 0).any():
        raise error(Status.ERR_VALUE, f"times[{int(np.argmin(seconds))}] is 0, not above 0")
    if len(found) != len(seconds) or 0 in found.shape:
        raise error(
            Status.ERR_SHAPE, f"errors has shape {found.shape}, not ({len(seconds)},) or ({len(seconds)}, heads) as times"
        )
    names, notes = _texts("methods", methods, len(seconds)), _texts("settings", settings, len(seconds))
    whole = 1.0 if exact is None else above_zero("exact", exact)
    medians = found if found.ndim == 1 else np.median(found, axis=1)
    highs = [None] * len(found) if found.ndim == 1 else np.quantile(found, HIGH, axis=1).tolist()
    shares = (seconds / whole).tolist()
    points = [Point(*point) for point in zip(names, notes, shares, medians.tolist(), highs, strict=True)]
    lines = None if tol is None else above_zero("tol", tol)
    return draw_frontier(
        axes_for(ax, (6.4, 4.2)), points, relative=exact is not None, tol=lines, floor=above_zero("floor", floor)
    )


def draw_frontier(ax: Axes, points: Sequence[Point], *, relative: bool, tol: float | None, floor: float = FLOOR) -> Axes:
    """The picture of `frontier`. relative: times are shares of exact attention's."""
    effects = needed("matplotlib.patheffects", "plot")
    for place, method in enumerate(dict.fromkeys(point.method for point in points)):
        mine = sorted((point for point in points if point.method == method), key=lambda point: point.time)
        times = [point.time for point in mine]
        name = method or "_nolegend_"
        highs = [max(point.high, floor) for point in mine if point.high is not None]
        if highs:
            name = f"{method}, median head".lstrip(", ")
            high_name = f"{method}, {HIGH:.0%} of the heads".lstrip(", ")
            ax.plot(times, highs, **look(place), linestyle="--", markerfacecolor=ax.get_facecolor(), label=high_name)
        ax.plot(times, [max(point.median, floor) for point in mine], **look(place), label=name)
        for point in mine:
            top = (point.time, max(point.median if point.high is None else point.high, floor))
            note = ax.annotate(point.setting, top, xytext=(5, 5), textcoords="offset points", fontsize="x-small")
            note.set_path_effects([effects.withStroke(linewidth=1.5, foreground=ax.get_facecolor())])  # lines pass beneath
    if relative:
        ax.axvline(1, color=REFERENCE, linewidth=1, linestyle=":", label="exact attention's time")
    if tol is not None:
        ax.axhline(tol, color=REFERENCE, linewidth=1, linestyle="-.", label=f"tol {tol:g}")
    low = any(value < floor for point in points for value in (point.median, point.high) if value is not None)
    ax.set(xscale="log", yscale="log", xlabel="time / exact attention's" if relative else "seconds")
    ax.set_ylabel("relative error" + (f" (at least {floor:g})" if low else ""))
    ax.margins(0.12, 0.08)  # room for what is written beside the marks
    grid(ax)
    if ax.get_legend_handles_labels()[1]:
        legend(ax)
    return ax


def _texts(name: str, values: Sequence[str] | None, count: int) -> list[str]:
    """So many texts; empty ones for None."""
    if values is None:
        return [""] * count
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise error(Status.ERR_TYPE, f"{name} is {values!r:.80} of type {type(values).__name__}, not a sequence of texts")
    if len(values) != count:
        raise error(Status.ERR_SHAPE, f"{name} has {len(values)} entries, not {count} as times")
    return [str(value) for value in values]
