"""The keyword arguments that forward and backward share, and help for those who bring keywords from other libraries."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypedDict, TypeVar

import numpy as np

from ._arrays import View, optional_view
from ._constants import Status
from ._errors import error
from ._tensors import Tensor

P = ParamSpec("P")
R = TypeVar("R")


class Settings(TypedDict, total=False):
    """Types of the shared keyword arguments; `attention` documents them."""

    causal: bool
    causal_offset: int | None
    scale: float | None
    lag_bias: Tensor | None
    lag_min: int
    key_ranges: Tensor | Sequence[tuple[int, int]] | None
    key_offset: int
    method: str | None
    bases: int | None
    window: int | None
    delta: float | None
    eps: float
    strict_causal: bool
    seed: int
    tol: float | None
    budget: float | None
    estimate: str | None
    parts: Iterable[str] | None
    check_finite: bool
    threads: int | None


_DENSE_MASKS = (
    "dense masks and biases are not supported; use causal= and causal_offset= for causal attention, key_ranges= for padding, "
    "and lag_bias= for a bias that depends on the relative position only (ALiBi, T5)"
)

_MASKS = {"mask", "attn_mask", "attention_mask", "bias", "attn_bias"}
_RENAMED = {
    "is_causal": "use causal=",
    "key_padding_mask": "use key_ranges=",
    "softmax_scale": "use scale=",
    "enable_gqa": "leave it out: grouped heads follow from the shapes",
    "dropout_p": "leave it out: there is no dropout",
}


def explain_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Answer the keywords that similar functions of other libraries have with the way to say it here."""

    @functools.wraps(function)
    def explained(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name in _MASKS:
                raise error(Status.ERR_UNSUPPORTED, f"{name}: {_DENSE_MASKS}")
            if name in _RENAMED:
                raise TypeError(f"{function.__name__}() has no keyword argument '{name}': {_RENAMED[name]}")
        return function(*args, **kwargs)

    return explained


def chosen_method(method: str | None, tol: float | None, budget: float | None) -> str | None:
    """Who names no method but gives tol or budget asks for "auto"."""
    return "auto" if method is None and not (tol is None and budget is None) else method


def as_integers(name: str, values: Any, wanted: str) -> Any:
    """A sequence of integers as an array; an array stays what it is, and None too."""
    if values is None or isinstance(values, np.ndarray):
        return values
    try:
        result = np.array(values, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as cause:
        raise error(Status.ERR_VALUE, f"{name} is {values!r}, not {wanted}") from cause
    if result.size and np.asarray(values).dtype.kind not in "iu":  # NumPy would cut off fractions
        raise error(Status.ERR_VALUE, f"{name} is {values!r}, not {wanted}")
    return result


def as_key_ranges(key_ranges: Any) -> Any:
    """key_ranges as an array where it is given."""
    return as_integers("key_ranges", key_ranges, "a sequence of (start, end) pairs of integers")


def lag_bias_view(lag_bias: Any) -> View | None:
    """The view of a bias table, or help for those who give a boolean mask; the library itself recognises other dense masks."""
    if isinstance(lag_bias, np.ndarray) and lag_bias.dtype == np.bool_:
        raise error(Status.ERR_UNSUPPORTED, f"lag_bias is boolean: {_DENSE_MASKS}")
    return optional_view("lag_bias", lag_bias)
