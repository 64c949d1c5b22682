"""Masks that the library serves, found in tensors: a range of keys for each element of the batch, and one causal offset for all.

The pattern of a mask is an int64 tensor [batch or 1, 3] of rows (start, end, offset): query i sees the keys start <= j < end with
j <= i + offset. An offset of n_k hides nothing: not causal. What is found is the mask, bit for bit, or an error.
"""

from __future__ import annotations  # signatures show short names

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .._constants import Status
from .._errors import error
from ._tensors import ndarray, tensor

_BLOCK = 2**22  # pairs that are compared at a time, so that memory stays O(n)

_Integers = npt.NDArray[np.int64]


def ranges_and_offset(pattern: _Integers, keys: int) -> tuple[_Integers | None, int | None]:
    """key_ranges, or None where they hide nothing, and causal_offset, or None where it hides nothing."""
    starts, ends, offsets = pattern.T
    if len(pattern) and (offsets != offsets[0]).any():
        raise error(
            Status.ERR_UNSUPPORTED, f"elements of the batch have different causal offsets, {sorted(set(offsets.tolist()))}"
        )
    offset = int(offsets[0]) if len(pattern) else keys
    everything = not len(pattern) or bool(((starts <= 0) & (ends >= keys)).all())
    return None if everything else np.stack([starts, ends], axis=1), None if offset >= keys else offset


def _expected(start: int, end: int, offset: int, first: int, rows: int, keys: int) -> npt.NDArray[np.bool_]:
    """Rows first .. first + rows of the mask of a pattern."""
    position = np.arange(keys)
    last = np.arange(first, first + rows)[:, None] + offset
    return (position >= start) & (position < end) & (position <= last)


def _guess(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int | None]:
    """The only pattern that a mask [n_q, n_k] may have; offset None: as good as none, as far as this element shows."""
    seen = np.asarray(mask.any(axis=0))
    if not seen.any():
        return 0, 0, None
    start, end = int(seen.argmax()), len(seen) - int(seen[::-1].argmax())
    row = int(mask[:, start].argmax())  # the first that sees anything
    count = int(np.count_nonzero(mask[row]))
    return start, end, None if row == 0 and count == end - start else start + count - 1 - row


def _check(mask: npt.NDArray[np.bool_], pattern: tuple[int, int, int], where: str) -> None:
    """The mask [n_q, n_k] is that of the pattern."""
    rows, keys = mask.shape
    block = max(_BLOCK // max(keys, 1), 1)
    for first in range(0, rows, block):
        part = mask[first : first + block]
        wrong = part != _expected(*pattern, first, len(part), keys)
        if wrong.any():
            i, j = (int(index[0]) for index in wrong.nonzero())
            raise error(
                Status.ERR_UNSUPPORTED,
                f"attn_mask[{where}, {first + i}, {j}] is {bool(part[i, j])}: subquad serves masks that are one range of keys for each "
                "element of the batch, causal or not, the same for all heads; this one is not",
            )


def _read_mask(mask: torch.Tensor) -> torch.Tensor:
    """The pattern of a boolean mask [batch or 1, heads or 1, n_q or 1, n_k]."""
    masks = ndarray(mask)
    batch, heads, rows, keys = masks.shape
    if heads == 0 or rows == 0 or keys == 0:
        return torch.tensor([[0, keys, keys]]).repeat(batch, 1)
    guesses = [_guess(masks[b, 0]) for b in range(batch)]
    offset = next((offset for _, _, offset in guesses if offset is not None), keys)
    for b, (start, end, _) in enumerate(guesses):
        for h in range(heads):
            _check(masks[b, h], (start, end, offset), f"{b}, {h}")
    return torch.tensor([[start, end, offset] for start, end, _ in guesses], dtype=torch.int64).reshape(batch, 3)


def _read_padding(padding: torch.Tensor, first: int, keys: int) -> torch.Tensor:
    """Start and end of the keys that are seen of those at positions first .. first + keys; padding: [batch, positions], True: seen.

    Positions beyond the mask are hidden."""
    seen = np.zeros((padding.shape[0], keys), np.bool_)
    given = ndarray(padding)[:, first : first + keys]
    seen[:, : given.shape[1]] = given
    starts = seen.argmax(axis=1) if keys else np.zeros(len(seen), np.int64)
    ends = starts + seen.sum(axis=1)
    position = np.arange(keys)
    holes = (seen != ((position >= starts[:, None]) & (position < ends[:, None]))).any(axis=1)
    if holes.any():
        raise error(
            Status.ERR_UNSUPPORTED,
            f"attention_mask[{int(holes.argmax())}] hides tokens between others: subquad serves padding on the left and on the right only",
        )
    return tensor(np.stack([starts, ends], axis=1))


def _register(name: str, schema: str, function: Any, columns: int) -> None:
    operator = torch.library.custom_op(name, function, mutates_args=(), device_types="cpu", schema=schema)
    operator.register_fake(lambda mask, *others: mask.new_empty((mask.shape[0], columns), dtype=torch.int64))


_register("subquad::read_mask", "(Tensor mask) -> Tensor", _read_mask, 3)
_register("subquad::read_padding", "(Tensor padding, SymInt first, SymInt keys) -> Tensor", _read_padding, 2)


def read_mask(attn_mask: torch.Tensor, leading: tuple[int, ...], with_heads: bool, rows: int, keys: int) -> torch.Tensor:
    """The pattern of a boolean mask that broadcasts to [*leading, rows, keys]; with_heads: the last of leading is heads."""
    shape, wanted = tuple(attn_mask.shape), (*leading, rows, keys)
    padded = (1,) * (len(wanted) - len(shape)) + shape
    if len(padded) != len(wanted) or any(have not in (1, want) for have, want in zip(padded, wanted, strict=True)):
        raise error(Status.ERR_SHAPE, f"attn_mask has shape {shape}, which does not broadcast to {wanted}")
    mask = attn_mask.reshape(padded if with_heads else (*padded[:-2], 1, *padded[-2:]))
    batches, rest = tuple(mask.shape[:-3]), (*mask.shape[-3:-1], keys)
    if any(extent != 1 for extent in batches):
        batches = leading[: len(batches)]
    pattern: torch.Tensor = torch.ops.subquad.read_mask(mask.expand(*batches, *rest).reshape(math.prod(batches), *rest))
    return pattern
