"""Deciding how attention is computed, to a tolerance or within a budget."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable, Sequence
from functools import partial

from ._arrays import View, optional_view, view
from ._context import borrow
from ._library import raw
from ._options import options
from ._plan import Plan
from ._report import new_report
from ._settings import as_key_ranges, explain_keywords, lag_bias_view
from ._tensors import Tensor, takes_tensors


@explain_keywords
@takes_tensors
def plan(
    q: Tensor,
    k: Tensor,
    v: Tensor | None = None,
    *,
    tol: float | None = None,
    budget: float | None = None,
    estimate: str | None = None,
    parts: Iterable[str] | None = None,
    causal: bool = False,
    causal_offset: int | None = None,
    scale: float | None = None,
    lag_bias: Tensor | None = None,
    lag_min: int = 0,
    key_ranges: Tensor | Sequence[tuple[int, int]] | None = None,
    key_offset: int = 0,
    strict_causal: bool = False,
    seed: int = 0,
    check_finite: bool = True,
    threads: int | None = None,
) -> Plan:
    """Decide how the attention of q and k is computed: what `attention` does first where tol or budget is given, as a `Plan` to keep.

    Each head gets the cheapest of these whose estimated error e = |o~ - o|_F / |o|_F is at most tol, or with budget the one that errs
    least within it:

        selected   a window of the last keys; heavy columns, single keys that all queries see; groups of 16 keys chosen for each block of
                   queries; and a far field for all other keys, by the centroids of their groups or by a conv basis;
        screened   the logits of all pairs in 8-bit integers, weights and values only where they matter to a query;
        exact      every pair, where nothing cheaper meets tol.

    Shapes: q [batch, H_q, n_q, d], k [batch, H_kv, n_k, d], v [batch, H_kv, n_k, d_v]; batch and heads may be left out, as in
    `attention`. One dtype, float32 or float64; any strides. All are copied.

    v              Values to estimate errors on; they need not be those that the plan is applied to. None: random ones, independent and of
                   variance 1, drawn by seed.
    tol, budget    The error that each head may have, or the pairs that may be computed; one of the two. These, and estimate ("screened",
                   "sampled"), parts, strict_causal, seed, causal, causal_offset, scale, lag_bias, lag_min, key_ranges, key_offset,
                   check_finite and threads are as in `attention`.

    Errors are estimated on sampled queries, others than those that the choice was made on, with exact attention: an estimate with a 95 %
    confidence interval, not a bound. Planning takes at most 8 % of the time that exact attention is predicted to take.

    Returns a `Plan`, whose `report` says what was decided for each head and what it is estimated to err by. The same for any number of
    threads; the GIL is released meanwhile, and Ctrl-C ends the call.

    Raises `SubquadError` as `attention` does; ERR_CONFLICT for none or both of tol and budget.

    Source: docs/adaptive.md.

    >>> import subquad
    >>> q, k, v = (subquad.fill_uniform((2, 100, 8), seed=1, stream=s, low=-1, high=1, dtype="float32") for s in range(3))
    >>> plan = subquad.plan(q, k, v, tol=0.1, causal=True)
    >>> plan.report["parts"], plan.report["error"]  # two heads, so short that nothing is cheaper than exact attention
    (['exact', 'exact'], [0.0, 0.0])
    >>> bool((plan.apply(v) == subquad.attention(q, k, v, causal=True)).all())
    True
    """
    ranges = as_key_ranges(key_ranges)
    views: list[View | None] = [view("q", q, 2), view("k", k, 2), None if v is None else view("v", v, 2)]
    views += [lag_bias_view(lag_bias), optional_view("key_ranges", ranges)]
    chosen = options(
        tol=tol,
        budget=budget,
        estimate=estimate,
        parts=parts,
        causal=causal,
        causal_offset=causal_offset,
        scale=scale,
        lag_min=lag_min,
        key_offset=key_offset,
        strict_causal=strict_causal,
        seed=seed,
        check_finite=check_finite,
    )
    with chosen as settings, new_report() as report, borrow(threads) as context:
        return Plan(partial(raw.subquad_plan_create, context, settings, *views, report), report, q.dtype, q.shape, k.shape)
