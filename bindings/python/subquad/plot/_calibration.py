"""Estimated against true error."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._constants import Status
from .._errors import error
from .._plan import Plan
from .._report import Report
from ._axes import BLUE, FAINT, REFERENCE, VERMILION, axes_for, grid, legend_below
from ._frontier import FLOOR
from ._heads import HeadRow, layers_of
from ._numbers import above_zero, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def calibration(
    reports: Report | Plan | Iterable[Report | Plan],
    true_errors: npt.ArrayLike,
    *,
    tol: float | None = None,
    floor: float = FLOOR,
    ax: Axes | None = None,
) -> Axes:
    """Whether estimates can be trusted: each head's estimated error, with its 95 % interval, against its true error.

        estimate of e  against  e = |o~ - o|_F / |o|_F,   both axes logarithmic

    reports      As in `budget_map`.
    true_errors  e of each head: [heads], or [layers, heads], or with batch and heads apart, in the reports' order.
    tol          The tolerance that was asked for: a line at this estimate, and one at this true error.
    floor        Errors below it are drawn at it, as the axes then say: heads that are exact have an estimate of 0.
    ax           A matplotlib Axes to draw on, in place of a new one.

    Heads below the diagonal err more than was estimated; those whose interval ends below their true error have another mark and colour.

    Returns the Axes.

    Raises `SubquadError`: as `budget_map`; ERR_SHAPE where true_errors has not one entry for each head; ERR_VALUE, ERR_NONFINITE, ERR_TYPE,
    naming the argument. ModuleNotFoundError without matplotlib.

    Source: docs/adaptive.md says what an estimate promises, and what it does not.

    >>> import numpy as np, subquad, subquad.plot
    >>> q, k, v = (subquad.fill_uniform((3, 200, 8), seed=1, stream=s, low=-1, high=1, dtype="float32") for s in range(3))
    >>> o, report = subquad.attention(q, k, v, tol=0.1, return_report=True)
    >>> difference = o - subquad.attention(q, k, v)
    >>> ax = subquad.plot.calibration(report, np.linalg.norm(difference, axis=(1, 2)) / np.linalg.norm(o, axis=(1, 2)), tol=0.1)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('true error (at least 0.0001)', 'estimated error (at least 0.0001)')
    """
    heads = list(chain.from_iterable(layers_of(reports)))
    true = numbers("true_errors", true_errors, ndim=(1, 2, 3))
    if true.size != len(heads):
        raise error(Status.ERR_SHAPE, f"true_errors has shape {true.shape}, but the reports are on {len(heads)} heads")
    line = None if tol is None else above_zero("tol", tol)
    return draw_calibration(axes_for(ax, (5.4, 5.4)), heads, true.ravel(), tol=line, floor=above_zero("floor", floor))


def draw_calibration(
    ax: Axes,
    heads: Sequence[HeadRow],
    true_errors: Sequence[float] | npt.NDArray[Any],
    *,
    tol: float | None,
    floor: float = FLOOR,
) -> Axes:
    """The picture of `calibration`."""
    given = np.array([(*head[-3:], true) for head, true in zip(heads, true_errors, strict=True)])
    estimated, low, high, true = np.maximum(given, floor).T
    bars = np.abs(np.array([estimated - low, high - estimated]))
    ax.errorbar(true, estimated, yerr=bars, fmt="none", ecolor=FAINT, elinewidth=0.8, zorder=1)
    above = true > high
    for chosen, where, marker, colour, edge in (
        (~above, "within or below", "o", BLUE, ax.get_facecolor()),
        (above, "above", "^", VERMILION, "black"),
    ):
        style: dict[str, Any] = {"linestyle": "none", "color": colour, "markeredgecolor": edge, "markeredgewidth": 0.6}
        label = f"true error {where} its interval: {chosen.sum()}"
        ax.plot(true[chosen], estimated[chosen], marker=marker, markersize=5.5, label=label, **style)
    ends = np.array([min(true.min(), low.min()) / 1.5, max(true.max(), high.max(), tol or 0) * 1.5])
    ax.plot(ends, ends, color=REFERENCE, linewidth=1, label="estimated = true")
    if tol is not None:
        ax.axhline(tol, color=REFERENCE, linewidth=1, linestyle="--", label=f"tol {tol:g}")
        ax.axvline(tol, color=REFERENCE, linewidth=1, linestyle="--")
    for axis, drawn in (("x", given[:, 3]), ("y", given[:, 0])):
        label = f"{'true' if axis == 'x' else 'estimated'} error" + (f" (at least {floor:g})" if (drawn < floor).any() else "")
        ax.set(**{f"{axis}label": label, f"{axis}scale": "log"})
    grid(ax)
    legend_below(ax, *ax.get_legend_handles_labels())
    return ax
