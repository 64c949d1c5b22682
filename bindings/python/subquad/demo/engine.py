"""What the demo measures: attention of many heads, exact and approximate, with a report on every head.

The only place that knows the library's interface. Arrays are q [heads, n, d], k and v [kv_heads, n, d]; attention is causal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import subquad

from .needs import found, needed
from .weights import Floats

SINKS = 4


@dataclass(frozen=True)
class HeadReport:
    """What the library says of one head."""

    #: Pairs of query and key that causal attention has.
    pairs: int
    #: Those whose weights were computed, in the arrays' precision or lower.
    computed: int
    #: Those of which only a logit was computed, in low precision.
    screened: int
    #: The relative error of its output, and its confidence interval.
    estimated: float
    interval: tuple[float, float]
    #: What it is made of.
    parts: tuple[str, ...]
    #: Why it is exact; empty where it is not.
    fallback: str
    #: Of one thread, for plan and output.
    seconds: float

    @property
    def share(self) -> float:
        """The share of the pairs that was computed."""
        return self.computed / self.pairs

    @property
    def all_pairs(self) -> bool:
        """Whether it is exact or was screened, so that some step took every pair."""
        return self.computed + self.screened >= self.pairs


def exact(q: Floats, k: Floats, v: Floats, threads: int | None = None) -> Floats:
    return subquad.attention(q, k, v, causal=True, threads=threads)


def auto(q: Floats, k: Floats, v: Floats, threads: int | None = None, **settings: Any) -> tuple[Floats, list[HeadReport]]:
    """settings: tol or budget, parts, and what else `subquad.attention` takes."""
    o, report = subquad.attention(q, k, v, causal=True, threads=threads, return_report=True, **settings)
    pairs = report["pairs"] // len(q)
    return o, [_read(head, pairs) for head in report.heads]


def window(q: Floats, k: Floats, v: Floats, width: int) -> Floats:
    """The first keys, and at least `width` keys before each query: blocks of `width` queries see their own block and the one before."""
    n = q.shape[1]
    o = np.empty_like(q)
    for first in range(0, n, width):
        last, near = min(first + width, n), max(0, first - width)
        block = q[:, first:last]
        partials = [
            subquad.attention(
                block, k[:, near:last], v[:, near:last], causal=True, causal_offset=first, key_offset=near, return_lse=True
            )
        ]
        sinks = min(SINKS, near)
        if sinks:
            partials.append(subquad.attention(block, k[:, :sinks], v[:, :sinks], return_lse=True))
        outputs, masses = zip(*partials, strict=True)
        o[:, first:last] = subquad.merge(list(outputs), list(masses))[0]
    return o


def torch_attention(q: Floats, k: Floats, v: Floats, threads: int | None = None) -> Floats:
    """PyTorch's, where it is installed (`has_torch`); a key head is repeated for the query heads that share it."""
    torch = needed("torch")
    torch.set_num_threads(threads or subquad.info()["threads"])
    group = len(q) // len(k)
    tq, tk, tv = (torch.from_numpy(x)[None] for x in (q, k, v))
    with torch.no_grad():
        expanded = (x.repeat_interleave(group, dim=1) for x in (tk, tv))
        o: Floats = torch.nn.functional.scaled_dot_product_attention(tq, *expanded, is_causal=True)[0].numpy()
    return o


def has_torch() -> bool:
    return found("torch") is not None


def relative_errors(o: Floats, reference: Floats) -> list[float]:
    """Relative Frobenius error of every head."""
    difference = np.linalg.norm(o.astype(np.float64) - reference, axis=(1, 2))
    return [float(error) for error in difference / np.linalg.norm(reference.astype(np.float64), axis=(1, 2))]


def _read(head: dict[str, Any], pairs: int) -> HeadReport:
    return HeadReport(
        pairs=pairs,
        computed=head["pairs_exact"] + head["pairs_low"],
        screened=head["pairs_screened"],
        estimated=head["error"],
        interval=(head["error_low"], head["error_high"]),
        parts=tuple(head["parts"].split("+")),
        fallback=head["fallback"],
        seconds=head["head_seconds_plan"] + head["head_seconds_apply"],
    )
