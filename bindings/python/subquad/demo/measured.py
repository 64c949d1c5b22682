"""What a run of the demo finds, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from .engine import HeadReport


@dataclass(frozen=True)
class Head:
    """One head of the model: what the library says of it, and its true error."""

    layer: int
    head: int
    report: HeadReport
    true: float


@dataclass(frozen=True)
class FrontierPoint:
    """One setting of one method on the heads of a few layers: its time as a share of exact attention's, and errors of the heads."""

    method: str
    setting: str
    time: float
    median: float
    high: float


@dataclass(frozen=True)
class GrowthPoint:
    """Seconds of one head at one length."""

    method: str
    n: int
    seconds: float


@dataclass
class Measured:
    """All of a run. Seconds are sums over all layers and heads."""

    source: str
    tokens: int
    tol: float
    heads: list[Head] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    perplexity: dict[str, float] = field(default_factory=dict)
    frontier: list[FrontierPoint] = field(default_factory=list)
    growth: list[GrowthPoint] = field(default_factory=list)
    growth_heads: list[tuple[int, int]] = field(default_factory=list)

    def errors(self) -> dict[str, list[float]]:
        return {"estimated": [head.report.estimated for head in self.heads], "true": [head.true for head in self.heads]}

    def computed(self) -> float:
        """The share of all pairs whose weights were computed."""
        return sum(head.report.computed for head in self.heads) / self._pairs()

    def screened(self) -> float:
        """The share of all pairs of which only a logit was computed."""
        return sum(head.report.screened for head in self.heads) / self._pairs()

    def _pairs(self) -> int:
        return sum(head.report.pairs for head in self.heads)
