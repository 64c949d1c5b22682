"""Nothing is left behind by calls, neither by those that fail nor by references to arrays."""

import gc
import resource
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import subquad
from made_up_tensors import Memory, Tensor
from reference import fill, inputs

ROUNDS = 5
CALLS = 4000
LEAST = 64  # bytes that a leaked handle, view or exception would take at the least


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def growth(calls, call):
    """Of the memory in a round of calls. Caches and heaps grow now and then, a leak with every call: the round that grew least counts."""
    sizes = []
    for _ in range(ROUNDS):
        for _ in range(calls):
            call()
        gc.collect()
        sizes.append(resident())
    return min(after - before for before, after in pairwise(sizes))


def forward(q, k, v):
    subquad.attention(q, k, v, causal=True, key_ranges=[(0, 3)], return_lse=True, return_report=True)


def backward(q, k, v):
    subquad.attention_backward(q, k, v, v, fill(1, 3), v, lag_bias=fill(0, 1, 5), lag_min=-2)


def merging(q, k, v):
    subquad.merge([q, k], [fill(1, 3), fill(2, 3)])


def through_dlpack(q, k, v):
    o, lse = subquad.attention(Tensor(q), k, Tensor(v), return_lse=True)
    subquad.attention(q, Tensor(k, old=True), v, return_lse=True, out=(Tensor(o.array, old=True), lse))
    with pytest.raises(NotImplementedError, match="CPU"):
        subquad.attention(Tensor(q), Tensor(k, device=2), v)
    with pytest.raises(NotImplementedError, match="from_dlpack"):
        subquad.attention(Memory(q), k, v)


def refused(q, k, v):
    with pytest.raises(ValueError, match="k"):
        subquad.attention(q, k[:, :2], v)


def refused_options(q, k, v):
    with pytest.raises(ValueError, match="scale"):
        subquad.attention(q, k, v, scale=float("nan"))


def about(q, k, v):
    subquad.info()


def basis(q, k, v):
    made = subquad.ConvBasis(starts=[0, 2], kernels=v[:2])
    made.apply(v, return_lse=True, return_report=True)
    made.exp().to_dense()
    made.starts, made.kernels(), made.T @ v


def refused_basis(q, k, v):
    with pytest.raises(ValueError, match="starts"):
        subquad.ConvBasis(starts=[2, 0], kernels=v[:2])
    with pytest.raises(ValueError, match="window"):
        subquad.conv_basis_recover(q, k, bases=1, window=4, delta=1.0)


def recovered(q, k, v):
    found = subquad.conv_basis_recover(q, k, bases=2, window=1, delta=0.1)
    found.backward(q, k, v, v)
    subquad.conv_basis_fit(q, k, bases=2)


def planned(q, k, v):
    with subquad.plan(q, k, v, tol=0.1, causal=True, parts=["heavy"], key_ranges=[(0, 3)], lag_bias=fill(0, 1, 3)) as plan:
        o, lse, _ = plan.apply(v, return_lse=True, return_report=True)
        plan.backward(v, o, lse, o, return_report=True)
    subquad.attention(q, k, v, budget=0.5)


def refused_plan(q, k, v):
    with pytest.raises(ValueError, match="tol"):
        subquad.plan(q, k)
    with pytest.raises(ValueError, match="light"):
        subquad.plan(q, k, tol=0.1, parts=["light"])
    with pytest.raises(ValueError, match="v"):
        subquad.plan(q, k, tol=0.1).apply(v[:2])


def loss(q, k, v):
    subquad.attention_loss(q, k, v, q, k, v)


def sparsified(q, k, v):
    with subquad.sparsify(q, columns=2) as s:
        s.attention(v, return_lse=True, return_report=True), s.softmax_error(q), s.indices, s.weights, s.y
    assert subquad.sparsify_pair(q, k, method="gram").y_k.shape == (3, 3)
    subquad.leverage_scores(q, return_report=True)


def sparsified_sparse(q, k, v):
    x = scipy.sparse.csr_array(q)
    subquad.sparsify(x, columns=2).y, subquad.leverage_scores(x)


def sparsified_blocks(q, k, v):
    subquad.sparsify(subquad.column_blocks(lambda first, last: q[:, first:last], 3, 3, q.dtype, block_columns=2), columns=2)
    subquad.leverage_scores(subquad.column_blocks(lambda: iter([q]), 3, 3, q.dtype))


def refused_sparsifier(q, k, v):
    with pytest.raises(ValueError, match="columns"):
        subquad.sparsify(q, columns=2, eps=0.5)
    with pytest.raises(ValueError, match="v"):
        subquad.sparsify(q, columns=2).attention(v[:2])


def raising_blocks(q, k, v):
    def blocks(first, last):
        raise LookupError(first)

    with pytest.raises(LookupError):
        subquad.sparsify(subquad.column_blocks(blocks, 3, 3, q.dtype), columns=2)


SPARSIFIERS = [sparsified, sparsified_sparse, sparsified_blocks, refused_sparsifier, raising_blocks]
PLANS = [planned, refused_plan]
BASES = [basis, refused_basis, recovered, loss]
KINDS = [forward, backward, merging, through_dlpack, refused, refused_options, about, *BASES, *PLANS, *SPARSIFIERS]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("call", KINDS)
def test_memory(call):
    arrays = inputs(3, 3, d=3, d_v=3)
    calls = CALLS // 4 if call in [*PLANS, *SPARSIFIERS] else CALLS  # each is several calls
    assert growth(calls, lambda: call(*arrays)) < calls * LEAST / 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_of_wisdom():
    """Slow calls with long texts: fewer of them show a leak."""
    text = subquad.export_wisdom()
    assert growth(100, lambda: subquad.import_wisdom(subquad.export_wisdom())) < 100 * len(text) / 2


@pytest.mark.parametrize("call", KINDS)
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
