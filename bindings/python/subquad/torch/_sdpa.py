"""SDPA's function."""

from __future__ import annotations  # signatures show short names

from collections.abc import Iterable, Sequence
from typing import TypedDict, Unpack

import torch
from torch.autograd import forward_ad
from torch.nn.attention.bias import CausalBias, CausalVariant

from .._constants import Status
from .._errors import error
from .._scalars import flag, unlisted
from .._settings import chosen_method
from . import _operators  # noqa: F401  (registers them)
from ._masks import read_mask
from ._tensors import Heads, as_heads, check_inputs, check_tensor


class TensorSettings(TypedDict, total=False):
    """Types of the keyword arguments that SDPA does not have; `scaled_dot_product_attention` documents them."""

    tol: float | None
    budget: float | None
    estimate: str | None
    parts: Iterable[str] | None
    strict_causal: bool
    seed: int
    method: str | None
    backward: str | None
    bases: int | None
    window: int | None
    delta: float | None
    eps: float
    check_finite: bool


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    key_ranges: torch.Tensor | Sequence[tuple[int, int]] | None = None,
    causal_offset: int = 0,
    tol: float | None = None,
    budget: float | None = None,
    estimate: str | None = None,
    parts: Iterable[str] | None = None,
    strict_causal: bool = False,
    seed: int = 0,
    method: str | None = None,
    backward: str | None = None,
    bases: int | None = None,
    window: int | None = None,
    delta: float | None = None,
    eps: float = 0.0,
    check_finite: bool = True,
) -> torch.Tensor:
    """`torch.nn.functional.scaled_dot_product_attention` by `subquad.attention`: exact, or to a tolerance; with gradients.

        s[i,j] = scale <query[i,:], key[j,:]>,      o[i,:] = sum_j exp(s[i,j]) value[j,:] / sum_j exp(s[i,j]),

    over the keys j that query i sees; a query that sees none has o = 0, as in SDPA.

    Shapes: query [.., H_q, n_q, d], key [.., H_kv, n_k, d], value [.., H_kv, n_k, d_v], o [.., H_q, n_q, d_v]. Leading dimensions are
    broadcast as SDPA does it. float32 or float64 on the CPU, one dtype for all; any strides, nothing is copied where rows are contiguous.

    attn_mask      None; boolean, True where a query sees a key, broadcast to [.., H_q, n_q, n_k]; or a bias of `torch.nn.attention.bias`,
                   `causal_upper_left` or `causal_lower_right`. A boolean mask is read in full, and served if it is a range of keys for each
                   element of the batch, causal with one offset or not, the same for all heads. Any other is refused; so are masks that are
                   added to logits.
    dropout_p      0.
    is_causal      Query i sees the keys 0 to i, counted from the first of both, also where n_q != n_k: SDPA's alignment.
    scale          1/sqrt(d) unless given.
    enable_gqa     Heads may be grouped: H_q is a multiple of H_kv, and query head h reads key/value head h // (H_q // H_kv). Without it,
                   numbers of heads that do not broadcast are an error.
    key_ranges     Beyond SDPA: [batch or 1, 2], int64 or a list of pairs: only the keys start <= j < end are seen. A mask's saving.
    causal_offset  Beyond SDPA, with is_causal: query i sees the keys up to i + causal_offset. n_k - n_q aligns the last of both.

    tol, budget, estimate, parts, strict_causal, seed, method, bases, window, delta, eps and check_finite are those of `subquad.attention`;
    backward, for method "conv_basis", is that of `subquad.attention_backward`. tol=None is exact attention.

    Gradients with respect to query, key and value are those of `subquad.attention_backward`: of exact attention; with tol or budget of
    what the plan computes (it is made again for them); with "conv_basis" of the basis. There are no second derivatives, no forward mode
    and no `torch.vmap`. The function is a custom operator, subquad::attention, to `torch.compile`, which does not look inside; autocast
    does not change its inputs. It uses `torch.get_num_threads()` threads, and gives the same bits for any number.

    Raises `SubquadError` as `subquad.attention` does: ERR_UNSUPPORTED for what SDPA has and this has not, ERR_DTYPE, ERR_SHAPE,
    ERR_CONFLICT (attn_mask with is_causal), ERR_STRIDE (five dimensions or more that cannot be seen as four), ERR_NONFINITE.

    Source: docs/torch.md.

    >>> import torch
    >>> from subquad.torch import scaled_dot_product_attention
    >>> query, key, value = torch.randn(3, 2, 4, 100, 16, requires_grad=True)  # batch, heads, tokens, width
    >>> o = scaled_dot_product_attention(query, key, value, is_causal=True, tol=0.1)
    >>> o.shape, o.requires_grad
    (torch.Size([2, 4, 100, 16]), True)
    """
    if dropout_p != 0:
        raise error(Status.ERR_UNSUPPORTED, f"dropout_p is {dropout_p!r}: subquad has no dropout")
    heads = heads_of(query, key, value, enable_gqa=flag("enable_gqa", enable_gqa))
    if not isinstance(causal_offset, int | torch.SymInt) or isinstance(causal_offset, bool):
        raise error(Status.ERR_TYPE, f"causal_offset is {causal_offset!r}, not an integer")
    causal = flag("is_causal", is_causal)
    if causal_offset != 0 and not causal:
        raise error(Status.ERR_CONFLICT, f"causal_offset is {causal_offset!r}, but is_causal is False")
    visible, offset = None, causal_offset if causal else None
    if attn_mask is not None:
        if causal or key_ranges is not None:
            raise error(Status.ERR_CONFLICT, "attn_mask is given together with " + ("is_causal" if causal else "key_ranges"))
        visible, offset = as_pattern("attn_mask", attn_mask, heads, with_heads=enable_gqa or len(heads.leading) > 1)
    elif key_ranges is not None:
        visible = _of_ranges(key_ranges, offset, heads)
    return attend(
        heads,
        visible,
        offset,
        scale=scale,
        tol=tol,
        budget=budget,
        estimate=estimate,
        parts=parts,
        strict_causal=strict_causal,
        seed=seed,
        method=method,
        backward=backward,
        bases=bases,
        window=window,
        delta=delta,
        eps=eps,
        check_finite=check_finite,
    )


def heads_of(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, enable_gqa: bool) -> Heads:
    """The tensors as the operator takes them, checked."""
    check_inputs(query, key, value)
    if not torch.compiler.is_compiling():
        _refuse_transforms()
    return as_heads(query, key, value, enable_gqa)


def attend(
    heads: Heads, visible: torch.Tensor | None, offset: int | None, *, scale: float | None, **settings: Unpack[TensorSettings]
) -> torch.Tensor:
    """The operator's output, over the keys of a pattern; or, where that is None, causal with an offset, or with None over all."""
    given = dict(settings)
    given["method"] = chosen_method(settings.get("method"), settings.get("tol"), settings.get("budget"))
    parts = settings.get("parts")
    if parts is not None:
        if isinstance(parts, str) or not isinstance(parts, Iterable):
            raise unlisted("parts", parts, "an iterable of texts")
        given["parts"] = list(parts)
    causal = visible is None and offset is not None
    try:
        o: torch.Tensor = torch.ops.subquad.attention(
            heads.q, heads.k, heads.v, visible, causal=causal, causal_offset=offset if causal else None, scale=scale, **given
        )[0]
    except RuntimeError as failure:
        if "Expected a value of type" not in str(failure):
            raise
        raise error(Status.ERR_TYPE, " ".join(str(failure).splitlines()[:3])) from None
    return o if len(heads.leading) == 2 else o.view(*heads.leading, *o.shape[-2:])


def as_pattern(name: str, attn_mask: torch.Tensor, heads: Heads, *, with_heads: bool) -> tuple[torch.Tensor | None, int | None]:
    """The pattern of SDPA's mask; or None and the causal offset, where a bias says it. `name` is what errors call the mask."""
    check_tensor(name, attn_mask)
    rows, keys = heads.q.shape[2], heads.k.shape[2]
    if isinstance(attn_mask, CausalBias):
        if (attn_mask.seq_len_q, attn_mask.seq_len_kv) != (rows, keys):
            raise error(
                Status.ERR_SHAPE,
                f"{name} is a bias for {attn_mask.seq_len_q} queries and {attn_mask.seq_len_kv} keys, not for {rows} and {keys}",
            )
        return None, 0 if attn_mask.variant == CausalVariant.UPPER_LEFT else keys - rows
    if attn_mask.dtype != torch.bool:
        raise error(
            Status.ERR_UNSUPPORTED,
            f"{name} is {attn_mask.dtype}, not torch.bool: subquad serves no mask that is added to logits",
        )
    return read_mask(attn_mask, heads.leading, with_heads, rows, keys), None


def _of_ranges(key_ranges: torch.Tensor | Sequence[tuple[int, int]], offset: int | None, heads: Heads) -> torch.Tensor:
    """The pattern of key_ranges and a causal offset."""
    if not isinstance(key_ranges, torch.Tensor):
        try:
            key_ranges = torch.as_tensor(key_ranges)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise error(
                Status.ERR_VALUE, f"key_ranges is {key_ranges!r}, not a sequence of (start, end) pairs of integers"
            ) from None
    check_tensor("key_ranges", key_ranges)
    if key_ranges.dtype != torch.int64 or key_ranges.dim() != 2 or key_ranges.shape[1] != 2:
        raise error(
            Status.ERR_SHAPE if key_ranges.dtype == torch.int64 else Status.ERR_DTYPE,
            f"key_ranges is {key_ranges.dtype} of shape {tuple(key_ranges.shape)}, not torch.int64 of shape [batch or 1, 2]",
        )
    if key_ranges.shape[0] not in (1, heads.q.shape[0]):
        raise error(Status.ERR_SHAPE, f"key_ranges has shape [{key_ranges.shape[0]}, 2], not [1, 2] or [{heads.q.shape[0]}, 2]")
    return torch.nn.functional.pad(key_ranges, (0, 1), value=heads.k.shape[2] if offset is None else offset)


def _refuse_transforms() -> None:
    """Forward mode would drop tangents without a word, and the other transforms explain themselves badly."""
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        raise error(
            Status.ERR_UNSUPPORTED,
            "subquad.torch has no forward mode, and takes no part in the transforms of torch.func: use backward() or torch.autograd.grad",
        )
