"""The report's pictures, each an SVG text. What colours say, marks, dashes, letters or lightness say too."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from ..plot._axes import grid, legend, look
from ..plot._budget_map import draw_budget_map
from ..plot._calibration import draw_calibration
from ..plot._frontier import Point, draw_frontier
from ..plot._heads import HeadRow
from .measured import FrontierPoint, GrowthPoint, Head, Measured
from .needs import needed

# Of the methods' looks, so that one looks alike in all pictures; the frontier's come first.
_PLACES = {"auto": 0, "window and sinks": 1, "exact": 2, "torch": 3}


def frontier(points: Sequence[FrontierPoint], tol: float) -> str:
    """Error against time: medians filled, 95th percentiles hollow."""
    drawn = [Point(point.method, point.setting, point.time, point.median, point.high) for point in points]
    return _picture(lambda axes: draw_frontier(axes, drawn, relative=True, tol=tol), (6.4, 4.2))


def heads_map(measured: Measured) -> str:
    """Layers by heads: lightness is the share of pairs computed, letters are the parts in use."""
    ordered = sorted(measured.heads, key=lambda head: (head.layer, head.head))
    layers = [[_row(head) for head in heads] for _, heads in groupby(ordered, key=lambda head: head.layer)]
    return _picture(lambda axes: draw_budget_map(axes, layers), (6.4, 7.6))


def calibration(measured: Measured) -> str:
    """Estimated against true error, one point per head, with the estimate's interval."""
    rows, true = [_row(head) for head in measured.heads], [head.true for head in measured.heads]
    return _picture(lambda axes: draw_calibration(axes, rows, true, tol=measured.tol), (5.4, 5.4))


def growth(points: Sequence[GrowthPoint]) -> str:
    """Seconds per head against length."""

    def draw(axes: Any) -> None:
        for method in dict.fromkeys(point.method for point in points):
            mine = [(point.n, point.seconds) for point in points if point.method == method]
            axes.plot(*zip(*mine, strict=True), **look(_PLACES[method]), label=method)
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        ticks = sorted({point.n for point in points})
        axes.set_xticks(ticks, labels=[f"{n:,}" for n in ticks], fontsize="small")
        axes.set(yscale="log", xlabel="tokens", ylabel="seconds per head")
        grid(axes)
        legend(axes)

    return _picture(draw, (6.4, 4.2))


def _row(head: Head) -> HeadRow:
    return HeadRow(head.report.share, head.report.parts, head.report.estimated, *head.report.interval)


def _picture(draw: Callable[[Any], object], size: tuple[float, float]) -> str:
    # The canvas is made by hand, so that no window system is asked and no global state of the caller's changes.
    figures = needed("matplotlib.figure")
    with needed("matplotlib").rc_context({"svg.fonttype": "none", "svg.hashsalt": "subquad", "font.size": 9}):
        figure = figures.Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
