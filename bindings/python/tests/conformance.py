"""The files of tests/conformance, and their arrays: as the layouts say."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import subquad

FOLDER = Path(__file__).resolve().parents[3] / "tests/conformance"


def load(name):
    return json.loads((FOLDER / name).read_text())


def merge_patch(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def in_state(made, owner):
    """What a call is made on, closed where its row says so."""
    if made.get("state") == "closed":
        owner.close()
    return owner


@dataclass
class Array:
    """An array and the buffer that it lies in; elements of the buffer outside the array are its gaps."""

    array: np.ndarray
    buffer: np.ndarray

    @classmethod
    def make(cls, spec, dtype, others):
        """Per the README: `layout` in good calls; `strides`, `same_as` and `data` in bad ones."""
        dtype = np.dtype(spec.get("dtype", dtype))
        shape = spec["shape"]
        layout = spec.get("layout", {})
        strides = layout.get("strides") or spec.get("strides") or _contiguous(shape)
        extents = [1] * len(shape) if spec.get("data") == "one" else shape
        reaches = [(max(n, 1) - 1) * stride for n, stride in zip(extents, strides, strict=True)]
        offset = layout.get("offset", -sum(min(reach, 0) for reach in reaches))
        size = layout.get("size", 1 + sum(abs(reach) for reach in reaches))
        if "same_as" in spec:
            other = others[spec["same_as"]]
            buffer, start = other.buffer, other.array.__array_interface__["data"][0] - other.buffer.__array_interface__["data"][0]
            bytes_needed = start + (offset + size) * dtype.itemsize
            assert bytes_needed <= buffer.nbytes, "the other array's buffer is too small"
            offset = start // dtype.itemsize
        else:
            shift = 1 if spec.get("data") == "misaligned" else 0
            storage = np.zeros(size * dtype.itemsize + shift, np.uint8)
            buffer = storage[shift:].view(dtype)
            buffer[...] = np.nan if dtype.kind == "f" else np.iinfo(dtype).min
        array = np.lib.stride_tricks.as_strided(buffer[offset:], shape, [stride * dtype.itemsize for stride in strides])
        result = cls(array, buffer)
        if spec.get("data") != "one":
            result._set_elements(spec)
        return result

    def _set_elements(self, spec):
        if "values" in spec:
            self.array[...] = np.array([float(x) for x in spec["values"]]).reshape(spec["shape"])
        elif "fill" in spec:
            # An axis with stride 0 counts once, however long it is.
            distinct = self.array[tuple(slice(1) if stride == 0 else slice(None) for stride in self.array.strides)]
            kind = self.array.dtype if self.array.dtype.kind == "f" else np.float64
            distinct[...] = subquad.fill_uniform(distinct.size, **spec["fill"], dtype=kind).reshape(distinct.shape)
        for index, value in spec.get("set", []):
            self.array[np.unravel_index(index, spec["shape"])] = float(value)

    def gaps(self):
        """The buffer's elements that are not the array's."""
        inside = np.zeros(self.buffer.shape, bool)
        start = (self.array.__array_interface__["data"][0] - self.buffer.__array_interface__["data"][0]) // self.buffer.itemsize
        strides = [stride // self.buffer.itemsize for stride in self.array.strides]
        np.lib.stride_tricks.as_strided(inside[start:], self.array.shape, strides)[...] = True
        return self.buffer[~inside]


def _contiguous(shape):
    return [int(np.prod([max(n, 1) for n in shape[axis + 1 :]])) for axis in range(len(shape))]
