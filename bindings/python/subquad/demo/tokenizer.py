"""Text to token numbers and back: byte-level BPE in which every digit is a token of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .needs import needed


class Tokenizer:
    """Made from the words of a vocabulary, in order, and merges "left right", the first first."""

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[str]) -> None:
        parts = needed("tokenizers")
        pairs = [tuple(merge.split(" ")) for merge in merges]
        self._engine = parts.Tokenizer(parts.models.BPE({word: number for number, word in enumerate(vocabulary)}, pairs))
        self._engine.pre_tokenizer = parts.pre_tokenizers.Sequence(
            [parts.pre_tokenizers.Digits(individual_digits=True), parts.pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        self._engine.decoder = parts.decoders.ByteLevel()

    def encode(self, text: str) -> NDArray[np.int64]:
        return np.array(self._engine.encode(text).ids, dtype=np.int64)

    def decode(self, tokens: Sequence[int] | NDArray[np.int64]) -> str:
        return str(self._engine.decode([int(token) for token in tokens]))


def read_tokenizer(reader: Any) -> Tokenizer:
    """The tokenizer that the file of a gguf.GGUFReader carries."""
    fields = [reader.get_field(f"tokenizer.ggml.{name}") for name in ("tokens", "merges")]
    if None in fields:
        raise ValueError("the file has no tokens and merges: it carries no byte-pair tokenizer")
    return Tokenizer(*(field.contents() for field in fields))
