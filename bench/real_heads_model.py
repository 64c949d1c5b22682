"""What the benches on real heads share: SmolLM2-135M, texts, and a walk over its layers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gguf
import numpy as np
from subquad.demo import texts
from subquad.demo.forward import Attention, Tokens, hidden_states, perplexity
from subquad.demo.tokenizer import read_tokenizer
from subquad.demo.weights import model_file, read_weights

# Nothing in the library was chosen by looking at the texts held out.
LOOKED_AT: dict[str, Callable[[], str]] = {"sources": texts.standard_library, "prose": texts.manual}
HELD_OUT: dict[str, Callable[[], str]] = {"C headers": texts.headers, "German": lambda: texts.pages("de")}
# More than any text has per token, on average.
CHARACTERS = 16


@dataclass
class Model:
    """The model, ready to read."""

    def __post_init__(self) -> None:
        reader = gguf.GGUFReader(model_file())
        self.weights, self.tokenizer = read_weights(reader), read_tokenizer(reader)

    def texts(self, names: dict[str, Callable[[], str]], n: int) -> Iterator[tuple[str, Tokens]]:
        """The texts of which this machine has n tokens; of the others a line says that they are missing."""
        for name, text in names.items():
            tokens = self.tokenizer.encode(text()[: CHARACTERS * n])[:n]
            if len(tokens) == n:
                yield name, tokens
            else:
                print(f"{name}: left out, for this machine has only {len(tokens)} tokens of it")

    def tokens(self, n: int) -> Tokens:
        """The first n tokens of the standard library's sources."""
        return dict(self.texts({"sources": texts.standard_library}, n))["sources"]

    def perplexity(self, tokens: Tokens, attention: Attention) -> float:
        return perplexity(self.weights, tokens, hidden_states(self.weights, tokens, attention))


def one_head(head: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, k and v of one query head of a layer."""
    group = head // (len(q) // len(k))
    return q[head : head + 1], k[group : group + 1], v[group : group + 1]
