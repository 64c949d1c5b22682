"""Tensors by seed; the module's results beside the longdouble oracle, and beside PyTorch's own, each within its round-off budget."""

import math

import numpy as np
import pytest
import subquad
import torch
import torch.nn.functional
from reference import assert_within, fill, inputs, problem
from subquad.torch import scaled_dot_product_attention

import budgets
import oracle

SDPA = torch.nn.functional.scaled_dot_product_attention
DTYPES = [torch.float32, torch.float64]
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def filled(stream, *shape):
    """A tensor of any number of dimensions."""
    return torch.from_numpy(fill(stream, math.prod(shape)).reshape(shape))


def tensors(*arguments, dtype=torch.float64, **settings):
    """q, k, v of reference.inputs."""
    return tuple(torch.from_numpy(array) for array in inputs(*arguments, dtype=NUMPY[dtype], **settings))


def four(tensor):
    """[batch, heads, n, d] of a tensor with fewer dimensions or more; one leading dimension is a batch."""
    array = tensor.detach().numpy()
    batch, heads = (array.shape[:1], 1) if array.ndim == 3 else (array.shape[:-3], math.prod(array.shape[-3:-2]))
    return array.reshape(math.prod(batch), heads, *array.shape[-2:])


def roundoff(q, k, v, **settings):
    """Of the output, for any way to compute it in the dtype of q with sums of as many terms."""
    return float(budgets.forward(problem(*map(four, (q, k, v)), **settings), NUMPY[q.dtype])["o"])


def check(q, k, v, oracle_settings, **settings):
    """The function's result is within round-off of the oracle's; returns it."""
    o = scaled_dot_product_attention(q, k, v, **settings)
    whole = problem(*map(four, (q, k, v)), **oracle_settings)
    assert o.dtype == q.dtype
    assert_within(four(o), oracle.attention(whole)[0], budgets.forward(whole, NUMPY[q.dtype])["o"], "o")
    return o


def check_alike(o, expected, budget):
    """Two ways to compute the same, each of which may err by the budget."""
    assert o.shape == expected.shape
    assert o.dtype == expected.dtype
    worst = (o - expected).abs().max().item() if o.numel() else 0
    assert worst <= 2 * budget, f"{worst:.3g} exceeds twice the budget {budget:.3g}"


def refused(name, words, function, *arguments, **settings):
    """The call fails with the code of this name and a text that matches."""
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        function(*arguments, **settings)
    assert caught.value.name == name, caught.value
