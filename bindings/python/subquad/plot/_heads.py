"""What pictures of heads show, read from reports on method "auto"."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable
from typing import NamedTuple

from .._constants import Status
from .._errors import error
from .._plan import Plan
from .._report import Report


class HeadRow(NamedTuple):
    """One head of a layer."""

    share: float
    """Of its pairs of query and key, those whose weights were computed."""
    parts: tuple[str, ...]
    """What it is made of."""
    estimated: float
    """The estimate of its relative error."""
    low: float
    high: float
    """Ends of the estimate's confidence interval."""


def layers_of(reports: object) -> list[list[HeadRow]]:
    """The heads of each layer, in order, of a report or a plan for each of them, or of a single one."""
    wanted = "a Report, a Plan, or a sequence of them"
    if isinstance(reports, Report | Plan):
        return [_heads("reports", reports)]
    if isinstance(reports, str) or not isinstance(reports, Iterable):
        raise error(Status.ERR_TYPE, f"reports is {reports!r:.80} of type {type(reports).__name__}, not {wanted}")
    layers = [_heads(f"reports[{i}]", report) for i, report in enumerate(reports)]
    if not layers:
        raise error(Status.ERR_VALUE, f"reports is empty, not {wanted}")
    return layers


def _heads(name: str, given: object) -> list[HeadRow]:
    report = given.report if isinstance(given, Plan) else given
    if not isinstance(report, Report):
        raise error(Status.ERR_TYPE, f"{name} is {given!r:.80} of type {type(given).__name__}, not a Report or a Plan")
    heads = report.heads
    if not heads:
        method = f", of method {report['method']!r}" if "method" in report else ""
        raise error(Status.ERR_VALUE, f'{name} says nothing of heads{method}: only reports on method "auto" and plans do')
    mean_pairs = report["pairs"] / len(heads)  # heads of one call differ in their pairs where key ranges do
    return [
        HeadRow(
            # What is exact has all its pairs, however many. Where no pair is visible, nothing is left to compute.
            1.0 if head["parts"] == "exact" else (head["pairs_exact"] + head["pairs_low"]) / max(mean_pairs, 1),
            tuple(head["parts"].split("+")),
            head["error"],
            head["error_low"],
            head["error_high"],
        )
        for head in heads
    ]
