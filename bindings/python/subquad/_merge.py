"""Joining attention over disjoint sets of keys."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable

from ._arrays import FloatArray, View, empty, view, writable_view
from ._constants import Status
from ._context import borrow
from ._errors import error, naming
from ._library import raw
from ._options import options


def merge(
    o_parts: Iterable[FloatArray],
    lse_parts: Iterable[FloatArray],
    *,
    out: FloatArray | None = None,
    check_finite: bool = True,
    threads: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Join the results of `attention` over disjoint sets of keys, each computed by its own call with its key_offset.

        lse[i] = log sum_p exp(lse_p[i]),      o[i,:] = sum_p exp(lse_p[i] - lse[i]) o_p[i,:],

    with o = 0 and lse = -inf where every part has lse = -inf (natural logarithm).

    Shapes: each of o_parts [batch, heads, n_q, d_v], each of lse_parts [batch, heads, n_q], all alike and of one dtype, float32 or
    float64; leading dimensions may be left out. There is at least one part. `out` is an array to fill with o; it may be one of
    o_parts. `check_finite` and `threads` are as in `attention`.

    Returns (o, lse).

    Raises `SubquadError`: ERR_VALUE without parts, ERR_CONFLICT where there are not as many lse_parts as o_parts, ERR_SHAPE, ERR_DTYPE,
    ERR_STRIDE, ERR_ALIAS, ERR_SIZE, ERR_NONFINITE (o_parts; NaN or +inf in lse_parts), ERR_MEMORY.

    >>> import subquad
    >>> q, k, v = (subquad.fill_uniform((6, 4), seed=3, stream=s, low=-1, high=1, dtype="float64") for s in range(3))
    >>> slices = [slice(0, 4), slice(4, 6)]
    >>> parts = [subquad.attention(q, k[s], v[s], key_offset=s.start, causal=True, causal_offset=0, return_lse=True) for s in slices]
    >>> o, lse = subquad.merge(*zip(*parts))
    >>> whole = subquad.attention(q, k, v, causal=True)
    >>> bool(abs(o - whole).max() <= (6 + 4) * 2**-52)  # sums of 6 and of 4 products of numbers up to 1, in double precision
    True
    """
    o_parts, o_views = _parts("o_parts", o_parts)
    lse_parts, lse_views = _parts("lse_parts", lse_parts)
    if len(o_views) != len(lse_views):
        raise error(Status.ERR_CONFLICT, f"lse_parts has {len(lse_views)} parts, o_parts has {len(o_views)}")
    if not o_views:
        raise error(Status.ERR_VALUE, "count is 0: o_parts holds no part")
    o = empty("o", o_parts[0].shape, o_parts[0].dtype) if out is None else out
    lse = empty("lse", lse_parts[0].shape, lse_parts[0].dtype)
    pairs = list(zip(o_views, lse_views, strict=True))
    with options(check_finite=check_finite) as settings, borrow(threads) as context, naming("o", "o" if out is None else "out"):
        raw.subquad_attention_merge(context, settings, pairs, writable_view("out", o), view("lse", lse))
    return o, lse


def _parts(name: str, parts: Iterable[FloatArray]) -> tuple[list[FloatArray], list[View]]:
    """The parts, kept alive by the list, and their views."""
    try:
        arrays = list(parts)
    except TypeError:
        raise error(Status.ERR_TYPE, f"{name} is a {type(parts).__name__}, not a sequence of arrays") from None
    return arrays, [view(f"{name}[{p}]", array) for p, array in enumerate(arrays)]
