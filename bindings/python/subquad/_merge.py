"""Joining attention over disjoint sets of keys."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable
from typing import Any

from ._arrays import view
from ._constants import Status
from ._context import borrow
from ._errors import error
from ._library import raw
from ._options import options
from ._outputs import Out, Outputs
from ._tensors import Kind, Tensor, takes_tensors


def merge(
    o_parts: Iterable[Kind],
    lse_parts: Iterable[Tensor],
    *,
    out: Out = None,
    check_finite: bool = True,
    threads: int | None = None,
) -> tuple[Kind, Kind]:
    """Join the results of `attention` over disjoint sets of keys, each computed by its own call with its key_offset.

        lse[i] = log sum_p exp(lse_p[i]),      o[i,:] = sum_p exp(lse_p[i] - lse[i]) o_p[i,:],

    with o = 0 and lse = -inf where every part has lse = -inf (natural logarithm).

    Shapes: each of o_parts [batch, heads, n_q, d_v], each of lse_parts [batch, heads, n_q], all alike and of one dtype, float32 or
    float64; leading dimensions may be left out. There is at least one part. `out` is an array to fill with o, which may be one of
    o_parts; or a tuple of two, the other for lse. `check_finite` and `threads` are as in `attention`.

    Returns (o, lse), of the kind of o_parts[0].

    Raises `SubquadError`: ERR_VALUE without parts, ERR_CONFLICT where there are not as many lse_parts as o_parts, ERR_SHAPE, ERR_DTYPE,
    ERR_STRIDE, ERR_ALIAS, ERR_SIZE, ERR_NONFINITE (o_parts; NaN or +inf in lse_parts), ERR_MEMORY.

    Source: Milakov and Gimelshein, arXiv 1805.02867, on computing the sums of one softmax in parts.

    >>> import subquad
    >>> q, k, v = (subquad.fill_uniform((6, 4), seed=3, stream=s, low=-1, high=1, dtype="float64") for s in range(3))
    >>> slices = [slice(0, 4), slice(4, 6)]
    >>> parts = [subquad.attention(q, k[s], v[s], key_offset=s.start, causal=True, causal_offset=0, return_lse=True) for s in slices]
    >>> o, lse = subquad.merge(*zip(*parts))
    >>> whole = subquad.attention(q, k, v, causal=True)
    >>> bool(abs(o - whole).max() <= (6 + 4) * 2**-52)  # sums of 6 and of 4 products of numbers up to 1, in double precision
    True
    """
    lists = [_listed(name, parts) for name, parts in (("o_parts", o_parts), ("lse_parts", lse_parts))]
    results: tuple[Kind, Kind] = _merged(*lists, out=out, check_finite=check_finite, threads=threads)
    return results


def _listed(name: str, parts: Iterable[Any]) -> list[Any]:
    try:
        return list(parts)
    except TypeError:
        raise error(Status.ERR_TYPE, f"{name} is a {type(parts).__name__}, not a sequence of arrays") from None


@takes_tensors
def _merged(o_parts: list[Any], lse_parts: list[Any], *, out: Out, check_finite: bool, threads: int | None) -> Any:
    o_views, lse_views = (
        [view(f"{name}[{p}]", part) for p, part in enumerate(parts)]
        for name, parts in (("o_parts", o_parts), ("lse_parts", lse_parts))
    )
    if len(o_views) != len(lse_views):
        raise error(Status.ERR_CONFLICT, f"lse_parts has {len(lse_views)} parts, o_parts has {len(o_views)}")
    if not o_views:
        raise error(Status.ERR_VALUE, "count is 0: o_parts holds no part")
    filled = Outputs(out, o_parts[0].dtype, {"o": o_parts[0].shape, "lse": lse_parts[0].shape})
    with options(check_finite=check_finite) as settings, borrow(threads) as context, filled:
        raw.subquad_attention_merge(context, settings, list(zip(o_views, lse_views, strict=True)), *filled.views)
        return filled.results(None)
