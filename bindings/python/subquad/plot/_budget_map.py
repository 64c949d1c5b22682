"""Layers by heads: what each was given."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._extras import needed
from .._plan import Plan
from .._report import Report
from ._axes import axes_for, inches, legend_below
from ._heads import HeadRow, layers_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: What the map writes for each part beyond the window, and what the letter stands for.
PART_LETTERS = {"heavy": "h", "selection": "s", "centroids": "c", "conv": "v", "screened": "8", "exact": "E"}
_MEANINGS = {
    "heavy": "heavy columns",
    "selection": "selected groups",
    "centroids": "centroids",
    "conv": "conv far field",
    "screened": "all pairs screened in 8 bits",
    "exact": "exact",
}
_MOST_TICKS = 16
_POINTS = 72.0  # per inch
_BAR = 0.9  # the most inches that the colour bar takes
_WIDTH_OF_LETTER = 0.62  # of the font's size
_LEFT_BY_BAR = 0.8  # of the width, by the colour bar
_SMALLEST, _LARGEST = 4.5, 8.0  # letters, in points


def budget_map(reports: Report | Plan | Iterable[Report | Plan], *, ax: Axes | None = None) -> Axes:
    """What adaptive attention gave each head: layers by heads, darker the more pairs were computed, letters for the parts in use.

        shade = pairs computed (in the arrays' precision or in 8 bits) / pairs visible, 0 to 1

    reports  The report of `attention` with tol or budget, or a `Plan`, of one layer; or a sequence of them, one for each layer. Heads are
             in order of batch and head. Letters stand for the parts beyond a window; those that occur are explained below the map.
    ax       A matplotlib Axes to draw on, in place of a new one. A colour bar is put beside it.

    Where key_ranges leave batch elements different numbers of keys, the share is of the mean number of visible pairs. Layers may have
    different numbers of heads. Where cells are too small for letters, there are none.

    Returns the Axes.

    Raises `SubquadError`: ERR_TYPE for other things than reports and plans, or than an Axes; ERR_VALUE for a report without heads, as of
    other methods than "auto", and for no report. ModuleNotFoundError without matplotlib.

    Source: docs/adaptive.md says what the parts are.

    >>> import subquad, subquad.plot
    >>> q, k, v = (subquad.fill_uniform((3, 200, 8), seed=1, stream=s, low=-1, high=1, dtype="float32") for s in range(3))
    >>> plans = [subquad.plan(scale * q, k, v, tol=0.1, causal=True) for scale in (1, 2)]  # two layers of three heads
    >>> ax = subquad.plot.budget_map(plans)
    >>> ax.images[0].get_array().shape, ax.get_ylabel()
    ((2, 3), 'layer')
    """
    layers = layers_of(reports)
    heads = max(map(len, layers))
    size = min(max(4.8, 2.2 + 0.48 * heads), 14), min(max(2.4, 1.4 + 0.21 * len(layers)), 14)
    return draw_budget_map(axes_for(ax, size), layers)


def draw_budget_map(ax: Axes, layers: Sequence[Sequence[HeadRow]]) -> Axes:
    """The picture of `budget_map`."""
    heads = max(map(len, layers))
    shares = np.ma.masked_invalid(np.full((len(layers), heads), np.nan))
    for layer, rows in enumerate(layers):
        shares[layer, : len(rows)] = [min(row.share, 1.0) for row in rows]
    image = ax.imshow(shares, cmap="cividis_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.set(xlabel="query head", ylabel="layer", xticks=_ticks(heads), yticks=_ticks(len(layers)))
    ax.grid(visible=False)
    ax.figure.colorbar(image, ax=ax, label="share of pairs computed", fraction=min(0.15, _BAR / inches(ax)[0]))
    _letters(ax, image, layers)
    return ax


def _letters(ax: Axes, image: AxesImage, layers: Sequence[Sequence[HeadRow]]) -> None:
    written = [["".join(PART_LETTERS.get(part, "") for part in row.parts) for row in rows] for rows in layers]
    size = _font_size(ax, layers, max(len(text) for texts in written for text in texts))
    if not size:
        return
    for layer, (rows, texts) in enumerate(zip(layers, written, strict=True)):
        for head, (row, text) in enumerate(zip(rows, texts, strict=True)):
            ink = _ink(image.to_rgba(np.array([min(row.share, 1.0)]))[0])
            ax.text(head, layer, text, color=ink, ha="center", va="center", fontsize=size)
    nothing = needed("matplotlib.lines", "plot").Line2D([], [], linestyle="none")
    found = [part for part in PART_LETTERS if any(part in row.parts for rows in layers for row in rows)]
    key = [f"{PART_LETTERS[part]}  {_MEANINGS[part]}" for part in found]
    legend_below(ax, [nothing] * len(key), key, handlelength=0, handletextpad=0)


def _font_size(ax: Axes, layers: Sequence[Sequence[HeadRow]], letters: int) -> float:
    """In points, such that so many letters fit into a cell; 0 where they could not be read."""
    width, height = inches(ax)
    width *= _LEFT_BY_BAR * _POINTS / max(map(len, layers))
    height *= _POINTS / len(layers)
    size = min(_LARGEST, 0.9 * width / (_WIDTH_OF_LETTER * max(letters, 1)), 0.7 * height)
    return size if size >= _SMALLEST else 0.0


def _ink(colour: Sequence[float]) -> str:
    """Black or white, whichever stands out more: of equal contrast at the luminance 0.18."""
    linear = np.where((values := np.asarray(colour[:3])) > 0.04, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    return "black" if float(linear @ (0.2126, 0.7152, 0.0722)) > 0.18 else "white"


def _ticks(count: int) -> range:
    """Whole numbers below count, evenly apart, so few that they can be read."""
    return range(0, count, -(-count // _MOST_TICKS))
