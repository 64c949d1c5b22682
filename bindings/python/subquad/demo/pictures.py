"""The report's pictures, each an SVG text. What colours say, markers, dashes, letters or lightness say too."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .measured import FrontierPoint, GrowthPoint, Measured
from .needs import needed

# Apart in lightness as well as in hue.
COLOURS = {"auto": "#0072b2", "exact": "#000000", "torch": "#e69f00", "window and sinks": "#cc79a7"}
MARKERS = {"auto": "o", "exact": "s", "torch": "^", "window and sinks": "D"}
# What the map writes for each part that a head has beyond its window.
PART_LETTERS = {"heavy": "h", "selection": "s", "centroids": "c", "conv": "v", "screened": "S", "exact": "E"}
# Errors below this are drawn here: heads that were computed exactly have none to speak of.
FLOOR = 1e-4
# Above this the map is dark, and its letters are light.
_DARK = 0.4


def frontier(points: Sequence[FrontierPoint], tol: float) -> str:
    """Error against time: medians filled, 95th percentiles hollow."""

    def draw(axes: Any) -> None:
        for method in dict.fromkeys(point.method for point in points):
            mine = [point for point in points if point.method == method]
            times = [point.time for point in mine]
            look = {"color": COLOURS[method], "marker": MARKERS[method]}
            axes.plot(times, [max(point.median, FLOOR) for point in mine], **look, label=f"{method}, median head")
            axes.plot(
                times, [max(point.high, FLOOR) for point in mine], **look, linestyle="--", markerfacecolor="white", label="95 %"
            )
            for point in mine:
                place = (point.time, max(point.high, FLOOR))
                axes.annotate(point.setting, place, xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.axvline(1, color=COLOURS["exact"], linewidth=0.8, linestyle=":")
        axes.axhline(tol, color="#888888", linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlabel="time / exact attention's", ylabel="relative error of a head's output")
        axes.legend(frameon=False, fontsize=8)

    return _picture(draw, (6.4, 4.2))


def heads_map(measured: Measured) -> str:
    """Layers by heads: lightness is the share of pairs computed, letters are the parts in use."""

    def draw(axes: Any) -> None:
        layers, heads = (1 + max(getattr(head, name) for head in measured.heads) for name in ("layer", "head"))
        shares = np.zeros((layers, heads))
        for head in measured.heads:
            shares[head.layer, head.head] = head.report.share
        image = axes.imshow(shares, cmap="cividis_r", vmin=0, vmax=1, aspect="auto")
        for head in measured.heads:
            ink = "white" if shares[head.layer, head.head] > _DARK else "black"
            letters = "".join(PART_LETTERS.get(part, "") for part in head.report.parts)
            axes.text(head.head, head.layer, letters, color=ink, ha="center", va="center", fontsize=7)
        axes.set(xlabel="query head", ylabel="layer", xticks=range(heads), yticks=range(0, layers, max(1, layers // 10)))
        axes.figure.colorbar(image, ax=axes, label="share of pairs computed")

    return _picture(draw, (6.4, 7.2))


def calibration(measured: Measured) -> str:
    """Estimated against true error, one point per head, with the estimate's interval."""

    def draw(axes: Any) -> None:
        estimated, low, high, true = (
            np.maximum(values, FLOOR)
            for values in zip(*((h.report.estimated, *h.report.interval, h.true) for h in measured.heads), strict=True)
        )
        bars = np.abs(np.array([estimated - low, high - estimated]))
        axes.errorbar(true, estimated, yerr=bars, fmt="none", ecolor="#bbbbbb", elinewidth=0.7, zorder=1)
        axes.plot(true, estimated, "o", color=COLOURS["auto"], markersize=3, label="a head, with its interval")
        ends = np.array([min(true.min(), low.min()) / 1.5, max(true.max(), high.max(), measured.tol) * 1.5])
        axes.plot(ends, ends, color="black", linewidth=0.8, label="estimated = true")
        axes.axhline(measured.tol, color="#888888", linewidth=0.8, linestyle="--", label=f"tol {measured.tol:g}")
        axes.axvline(1.25 * measured.tol, color="#888888", linewidth=0.8, linestyle=":", label="1.25 tol")
        axes.set(xscale="log", yscale="log", xlabel="true error", ylabel="estimated error")
        axes.legend(frameon=False, fontsize=8, loc="upper left")

    return _picture(draw, (5.2, 4.6))


def growth(points: Sequence[GrowthPoint]) -> str:
    """Seconds per head against length."""

    def draw(axes: Any) -> None:
        for method in dict.fromkeys(point.method for point in points):
            mine = [(point.n, point.seconds) for point in points if point.method == method]
            axes.plot(*zip(*mine, strict=True), color=COLOURS[method], marker=MARKERS[method], label=method)
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        ticks = sorted({point.n for point in points})
        axes.set_xticks(ticks, labels=[f"{n:,}" for n in ticks], fontsize=8)
        axes.set(yscale="log", xlabel="tokens", ylabel="seconds per head")
        axes.legend(frameon=False, fontsize=8)

    return _picture(draw, (6.4, 4.2))


def _picture(draw: Callable[[Any], None], size: tuple[float, float]) -> str:
    # The canvas is made by hand, so that no window system is asked and no global state of the caller's changes.
    figures = needed("matplotlib.figure")
    with needed("matplotlib").rc_context({"svg.fonttype": "none", "svg.hashsalt": "subquad", "font.size": 9}):
        figure = figures.Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.grid(visible=False) if axes.images else axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
