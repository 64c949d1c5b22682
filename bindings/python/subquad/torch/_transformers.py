"""Registration with transformers: an attention function, and the mask function without which models would drop their masks."""

from __future__ import annotations  # signatures show short names

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import torch

from .._constants import Status
from .._errors import error
from .._options import options
from ._sdpa import TensorSettings, as_pattern, attend, heads_of

#: Arguments of transformers' attention functions that change the result in ways that are not served, and what they are.
_REFUSED = {
    "block_indices": "a selection of keys in blocks",
    "cache": "a paged cache",
    "cu_seq_lens_k": "packed sequences",
    "cu_seq_lens_q": "packed sequences",
    "head_mask": "weights of single heads",
    "indices": "a selection of keys",
    "max_length_k": "packed sequences",
    "max_length_q": "packed sequences",
    "output_attentions": "the weights, which are never all there",
    "position_bias": "a bias that is added to logits",
    "s_aux": "sinks, logits without a key",
    "seq_idx": "packed sequences",
    "sinks": "sinks, logits without a key",
    "softcap": "a soft cap on logits",
}
#: Arguments that are meant for others, or that say what the mask says too.
_HARMLESS = {
    "cache_position",
    "deterministic",
    "labels",
    "num_items_in_batch",
    "output_hidden_states",
    "output_router_logits",
    "position_ids",
    "return_dict",
    "use_cache",
}

_registered: set[str] = set()


def register_transformers(name: str = "subquad", **settings: Unpack[TensorSettings]) -> None:
    """Let models of Hugging Face's transformers use `scaled_dot_product_attention` of this module, under this name.

    `model.set_attn_implementation(name)`, or `attn_implementation=name` where the model is made, chooses it. settings are keyword arguments
    of `scaled_dot_product_attention`: tol, budget, estimate, parts, strict_causal, seed, method, backward, bases, window, delta, eps,
    check_finite. Register several names for several settings; a name registered here may be registered again.

    A function for attention and one for masks are registered. The latter turns causality, the cache's offset and padding on the left or
    on the right into one range of keys for each sequence; the result, [batch or 1, 1, 1, 3] integers, goes through the model where a
    mask would. Rows of padding that see no key are 0 in every head; other implementations have something else there, and models ignore it.

    Refused by name when the model runs, with ERR_UNSUPPORTED: sliding windows and chunks shorter than the sequence, soft caps, sinks,
    position biases, head masks, packed sequences and any other mask of the model's own, additive masks, padding between tokens, paged
    caches, output_attentions, dropout; and arguments that this function does not know.

    Raises `ImportError` without transformers, or with one before 5.5; `SubquadError`: ERR_VALUE for a name that
    is another implementation's or a setting out of range, ERR_TYPE; `TypeError` for an unknown setting.

    Source: docs/torch.md, with an example.
    """
    attention_interface, mask_interface, causal, bidirectional = _interfaces()
    if not isinstance(name, str) or not name:
        raise error(Status.ERR_VALUE if name == "" else Status.ERR_TYPE, f"name is {name!r}, not a text")
    if name not in _registered and name in (*attention_interface().valid_keys(), *mask_interface().valid_keys(), "eager"):
        raise error(Status.ERR_VALUE, f"name is {name!r}, which is another implementation's")
    unknown = settings.keys() - TensorSettings.__annotations__.keys()
    if unknown:
        raise TypeError(f"register_transformers() has no keyword argument '{min(unknown)}'")
    options(**settings).close()  # wrong types and values are refused now, not in the middle of a model
    attention_interface.register(name, _attention_function(settings))
    mask_interface.register(name, _mask_function(causal, bidirectional))
    _registered.add(name)


def _interfaces() -> tuple[Any, Any, Callable[..., Any], Callable[..., Any]]:
    """The two registries, and the functions of the two masks that models ask for unless they have one of their own."""
    try:
        from transformers import AttentionInterface
        from transformers.masking_utils import (
            AttentionMaskInterface,
            bidirectional_mask_function,
            causal_mask_function,
            sdpa_mask,
        )
    except ImportError as cause:
        raise ImportError("register_transformers needs transformers 5.5 or later: pip install 'subquad[transformers]'") from cause
    if "q_length" not in inspect.signature(sdpa_mask).parameters:
        raise ImportError("register_transformers needs transformers 5.5 or later: this one asks for masks in another way")
    return AttentionInterface, AttentionMaskInterface, causal_mask_function, bidirectional_mask_function


def _refuse(arguments: Mapping[str, Any], keys: int) -> None:
    """Arguments of the model that would change the result; those that are None or False ask for nothing."""
    for name, value in arguments.items():
        if value is None or value is False or name in _HARMLESS:
            continue
        if name == "sliding_window":
            if keys > value:
                raise error(
                    Status.ERR_UNSUPPORTED,
                    f"sliding_window is {value}, fewer than the {keys} keys; subquad serves no such window",
                )
            continue
        what = _REFUSED.get(name, "an argument that subquad does not know")
        raise error(Status.ERR_UNSUPPORTED, f"{name}: {what}; subquad does not serve it, and nothing is ignored")


def _attention_function(settings: TensorSettings) -> Callable[..., tuple[torch.Tensor, None]]:
    """Attention as transformers calls it: output [batch, n_q, heads, d_v], and no weights."""

    def subquad_attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        is_causal: bool | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        _refuse(others, key.shape[2])
        if dropout != 0:
            raise error(Status.ERR_UNSUPPORTED, f"dropout is {dropout!r}: subquad has no dropout; set attention_dropout to 0")
        heads = heads_of(query, key, value, enable_gqa=True)
        visible, offset = None, None
        if attention_mask is None:
            offset = _offset_without_mask(query, key, getattr(module, "is_causal", True) if is_causal is None else is_causal)
        elif _is_pattern(attention_mask):
            visible = attention_mask[:, 0, 0]
        else:
            visible, offset = as_pattern("attention_mask", attention_mask, heads, with_heads=True)
        o = attend(heads, visible, offset, scale=scaling, **settings)
        return o.transpose(1, 2).contiguous(), None

    return subquad_attention


def _is_pattern(attention_mask: torch.Tensor) -> bool:
    """Whether it comes from our mask function. No other mask is of integers."""
    return attention_mask.dtype == torch.int64 and attention_mask.dim() == 4 and tuple(attention_mask.shape[1:]) == (1, 1, 3)


def _offset_without_mask(query: torch.Tensor, key: torch.Tensor, is_causal: bool) -> int | None:
    """Causality of a model that makes no mask: one query comes after all keys, as many as keys are in step with them."""
    rows, keys = query.shape[2], key.shape[2]
    if not is_causal or rows == 1:
        return None
    if rows != keys:
        raise error(
            Status.ERR_UNSUPPORTED, f"attention_mask is None for {rows} queries and {keys} keys: what do causal queries see?"
        )
    return 0


def _mask_function(causal: Callable[..., Any], bidirectional: Callable[..., Any]) -> Callable[..., torch.Tensor]:
    """Masks as transformers asks for them; the result is a pattern of `_masks` in four dimensions, which models pass on as it is."""

    def subquad_mask(
        batch_size: int,
        q_length: int,
        kv_length: int,
        q_offset: int | torch.Tensor = 0,
        kv_offset: int = 0,
        mask_function: Callable[..., Any] = causal,
        attention_mask: torch.Tensor | None = None,
        local_size: int | None = None,
        allow_is_causal_skip: bool = True,
        allow_is_bidirectional_skip: bool = False,
        **others: Any,
    ) -> torch.Tensor:
        # A step of a cache of fixed size: models forbid to skip there, and add nothing to the window and causality.
        step = q_length == 1 and not others.get("use_vmap") and mask_function.__qualname__.startswith("and_masks.")
        if mask_function is causal or mask_function is bidirectional:
            in_order = mask_function is causal
        elif (
            local_size is not None
            and kv_offset + kv_length <= local_size
            and (allow_is_causal_skip or allow_is_bidirectional_skip or step)
        ):
            # A window or a chunk that holds everything; models add no other mask where they allow to skip.
            in_order = allow_is_causal_skip or not allow_is_bidirectional_skip
        elif local_size is not None and kv_offset + kv_length > local_size:
            raise error(
                Status.ERR_UNSUPPORTED,
                f"sliding_window or attention_chunk_size is {local_size}, fewer than the {kv_offset + kv_length} positions; subquad serves "
                "neither",
            )
        else:
            raise error(
                Status.ERR_UNSUPPORTED,
                f"mask_function is {getattr(mask_function, '__qualname__', mask_function)}, a mask of the model's own or of packed "
                "sequences; subquad serves causal and full attention with padding",
            )
        if attention_mask is None:
            ranges = torch.tensor([[0, kv_length]])
        else:
            ranges = torch.ops.subquad.read_padding(attention_mask.to(torch.bool), kv_offset, kv_length)
        offset = torch.as_tensor(q_offset - kv_offset if in_order else kv_length).reshape(1, 1)
        return torch.cat([ranges, offset.expand(ranges.shape[0], 1)], dim=1)[:, None, None]

    return subquad_mask
