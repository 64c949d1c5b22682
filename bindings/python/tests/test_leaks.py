"""Nothing is left behind by calls, neither by those that fail nor by references to arrays."""

import gc
import resource
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import subquad
from reference import fill, inputs

ROUNDS = 5
CALLS = 4000
LEAST = 64  # bytes that a leaked handle, view or exception would take at the least


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def forward(q, k, v):
    subquad.attention(q, k, v, causal=True, key_ranges=[(0, 3)], return_lse=True, return_report=True)


def backward(q, k, v):
    subquad.attention_backward(q, k, v, v, fill(1, 3), v, lag_bias=fill(0, 1, 5), lag_min=-2)


def merging(q, k, v):
    subquad.merge([q, k], [fill(1, 3), fill(2, 3)])


def refused(q, k, v):
    with pytest.raises(ValueError, match="k"):
        subquad.attention(q, k[:, :2], v)


def refused_options(q, k, v):
    with pytest.raises(ValueError, match="scale"):
        subquad.attention(q, k, v, scale=float("nan"))


def about(q, k, v):
    subquad.info()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("call", [forward, backward, merging, refused, refused_options, about])
def test_memory(call):
    """Caches and heaps grow now and then, a leak with every call: the round that grew least counts."""
    arrays = inputs(3, 3, d=3, d_v=3)
    sizes = []
    for _ in range(ROUNDS):
        for _ in range(CALLS):
            call(*arrays)
        gc.collect()
        sizes.append(resident())
    assert min(after - before for before, after in pairwise(sizes)) < CALLS * LEAST / 2


@pytest.mark.parametrize("call", [forward, backward, merging, refused, refused_options])
def test_references(call):
    arrays = inputs(3, 3, d=3, d_v=3)
    counts = [sys.getrefcount(array) for array in arrays]
    for _ in range(10):
        call(*arrays)
    gc.collect()
    assert [sys.getrefcount(array) for array in arrays] == counts


def test_out_is_held_by_the_caller_only():
    q, k, v = inputs(3, 3)
    out = np.empty_like(v)
    count = sys.getrefcount(out)
    subquad.attention(q, k, v, out=out)
    assert sys.getrefcount(out) == count
