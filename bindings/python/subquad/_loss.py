"""The training problem of conv-basis attention."""

from __future__ import annotations  # signatures show short names

from typing import Any, Literal, TypedDict, Unpack, overload

from ._arrays import view
from ._context import borrow
from ._library import raw
from ._options import options
from ._outputs import Outputs
from ._report import Report, new_report, read_report
from ._tensors import Kind, Tensor, takes_tensors


class LossSettings(TypedDict, total=False):
    """Types of the keyword arguments of `attention_loss`."""

    scale: float | None
    method: str | None
    backward: str | None
    bases: int | None
    window: int | None
    delta: float | None
    eps: float
    seed: int
    check_finite: bool
    out: Tensor | None
    threads: int | None


@overload
def attention_loss(
    a1: Kind,
    a2: Tensor,
    a3: Tensor,
    x: Tensor,
    y: Tensor,
    e: Tensor,
    *,
    return_report: Literal[False] = False,
    **settings: Unpack[LossSettings],
) -> tuple[float, Kind]: ...
@overload
def attention_loss(
    a1: Kind,
    a2: Tensor,
    a3: Tensor,
    x: Tensor,
    y: Tensor,
    e: Tensor,
    *,
    return_report: Literal[True],
    **settings: Unpack[LossSettings],
) -> tuple[float, Kind, Report]: ...
@takes_tensors
def attention_loss(
    a1: Tensor,
    a2: Tensor,
    a3: Tensor,
    x: Tensor,
    y: Tensor,
    e: Tensor,
    *,
    scale: float | None = None,
    method: str | None = None,
    backward: str | None = None,
    bases: int | None = None,
    window: int | None = None,
    delta: float | None = None,
    eps: float = 0.0,
    seed: int = 0,
    check_finite: bool = True,
    out: Tensor | None = None,
    return_report: bool = False,
    threads: int | None = None,
) -> Any:
    """Loss of one layer of causal attention, and its gradient in the layer's weights x.

        loss = 0.5 |D(x)^-1 (M * exp(scale a1 x a2')) a3 y - e|_F^2,   grad_x = d loss / d x,

    M the lower triangle of ones and D(x) the diagonal matrix of the row sums.

    a1, a2, a3: [n, d]   x: [d, d]   y: [d, d_v]   e: [n, d_v], any strides, one dtype, float32 or float64. grad_x is of a1's kind.

    scale     1 unless given.
    method    "exact", also the default, or "conv_basis": logits by `conv_basis_recover` with bases, window, delta and eps; by
              `conv_basis_fit` with bases and seed alone.
    backward  For "conv_basis": "conv_basis", "exact", or None, as in `ConvBasis.backward`.

    out is an array of x's shape and dtype to fill with grad_x and return; check_finite, return_report and threads are as in `attention`.
    Returns (loss, grad_x), or with return_report (loss, grad_x, report).
    The same bits for any number of threads; the GIL is released meanwhile, and Ctrl-C ends the call.

    Raises `SubquadError` as `attention` and `conv_basis_recover` do.

    Source: the training problem of [CONV] arXiv 2405.05219.

    >>> import numpy as np
    >>> import subquad
    >>> a1, a2, a3, e = (subquad.fill_uniform((9, 2), seed=6, stream=s, low=-1, high=1, dtype="float64") for s in range(4))
    >>> loss, grad_x = subquad.attention_loss(a1, a2, a3, np.zeros((2, 2)), np.eye(2), e)
    >>> means = np.cumsum(a3, axis=0) / np.arange(1, 10)[:, None]  # logits 0: running means
    >>> bool(abs(loss - 0.5 * ((means - e) ** 2).sum()) <= 50 * 2**-52 * loss), grad_x.shape
    (True, (2, 2))
    """
    arrays = (("a1", a1), ("a2", a2), ("a3", a3), ("x", x), ("y", y), ("e", e))
    views = [view(name, array) for name, array in arrays]
    filled = Outputs(out, x.dtype, {"grad_x": x.shape})
    chosen = options(
        scale=scale,
        method=method,
        backward=backward,
        bases=bases,
        window=window,
        delta=delta,
        eps=eps,
        seed=seed,
        check_finite=check_finite,
    )
    with chosen as settings, new_report() as report, borrow(threads) as context, filled:
        loss = raw.subquad_attention_loss(context, settings, *views, *filled.views, report)
        grad_x = filled.results(None)
        return (loss, grad_x, read_report(report)) if return_report else (loss, grad_x)
