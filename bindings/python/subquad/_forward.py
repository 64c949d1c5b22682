"""Softmax attention."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Unpack, overload

from ._arrays import optional_view, view
from ._context import borrow
from ._library import raw
from ._options import options
from ._outputs import Out, Outputs
from ._report import Report, new_report
from ._settings import Settings, as_key_ranges, chosen_method, explain_keywords, lag_bias_view
from ._tensors import Kind, Tensor, takes_tensors


class ForwardSettings(Settings, total=False):
    """Types of the keyword arguments of `attention`."""

    out: Out


@overload
def attention(
    q: Kind,
    k: Tensor,
    v: Tensor,
    *,
    return_lse: Literal[False] = False,
    return_report: Literal[False] = False,
    **settings: Unpack[ForwardSettings],
) -> Kind: ...
@overload
def attention(
    q: Kind,
    k: Tensor,
    v: Tensor,
    *,
    return_lse: Literal[True],
    return_report: Literal[False] = False,
    **settings: Unpack[ForwardSettings],
) -> tuple[Kind, Kind]: ...
@overload
def attention(
    q: Kind,
    k: Tensor,
    v: Tensor,
    *,
    return_lse: Literal[False] = False,
    return_report: Literal[True],
    **settings: Unpack[ForwardSettings],
) -> tuple[Kind, Report]: ...
@overload
def attention(
    q: Kind,
    k: Tensor,
    v: Tensor,
    *,
    return_lse: Literal[True],
    return_report: Literal[True],
    **settings: Unpack[ForwardSettings],
) -> tuple[Kind, Kind, Report]: ...
@explain_keywords
@takes_tensors
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    causal_offset: int | None = None,
    scale: float | None = None,
    lag_bias: Tensor | None = None,
    lag_min: int = 0,
    key_ranges: Tensor | Sequence[tuple[int, int]] | None = None,
    key_offset: int = 0,
    method: str | None = None,
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
    out: Out = None,
    return_lse: bool = False,
    return_report: bool = False,
    threads: int | None = None,
) -> Any:
    """Softmax attention: exact, over every visible pair of query and key; or to a tolerance; or with logits replaced by a conv basis.

        s[i,j] = scale <q[i,:], k[j,:]> + lag_bias[t - lag_min],      t = (i + causal_offset) - (j + key_offset), the pair's lag
        o[i,:] = sum_j exp(s[i,j]) v[j,:] / sum_j exp(s[i,j]),        lse[i] = log(sum_j exp(s[i,j])), the natural logarithm,

    over the keys j that query i sees; a query that sees none has o = 0 and lse = -inf.

    Shapes: q [batch, H_q, n_q, d], k [batch, H_kv, n_k, d], v [batch, H_kv, n_k, d_v], o [batch, H_q, n_q, d_v], lse [batch, H_q,
    n_q]. The batch, or batch and heads, may be left out in all of them. H_q is a multiple of H_kv; query head h reads key/value head
    h // (H_q // H_kv). Every extent but d may be 0. One dtype, float32 or float64, for all arrays; any strides; nothing is copied
    where rows are contiguous. Arrays are NumPy's, or tensors on the CPU that speak DLPack (torch, JAX); results are of q's kind.

    causal         Query i sees only keys of lag >= 0.
    causal_offset  The position of query 0. Required for causal attention and for lag_bias where n_q != n_k; else 0.
    scale          1/sqrt(d) unless given.
    lag_bias       [H_q or 1, L]: a bias in the lag, for the lags lag_min .. lag_min + L - 1; they must cover every visible pair.
    key_ranges     [batch or 1, 2], int64 or a list of pairs: only keys at positions start <= j + key_offset < end are seen.
    key_offset     The position of key 0: set it when k and v are a slice of a longer sequence, and join the slices with `merge`.
    tol            The error |o~ - o|_F / |o|_F that each head's output may have, in [0, 1]: a head gets the cheapest combination of a
                   window of keys, heavy columns, chosen groups of keys, a far field, or screening of all pairs, that is estimated to
                   err by no more, and exact attention where nothing cheaper does. The estimate is no bound; the report has it for
                   each head, with an interval. 0 is exact, and short sequences are, where nothing is cheaper.
    budget         Instead of tol: the share of the visible pairs, up to 1, or the keys per query, above 1, whose weights may be
                   computed. Each head gets what is estimated to err least.
    estimate       For tol and budget, what the estimate rests on: "screened" looks at every pair in low precision, so that no key that
                   a single query needs can hide; "sampled" at sampled queries and at groups of keys. None: the first for sequences
                   short enough. The report says which.
    parts          For tol and budget, what may be used beside the window and exact attention: any of "heavy", "selection",
                   "centroids", "conv", "screening". None: all.
    strict_causal  For tol and budget, with causal: what a query gets depends on earlier tokens only, so that appending tokens changes
                   no bit of earlier outputs. For "conv_basis": outputs do not change by a bit when later values do.
    seed           Of what is sampled.
    method         "exact" takes time O(H_q n_q n_k (d + d_v)) and memory O(n). It is the default unless tol or budget is given, which
                   ask for "auto": `plan` and `Plan.apply` in one. "conv_basis" finds a conv basis of scale q k' as
                   `conv_basis_recover` does where window and delta are given, as `conv_basis_fit` where only bases is; adds lag_bias
                   to its kernels; and applies it as `ConvBasis.apply` does. It takes time O(H_q n (d + d_v)) times logarithms and
                   bases; it needs causal and n_q = n_k, and no key_ranges.
    bases, window, delta, eps
                   For "conv_basis": how its basis is found; see those two functions.
    check_finite   Look for NaN and infinities first. Without it they reach the output, and rows beside those that see them.
    out            An array of o's shape and dtype to fill and return, of any kind and strides; with return_lse also a tuple of two, for o
                   and lse, with None for one to be new. They must not overlap an input or each other.
    return_lse     Return lse too.
    return_report  Return a `Report` too: method, pairs, seconds, threads, SIMD target, memory; and what was found and done, with tol
                   and budget for each head.
    threads        How many threads to use, at least 1; None for the default: SUBQUAD_NUM_THREADS in the environment, else the
                   processors that this process may run on. The result is the same to the last bit for any number.

    Returns o, or a tuple of o and what else was asked for. The GIL is released meanwhile; Ctrl-C ends the call.

    Raises `SubquadError`: ERR_SHAPE, ERR_STRIDE, ERR_ALIAS, ERR_SIZE, ERR_VALUE, ERR_CONFLICT and ERR_NONFINITE (naming the first
    bad element), which are also `ValueError`; ERR_DTYPE and ERR_TYPE, also `TypeError`; ERR_MEMORY, also `MemoryError`; ERR_OVERFLOW
    (a logit), also `OverflowError`; ERR_UNSUPPORTED, also `NotImplementedError`; ERR_THREADS. A call that is refused for its arguments
    leaves `out` alone; after one that fails later it is unspecified.

    Sources: attention, Vaswani et al., arXiv 1706.03762; one-pass softmax, Milakov and Gimelshein, arXiv 1805.02867; grouped heads,
    Ainslie et al., arXiv 2305.13245; a bias linear in the lag, Press et al., arXiv 2108.12409; conv bases, arXiv 2405.05219; tol and
    budget, docs/adaptive.md.

    >>> import subquad
    >>> q, k, v = (subquad.fill_uniform((3, 4), seed=1, stream=s, low=-1, high=1, dtype="float32") for s in range(3))
    >>> o, lse = subquad.attention(q, k, v, causal=True, return_lse=True)
    >>> bool((o[0] == v[0]).all())  # the first query sees the first key only
    True
    >>> o.shape, lse.shape
    ((3, 4), (3,))
    >>> o_too, report = subquad.attention(q, k, v, causal=True, tol=0.1, return_report=True)
    >>> report["method"], report["parts"], bool((o_too == o).all())  # three keys: nothing is cheaper
    ('auto', 'exact', True)
    """
    ranges = as_key_ranges(key_ranges)
    views = [
        view("q", q, 2),
        view("k", k, 2),
        view("v", v, 2),
        lag_bias_view(lag_bias),
        optional_view("key_ranges", ranges),
    ]
    shapes = {"o": (*q.shape[:-1], v.shape[-1]), "lse": q.shape[:-1] if return_lse else None}
    filled = Outputs(out, q.dtype, shapes)
    chosen = options(
        causal=causal,
        causal_offset=causal_offset,
        scale=scale,
        lag_min=lag_min,
        key_offset=key_offset,
        method=chosen_method(method, tol, budget),
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
        raw.subquad_attention(context, settings, *views, *filled.views, report)
        return filled.results(report if return_report else None)
