"""Made-up measurements, for what only shows them."""

from subquad.demo.engine import HeadReport
from subquad.demo.measured import FrontierPoint, GrowthPoint, Head, Measured


def head(layer, number, *, computed=300, estimated=0.05, true=0.06):
    report = HeadReport(
        pairs=1000,
        computed=computed,
        screened=100,
        estimated=estimated,
        interval=(0.8 * estimated, 1.2 * estimated),
        parts=("window", "selection"),
        fallback="",
        seconds=0.01,
    )
    return Head(layer, number, report, true)


def measured():
    """Four heads, of which one is off by more than 1.25 tol."""
    return Measured(
        source="a <text>",
        tokens=4096,
        tol=0.1,
        heads=[head(0, 0), head(0, 1, true=0.2), head(1, 0, computed=1000, estimated=0.0, true=1e-7), head(1, 1)],
        seconds={"exact": 4.0, "auto": 1.0, "torch": 5.0},
        perplexity={"exact": 6.25, "auto": 6.5},
        frontier=[
            FrontierPoint("auto", "tol 0.1", 0.25, 0.05, 0.1),
            FrontierPoint("auto", "tol 0.05", 0.5, 0.02, 0.05),
            FrontierPoint("window and sinks", "64", 0.125, 0.3, 0.9),
        ],
        growth_heads=[(0, 1)],
        growth=[
            GrowthPoint(method, n, n / (4096 if method == "auto" else 1024))
            for method in ("auto", "exact", "torch")
            for n in (2048, 4096)
        ],
    )
