"""The report: one HTML file that stands alone, its pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from ..plot._frontier import FLOOR
from . import pictures, table
from .measured import Measured

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #111; background: #fff; }}
table {{ border-collapse: collapse; font-size: 0.85em; display: block; overflow-x: auto; }}
th, td {{ border: 1px solid #bbb; padding: 0.25em 0.6em; text-align: left; }}
figure {{ margin: 2em 0; }}
img {{ max-width: 100%; }}
figcaption {{ color: #444; font-size: 0.9em; }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def page(measured: Measured, machine: dict[str, str]) -> str:
    """machine: lines that say on what it was measured."""
    tol = measured.tol
    body = [
        f"<p>SmolLM2-135M read {measured.tokens:,} tokens of {html.escape(measured.source)} twice: with exact attention, and with every "
        f"head's attention approximated to a relative error of tol = {tol:g}. True errors are those of each head's output given the "
        "same queries, keys and values; estimated ones are what the library says without knowing them.</p>",
        _table(table.summary(measured)),
        f"<p>{100 * table.within(measured, 1.25):.1f} % of the heads have a true error of at most 1.25 tol.</p>",
        *_figures(measured),
        _table(table.growth(measured)),
        "<h2>The heads with the largest errors</h2>",
        _table(table.worst(measured, 10)),
        "<h2>Measured on</h2>",
        "<ul>" + "".join(f"<li>{html.escape(name)}: {html.escape(value)}</li>" for name, value in machine.items()) + "</ul>",
    ]
    return _PAGE.format(title="Adaptive attention on a real model", body="\n".join(body))


def _figures(measured: Measured) -> Iterable[str]:
    yield _figure(
        pictures.frontier(measured.frontier, measured.tol),
        "Error against time",
        "Filled marks: the median head; hollow ones: 95 % of the heads are better. Times include all planning. "
        "The window is a pattern that is the same for every head: whatever its width, some heads are far off.",
    )
    yield _figure(
        pictures.heads_map(measured),
        "What each head was given",
        "Darker: more pairs of query and key computed. Letters stand for the parts beyond the window, as explained below the map.",
    )
    yield _figure(
        pictures.calibration(measured),
        "Estimated against true error",
        "Bars are 95 % intervals of the estimates. Marks below the line of equality were underestimated; those whose interval ends "
        f"below the true error are triangles. Errors under {FLOOR:g} are drawn at {FLOOR:g}.",
    )
    heads = ", ".join(f"{head} of layer {layer}" for layer, head in measured.growth_heads)
    yield _figure(
        pictures.growth(measured.growth),
        "Time against length",
        f"Mean over the heads {heads}, which stand at the quartiles of the pairs computed. The model does not read so much at once: the "
        "text is read in pieces, and queries and keys are turned to their places in the whole.",
    )


def _figure(svg: str, title: str, caption: str) -> str:
    image = base64.b64encode(svg.encode()).decode()
    alt = html.escape(f"{title}. {caption}", quote=True)
    return (
        f'<figure><h2>{html.escape(title)}</h2><img alt="{alt}" src="data:image/svg+xml;base64,{image}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _table(rows: Sequence[table.Row]) -> str:
    def line(tag: str, cells: Iterable[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line("th", rows[0]) + "".join(line("td", row.values()) for row in rows) + "</table>"
