"""Gradients of softmax attention."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, Unpack, overload

import numpy as np
import numpy.typing as npt

from ._arrays import FloatArray, empty, optional_view, view
from ._context import borrow
from ._library import raw
from ._options import options
from ._report import Report, new_report, read_report
from ._settings import Settings, as_key_ranges, chosen_method, explain_keywords, lag_bias_view


class Gradients(NamedTuple):
    """Gradients shaped like q, k, v and lag_bias; d_lag_bias is None where there is no lag_bias, and for other methods than "exact"."""

    dq: FloatArray
    dk: FloatArray
    dv: FloatArray
    d_lag_bias: FloatArray | None = None


class BackwardSettings(Settings, total=False):
    """Types of the keyword arguments of `attention_backward`."""

    backward: str | None


@overload
def attention_backward(
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    o: FloatArray,
    lse: FloatArray,
    d_o: FloatArray,
    *,
    return_report: Literal[False] = False,
    **settings: Unpack[BackwardSettings],
) -> Gradients: ...
@overload
def attention_backward(
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    o: FloatArray,
    lse: FloatArray,
    d_o: FloatArray,
    *,
    return_report: Literal[True],
    **settings: Unpack[BackwardSettings],
) -> tuple[Gradients, Report]: ...
@explain_keywords
def attention_backward(
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    o: FloatArray,
    lse: FloatArray,
    d_o: FloatArray,
    *,
    causal: bool = False,
    causal_offset: int | None = None,
    scale: float | None = None,
    lag_bias: FloatArray | None = None,
    lag_min: int = 0,
    key_ranges: npt.NDArray[np.int64] | Sequence[tuple[int, int]] | None = None,
    key_offset: int = 0,
    method: str | None = None,
    backward: str | None = None,
    bases: int | None = None,
    window: int | None = None,
    delta: float | None = None,
    eps: float = 0.0,
    strict_causal: bool = False,
    seed: int = 0,
    tol: float | None = None,
    budget: float | None = None,
    estimate: str | None = None,
    parts: Iterable[str] | None = None,
    check_finite: bool = True,
    return_report: bool = False,
    threads: int | None = None,
) -> Any:
    """Gradients of a loss with respect to the inputs of `attention`, from its gradient d_o with respect to the output.

    With P[i,j] = exp(s[i,j] - lse[i]) over the visible pairs, s the logits of `attention`, and dS = P * (d_o v' - rowsum(d_o * o)):

        dq = scale dS k,   dk = scale dS' q,   dv = P' d_o,   d_lag_bias[h, t - lag_min] = sum of dS[i,j] over the pairs of lag t.

    q, k, v and the keyword arguments are those of the call to `attention`; o [batch, H_q, n_q, d_v] and lse [batch, H_q, n_q] are its
    results; d_o is shaped like o. Where query heads share a key/value head, dk and dv are their sums; d_lag_bias is summed over the
    batch, and over the heads where lag_bias has one row. For a slice of keys (key_offset) give the o and lse of the merged whole:
    then dk and dv are final, and the dq of the slices add up.

    With method "conv_basis" the basis is found again and the rest is `ConvBasis.backward`: `backward` is "conv_basis" for gradients by
    transforms, "exact" for those of exact attention, None for the faster. o and lse are not read, and d_lag_bias is None: there is no
    gradient in lag_bias in this version.

    With tol or budget, or method "auto", the plan is made again, which takes the same seed, and the rest is `Plan.backward`: who has the
    plan should call that. d_lag_bias is None here too.

    Returns `Gradients`, or with return_report a tuple of those and a `Report`. Time is about 2.5 times that of `attention`, memory
    O(n). The same bits for any number of threads; the GIL is released meanwhile, and Ctrl-C ends the call.

    Raises `SubquadError` as `attention` does.

    Source: Dao, FlashAttention-2, arXiv 2307.08691, section 2.3 on the backward pass.

    >>> import subquad
    >>> q, k, v, d_o = (subquad.fill_uniform((5, 4), seed=2, stream=s, low=-1, high=1, dtype="float64") for s in range(4))
    >>> o, lse = subquad.attention(q, k, v, causal=True, return_lse=True)
    >>> gradients = subquad.attention_backward(q, k, v, o, lse, d_o, causal=True)
    >>> gradients.dq.shape, gradients.d_lag_bias
    ((5, 4), None)
    >>> bool((gradients.dq[0] == 0).all())  # one visible key: its weight is 1 whatever the query
    True
    """
    method = chosen_method(method, tol, budget)
    ranges = as_key_ranges(key_ranges)
    views = [
        view("q", q, 2),
        view("k", k, 2),
        view("v", v, 2),
        lag_bias_view(lag_bias),
        optional_view("key_ranges", ranges),
    ]
    views += [view("o", o, 2), view("lse", lse), view("d_o", d_o, 2)]
    gradients = Gradients(
        dq=empty("dq", q.shape, q.dtype),
        dk=empty("dk", k.shape, q.dtype),
        dv=empty("dv", v.shape, q.dtype),
        d_lag_bias=empty("d_lag_bias", lag_bias.shape, q.dtype) if lag_bias is not None and method in (None, "exact") else None,
    )
    views += [optional_view(name, array) for name, array in gradients._asdict().items()]
    chosen = options(
        causal=causal,
        causal_offset=causal_offset,
        scale=scale,
        lag_min=lag_min,
        key_offset=key_offset,
        method=method,
        backward=backward,
        bases=bases,
        window=window,
        delta=delta,
        eps=eps,
        strict_causal=strict_causal,
        seed=seed,
        tol=tol,
        budget=budget,
        estimate=estimate,
        parts=parts,
        check_finite=check_finite,
    )
    with chosen as settings, new_report() as report, borrow(threads) as context:
        raw.subquad_attention_backward(context, settings, *views, report)
        return (gradients, read_report(report)) if return_report else gradients
