"""Calls of tests/conformance/*.json as calls to the package: arrays as their layouts say, options as keywords."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import subquad
from subquad._arrays import optional_view
from subquad._library import raw

FOLDER = Path(__file__).resolve().parents[3] / "tests/conformance"
RESULTS = {
    "attention": ["o", "lse"],
    "attention_backward": ["dq", "dk", "dv", "d_lag_bias"],
    "attention_merge": ["o", "lse"],
    "fill_uniform": ["x"],
}


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
        reaches = [(max(n, 1) - 1) * stride for n, stride in zip(shape, strides, strict=True)]
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
        result._set_elements(spec, layout)
        return result

    def _set_elements(self, spec, layout):
        if "values" in spec:
            self.array[...] = np.array([float(x) for x in spec["values"]]).reshape(spec["shape"])
        elif "fill" in spec:
            shape = [
                1 if step == 0 else n for n, step in zip(spec["shape"], layout.get("step", [1] * len(spec["shape"])), strict=True)
            ]
            kind = self.array.dtype if self.array.dtype.kind == "f" else np.float64
            self.array[...] = subquad.fill_uniform(int(np.prod(shape)), **spec["fill"], dtype=kind).reshape(shape)
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


class Call:
    """A call: its arrays, and a run that returns the results by name and the report."""

    def __init__(self, function, dtype, options, specs, fill=None, count=None, context=None):
        self.function = function
        self.options = {name: float(value) if value in ("nan", "inf", "-inf") else value for name, value in options.items()}
        self.fill = {name: float(value) if isinstance(value, str) else value for name, value in (fill or {}).items()}
        self.count = count
        if context:
            self.options["threads"] = context["threads"]
        self.arrays = {}
        for name in sorted(specs, key=lambda name: "same_as" in specs[name]):
            self.arrays[name] = Array.make(specs[name], dtype, self.arrays)

    def run(self, out=None):
        """out: the array to give as `out`, where the function has that argument."""
        given = {name: made.array for name, made in self.arrays.items()}
        if self.function == "fill_uniform":
            raw.subquad_fill_uniform(
                optional_view("x", given.get("x")), *(self.fill[key] for key in ("seed", "stream", "low", "high"))
            )
            return {"x": given["x"]}, None
        if self.function == "attention_merge":
            parts = [[given[f"{name}[{p}]"] for p in range(self.count)] for name in ("o_parts", "lse_parts")]
            return dict(zip(["o", "lse"], subquad.merge(*parts, out=out, **self.options), strict=True)), None
        names = ["q", "k", "v"] + (["o", "lse", "d_o"] if self.function == "attention_backward" else [])
        positional = [given.get(name) for name in names]
        keywords = {name: given[name] for name in ("lag_bias", "key_ranges") if name in given} | self.options
        if self.function == "attention_backward":
            gradients, report = subquad.attention_backward(*positional, return_report=True, **keywords)
            return gradients._asdict(), report
        o, lse, report = subquad.attention(*positional, out=out, return_lse=True, return_report=True, **keywords)
        return {"o": o, "lse": lse}, report
