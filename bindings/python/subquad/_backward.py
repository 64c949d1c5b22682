"""Gradients of softmax attention."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Literal, NamedTuple, Unpack, overload

from ._arrays import optional_view, view
from ._context import borrow
from ._library import raw
from ._options import options
from ._outputs import Outputs, Outs
from ._report import Report, new_report, read_report
from ._settings import Settings, as_key_ranges, chosen_method, explain_keywords, lag_bias_view
from ._tensors import Kind, Tensor, takes_tensors


class Gradients(NamedTuple, Generic[Kind]):
    """Gradients shaped like q, k, v and lag_bias; d_lag_bias is None where there is no lag_bias, and for other methods than "exact".

    >>> import numpy as np
    >>> import subquad
    >>> q, k, v = np.zeros((3, 2)), np.zeros((4, 2)), np.zeros((4, 5))
    >>> o, lse = subquad.attention(q, k, v, return_lse=True)
    >>> gradients = subquad.attention_backward(q, k, v, o, lse, o)
    >>> [getattr(array, "shape", None) for array in gradients]
    [(3, 2), (4, 2), (4, 5), None]
    """

    dq: Kind
    dk: Kind
    dv: Kind
    d_lag_bias: Kind | None = None


class BackwardSettings(Settings, total=False):
    """Types of the keyword arguments of `attention_backward`."""

    backward: str | None
    out: Outs


@overload
def attention_backward(
    q: Kind,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    d_o: Tensor,
    *,
    return_report: Literal[False] = False,
    **settings: Unpack[BackwardSettings],
) -> Gradients[Kind]: ...
@overload
def attention_backward(
    q: Kind,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    d_o: Tensor,
    *,
    return_report: Literal[True],
    **settings: Unpack[BackwardSettings],
) -> tuple[Gradients[Kind], Report]: ...
@explain_keywords
@takes_tensors
def attention_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    d_o: Tensor,
    *,
    causal: bool = False,
    causal_offset: int | None = None,
    scale: float | None = None,
    lag_bias: Tensor | None = None,
    lag_min: int = 0,
    key_ranges: Tensor | Sequence[tuple[int, int]] | None = None,
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
    out: Outs = None,
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
    transforms, "exact" for those of exact attention, None for the faster. o and lse take no part, and d_lag_bias is None: there is no
    gradient in lag_bias in this version.

    With tol or budget, or method "auto", the plan is made again, which takes the same seed, and the rest is `Plan.backward`: who has the
    plan should call that. d_lag_bias is None here too.

    out is a tuple of arrays to fill and return, for dq, dk, dv and d_lag_bias in this order, with None for those to be new; `Gradients` are
    one too. They must not overlap an input or each other. New ones are of q's kind.

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
    bias_shape = lag_bias.shape if lag_bias is not None and method in (None, "exact") else None
    shapes = {"dq": q.shape, "dk": k.shape, "dv": v.shape, "d_lag_bias": bias_shape}
    filled = Outputs(out, q.dtype, shapes, alone=False)
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
    with chosen as settings, new_report() as report, borrow(threads) as context, filled:
        raw.subquad_attention_backward(context, settings, *views, *filled.views, report)
        gradients = Gradients(*filled.arrays)
        return (gradients, read_report(report)) if return_report else gradients
