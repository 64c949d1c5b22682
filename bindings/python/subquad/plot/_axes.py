"""Where a picture goes, and what all pictures look like."""

from __future__ import annotations  # signatures show short names

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._constants import Status
from .._errors import error
from .._extras import needed

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

#: Colours that differ for every kind of colour vision, by Okabe and Ito, and marks. With seven and eight of them, no pair comes twice
#: before the fifty-seventh.
_COLOURS = ("#0072b2", "#e69f00", "#000000", "#cc79a7", "#009e73", "#d55e00", "#56b4e9")
_MARKERS = ("o", "D", "s", "^", "v", "P", "X", "*")
#: The ink of lines to compare with, and of what is less important.
REFERENCE, FAINT = "#707070", "#bbbbbb"
#: What is drawn first, and what is to stand out.
BLUE, VERMILION = _COLOURS[0], _COLOURS[5]

_POINTS = 72.0  # per inch
_TICKS_AND_LABEL = 3.6  # what is below an Axes, in lines of its font
_LEGEND_COLUMN = 1.5  # inches that a column of a legend takes, about


def axes_for(ax: object, size: tuple[float, float]) -> Axes:
    """ax itself, or the Axes of a new figure of that size in inches. It belongs to no window, and goes when nothing refers to it."""
    axes = needed("matplotlib.axes", "plot").Axes
    if ax is None:
        figure = needed("matplotlib.figure", "plot").Figure(figsize=size, layout="constrained")
        ax = figure.subplots()
    if not isinstance(ax, axes):
        raise error(Status.ERR_TYPE, f"ax is {ax!r} of type {type(ax).__name__}, not a matplotlib Axes")
    return ax  # type: ignore[no-any-return]


def look(place: int) -> dict[str, Any]:
    """Colour and mark of the series at this place of several."""
    return {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKERS[place % len(_MARKERS)]}


def grid(ax: Axes) -> None:
    """Lines behind all else."""
    ax.grid(visible=True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)


def inches(ax: Axes) -> tuple[float, float]:
    """Width and height, as far as they are known before all is laid out."""
    box = ax.bbox.transformed(ax.figure.dpi_scale_trans.inverted())
    return box.width, box.height


def legend(ax: Axes) -> None:
    """Of what has a label, where there is most room."""
    ax.legend(fontsize="small", framealpha=0.8, edgecolor="none")


def legend_below(ax: Axes, handles: Sequence[Artist], labels: Sequence[str], **settings: Any) -> None:
    """Below the axis' own words, for pictures that are full; in as many columns as there is room for."""
    matplotlib = needed("matplotlib", "plot")
    shifted = needed("matplotlib.transforms", "plot").ScaledTranslation
    down = -_TICKS_AND_LABEL * matplotlib.rcParams["font.size"] / _POINTS
    ax.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=ax.transAxes + shifted(0, down, ax.figure.dpi_scale_trans),
        borderaxespad=0,
        ncols=max(1, int(inches(ax)[0] / _LEGEND_COLUMN)),
        fontsize="small",
        frameon=False,
        **settings,
    )
