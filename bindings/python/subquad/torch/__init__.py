"""Attention for PyTorch tensors on the CPU.

`scaled_dot_product_attention` takes the arguments of `torch.nn.functional.scaled_dot_product_attention`, and `tol`. It has gradients,
and is a custom operator, so that `torch.compile` goes through it. `register_transformers` lets models of Hugging Face's transformers use
it. What is not served is an error that names it; nothing is ignored. docs/torch.md says what is, with examples.
"""

from .._extras import needed

needed("torch", "torch")  # before what follows imports it, with an error that says less

from ._sdpa import scaled_dot_product_attention  # noqa: E402
from ._transformers import register_transformers  # noqa: E402

__all__ = ["register_transformers", "scaled_dot_product_attention"]
