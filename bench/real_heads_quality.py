"""Perplexity, errors true and estimated, and shares of pairs: every text, length and tolerance."""

import numpy as np
from real_heads_model import HELD_OUT, LOOKED_AT, Model
from subquad.demo import engine

LENGTHS = (4096, 8192)


def rows(model: Model, tolerances: tuple[float, ...], held_out: bool) -> list[dict[str, str]]:
    found = []
    for n in LENGTHS:
        for name, tokens in model.texts(HELD_OUT if held_out else LOOKED_AT, n):
            heads: dict[float, list[tuple[float, engine.HeadReport]]] = {tol: [] for tol in tolerances}

            def compared(_layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: dict = heads) -> np.ndarray:
                o = engine.exact(q, k, v)
                for tol, mine in heads.items():
                    approximate, reports = engine.auto(q, k, v, tol=tol)
                    mine += zip(engine.relative_errors(approximate, o), reports, strict=True)
                return o

            exact = model.perplexity(tokens, compared)
            for tol, mine in heads.items():
                auto = model.perplexity(tokens, lambda _, q, k, v, tol=tol: engine.auto(q, k, v, tol=tol)[0])
                found.append({"text": name, "tokens": str(n), "tol": f"{tol:g}", **_row(exact, auto, tol, mine)})
    return found


def _row(exact: float, auto: float, tol: float, heads: list[tuple[float, engine.HeadReport]]) -> dict[str, str]:
    true = np.array([error for error, _ in heads])
    reports = [report for _, report in heads]
    pairs = sum(report.pairs for report in reports)
    covered = [report.interval[0] <= error <= report.interval[1] for error, report in heads if report.estimated > 0]
    return {
        "perplexity exact": f"{exact:.3f}",
        "auto": f"{auto:.3f}",
        "change": f"{100 * (auto / exact - 1):+.2f} %",
        "heads within 1.25 tol": f"{100 * np.mean(true <= 1.25 * tol):.1f} %",
        "worst / tol": f"{true.max() / tol:.2f}",
        "error: median, 95 %": f"{np.median(true):.4f}, {np.quantile(true, 0.95):.4f}",
        "in its interval": f"{100 * np.mean(covered):.0f} %" if covered else "-",
        "pairs computed": f"{100 * sum(report.computed for report in reports) / pairs:.1f} %",
        "screened": f"{100 * sum(report.screened for report in reports) / pairs:.1f} %",
        "heads exact": str(sum(bool(report.fallback) for report in reports)),
    }
