"""Attention of Dask arrays beside the oracle and beside one process, and data that chunks make where they are needed."""

import math

import numpy as np
import pytest
import subquad
from reference import assert_within, problem

import budgets
import oracle

dask, da, distributed, _ = (
    pytest.importorskip(name, reason="the extra subquad[dask] is not installed")
    for name in ("dask", "dask.array", "distributed", "subquad.dask")
)

FAN_IN = 4  # parts that one task joins


def chunked(arrays, rows_q, rows_k, lead=1, last=2):
    """q, k, v and what follows, in chunks of so many rows, `lead` along batch and heads and `last` along d."""
    return [
        da.from_array(x, chunks=(*[lead] * (x.ndim - 2), rows_k if i in (1, 2) else rows_q, last)) for i, x in enumerate(arrays)
    ]


def joining(parts, lse, value, dtype):
    """roundoff: of a tree over so many parts, as `budgets.merge` has it for each join; lse and value bound the parts' lse and o."""
    u = budgets.unit(dtype)
    rounds = math.ceil(math.log(max(parts, 1), FAN_IN))
    weight = 2 * (budgets.EXP_ERROR + 1) * u + 4 * u * lse
    sums = (FAN_IN + 4) * u
    flushed = FAN_IN * budgets.smallest(dtype)
    one = {
        "o": value * (np.expm1(weight) + sums + flushed),
        "lse": weight + sums + budgets.EXP_ERROR * u * np.log(FAN_IN) + 4 * u * lse,
    }
    return {name: rounds * bound for name, bound in one.items()}


def part_sizes(q, k, v, scale=None):
    """Bounds of |lse| and |o| of every part."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else abs(scale)
    logit = scale * np.abs(q).sum(axis=-1).max(initial=0) * np.abs(k).max(initial=0)
    return logit + math.log(max(k.shape[-2], 1)), np.abs(v).max(initial=0)


def budget(q, k, v, parts, **settings):
    """roundoff: of parts, none of which sums more than the whole, of weights that their lse move, and of joining them."""
    part = budgets.forward(problem(q, k, v, **settings), q.dtype)
    lse, value = part_sizes(q, k, v, settings.get("scale"))
    joins = joining(parts, lse, value, q.dtype)
    return {"o": part["o"] + 2 * value * part["lse"] + joins["o"], "lse": part["lse"] + joins["lse"]}


def long_roundoff(q, k, v, parts):
    """roundoff: the difference of two computations of many keys, by the bounds of docs/math/exact.md, one of them in parts."""
    u, (lse, value) = budgets.unit(q.dtype), part_sizes(q, k, v)
    n, d = k.shape[-2:]
    weight = (d + 6) * u * (lse - math.log(n)) + 3 * u
    sums = (128 + n / 128 + 4) * u
    shift = weight + sums + 4 * u * lse  # of lse
    joins = joining(parts, lse, value, q.dtype)
    return {"o": 2 * 2 * value * (weight + sums) + 2 * value * shift + joins["o"], "lse": 2 * shift + joins["lse"]}


def check(q, k, v, arrays, **settings):
    """Dask arrays of q, k and v give what the oracle has; returns o and lse as Dask arrays."""
    o, lse = subquad.dask.attention(*arrays, return_lse=True, **settings)
    computed = dask.compute(o, lse)
    whole = settings | {"causal_offset": settings.get("causal_offset") or 0}
    expected_o, expected_lse = oracle.attention(problem(q, k, v, **whole))
    roundoff = budget(q, k, v, sum(arrays[1].numblocks + arrays[2].numblocks), **whole)
    for name, lazy, result, expected in (("o", o, computed[0], expected_o), ("lse", lse, computed[1], expected_lse)):
        assert (lazy.shape, lazy.dtype, type(lazy._meta)) == (result.shape, result.dtype, np.ndarray)
        assert lazy._meta.dtype == q.dtype
        for place in np.ndindex(*lazy.numblocks):
            block = tuple(chunks[which] for chunks, which in zip(lazy.chunks, place, strict=True))
            assert lazy.blocks[place].shape == block
        assert_within(result, expected, roundoff[name], name)
    return o, lse


def rows(block_info=None, seed=0, dtype="float32"):
    """A chunk of random numbers in [-1, 1), which depend on the seed and on which chunk it is."""
    info = block_info[None]
    stream = int(np.ravel_multi_index(info["chunk-location"], info["num-chunks"]))
    return np.random.default_rng((seed, stream)).random(info["chunk-shape"], np.dtype(dtype)) * 2 - 1


def made(shape, chunks, seed, dtype="float32"):
    """A Dask array whose chunks are made where they are needed."""
    chunks = da.core.normalize_chunks(chunks, shape, dtype=dtype)
    return da.map_blocks(rows, chunks=chunks, dtype=dtype, seed=seed, meta=np.empty((0,) * len(shape), dtype))


def here(array):
    """All of it, made in this process."""
    return array.compute(scheduler="synchronous")
