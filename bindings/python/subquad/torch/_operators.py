"""The custom operators, through which autograd and torch.compile see the library: opaque functions of tensors, with shapes and gradients.

subquad::attention            (q, k, v, visible; settings) -> (o, lse)
subquad::attention_backward   (d_o, q, k, v, visible, o, lse; settings) -> (dq, dk, dv)

q, k, v: [batch, heads, n, d], which the caller has checked; visible: the pattern of `_masks`, or None. The settings are keyword
arguments of `subquad.attention`, of the same defaults. Nothing but tensors is kept for the backward pass: with tol or budget the plan is
made a second time there, from the same seed and therefore the same, which costs less than a tenth of exact attention.
"""

from __future__ import annotations  # signatures show short names

from collections.abc import Callable
from typing import Any, NoReturn

import torch

from .. import attention, attention_backward
from .._constants import Status
from .._errors import error, naming
from .._options import options
from ._masks import ranges_and_offset
from ._tensors import ndarray, tensor

_SETTINGS = (
    "bool causal=False, SymInt? causal_offset=None, float? scale=None, str? method=None, str? backward=None, "
    "int? bases=None, int? window=None, float? delta=None, float eps=0.0, bool strict_causal=False, int seed=0, float? tol=None, "
    "float? budget=None, str? estimate=None, str[]? parts=None, bool check_finite=True"
)

#: Gradients in q, k, v; none in visible.
_Gradients = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, None]


def _arguments(visible: torch.Tensor | None, keys: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a call of the library; the number of threads is read when it is made, not when it is compiled."""
    result = settings | {"threads": torch.get_num_threads()}
    if visible is not None:
        ranges, offset = ranges_and_offset(ndarray(visible), keys)
        result |= {"key_ranges": ranges, "causal": offset is not None, "causal_offset": offset}
    return result


def _attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    visible: torch.Tensor | None,
    *,
    backward: str | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    if backward is not None:  # that a backward pass would read: wrong ones are errors before it
        options(backward=backward).close()
        if settings.get("method") != "conv_basis":
            raise error(Status.ERR_CONFLICT, f"backward is {backward!r}, but method is not conv_basis")
    with naming("q", "query"), naming("k", "key"), naming("v", "value"):
        o, lse = attention(
            *map(ndarray, (q, k, v)), return_lse=True, return_report=False, **_arguments(visible, k.shape[2], settings)
        )
    return tensor(o), tensor(lse)


def _attention_shapes(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visible: torch.Tensor | None, **settings: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    return q.new_empty((*q.shape[:-1], v.shape[-1])), q.new_empty(q.shape[:-1])


def _keep(
    ctx: Any,
    inputs: tuple[torch.Tensor | None, ...],
    keyword_only_inputs: dict[str, Any],
    output: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """What the backward pass needs."""
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs, *output)
    ctx.settings = keyword_only_inputs


def _gradients(ctx: Any, d_o: torch.Tensor, d_lse: torch.Tensor | None) -> _Gradients:
    dq, dk, dv = torch.ops.subquad.attention_backward(d_o, *ctx.saved_tensors, **ctx.settings)
    return dq, dk, dv, None


def _attention_backward(
    d_o: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    visible: torch.Tensor | None,
    o: torch.Tensor,
    lse: torch.Tensor,
    **settings: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    arrays = map(ndarray, (q, k, v, o, lse, d_o))
    with naming("d_o", "the gradient of the output"), naming("q", "query"), naming("k", "key"), naming("v", "value"):
        gradients = attention_backward(*arrays, return_report=False, **_arguments(visible, k.shape[2], settings))
    return tensor(gradients.dq), tensor(gradients.dk), tensor(gradients.dv)


def _backward_shapes(
    d_o: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *others: torch.Tensor | None, **settings: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return q.new_empty(q.shape), q.new_empty(k.shape), q.new_empty(v.shape)


def _no_second_derivative(ctx: Any, *gradients: torch.Tensor) -> NoReturn:
    raise error(Status.ERR_UNSUPPORTED, "subquad.torch has no second derivatives: the gradient of attention was differentiated")


def _no_vmap(*arguments: Any, **settings: Any) -> NoReturn:
    raise error(Status.ERR_UNSUPPORTED, "subquad.torch has no rule for torch.vmap: give the batch as a leading dimension")


def _register(name: str, schema: str, function: Callable[..., Any], shapes: Callable[..., Any]) -> Any:
    operator = torch.library.custom_op(name, function, mutates_args=(), device_types="cpu", schema=schema)
    operator.register_fake(shapes)
    operator.register_vmap(_no_vmap)
    return operator


_register(
    "subquad::attention",
    f"(Tensor q, Tensor k, Tensor v, Tensor? visible, *, {_SETTINGS}) -> (Tensor, Tensor)",
    _attention,
    _attention_shapes,
).register_autograd(_gradients, setup_context=_keep)

_register(
    "subquad::attention_backward",
    f"(Tensor d_o, Tensor q, Tensor k, Tensor v, Tensor? visible, Tensor o, Tensor lse, *, {_SETTINGS}) -> (Tensor, Tensor, Tensor)",
    _attention_backward,
    _backward_shapes,
).register_autograd(_no_second_derivative)
