"""What was measured as rows of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .measured import Measured

Row = dict[str, str]


def summary(measured: Measured) -> list[Row]:
    """One row per method."""
    errors = measured.errors()
    rows = []
    for method, seconds in measured.seconds.items():
        auto = method == "auto"
        rows.append(
            {
                "attention": method,
                "perplexity": _perplexity(measured, method),
                "seconds": f"{seconds:.2f}",
                "times exact": f"{measured.seconds['exact'] / seconds:.2f}",
                "pairs computed": f"{100 * measured.computed():.1f} %" if auto else "100 %",
                "screened": f"{100 * measured.screened():.1f} %" if auto else "",
                "error estimated: median, 95 %, worst": quantiles(errors["estimated"]) if auto else "",
                "error true: median, 95 %, worst": quantiles(errors["true"]) if auto else "",
            }
        )
    return rows


def _perplexity(measured: Measured, method: str) -> str:
    found, exact = measured.perplexity.get(method), measured.perplexity["exact"]
    if found is None:
        return ""
    return f"{found:.3f}" if method == "exact" else f"{found:.3f} ({100 * (found / exact - 1):+.2f} %)"


def growth(measured: Measured) -> list[Row]:
    """One row per length: seconds per head by method, and how many times as long as the library's the exact one takes."""
    seconds = {(point.n, point.method): point.seconds for point in measured.growth}
    methods = dict.fromkeys(point.method for point in measured.growth)
    return [
        {"tokens": f"{n:,}"}
        | {method: f"{seconds[n, method]:.3f} s" if (n, method) in seconds else "" for method in methods}
        | {"exact / auto": f"{seconds[n, 'exact'] / seconds[n, 'auto']:.1f}"}
        for n in sorted({point.n for point in measured.growth})
    ]


def within(measured: Measured, factor: float) -> float:
    """The share of heads whose true error is at most factor times tol."""
    return float(np.mean([head.true <= factor * measured.tol for head in measured.heads]))


def worst(measured: Measured, count: int) -> list[Row]:
    """The heads of the largest true errors."""
    heads = sorted(measured.heads, key=lambda head: -head.true)[:count]
    return [
        {
            "layer": str(head.layer),
            "head": str(head.head),
            "error true": f"{head.true:.4f}",
            "estimated": f"{head.report.estimated:.4f}",
            "interval": "{:.4f} to {:.4f}".format(*head.report.interval),
            "pairs computed": f"{100 * head.report.share:.1f} %",
            "parts": " + ".join(head.report.parts),
            "fallback": head.report.fallback,
        }
        for head in heads
    ]


def quantiles(errors: Sequence[float]) -> str:
    """Median, 95th percentile and largest."""
    return ", ".join(f"{value:.3f}" for value in np.quantile(errors, (0.5, 0.95, 1.0)))


def aligned(rows: Sequence[Row]) -> str:
    """The rows, all of one set of keys, as an aligned Markdown table."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
