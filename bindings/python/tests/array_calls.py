"""Calls of everything in the package that takes arrays, for tests of what arrays it takes and returns."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import subquad
from reference import fill, inputs

N = 8


class Call(NamedTuple):
    """A call by the names of its array arguments."""

    run: Callable[..., Any]
    """A function of the arrays by name, and of `out` where the call has that."""
    arrays: dict[str, np.ndarray]
    called: Mapping[str, str] = MappingProxyType({})
    """How errors call an argument, where that is not its name in `arrays`."""
    out: bool = True
    """Whether the call has `out`."""


def of(names, *arrays):
    return dict(zip(names.split(), arrays, strict=True))


def flat(results):
    """Arrays and numbers in results of any nesting, without None."""
    if isinstance(results, tuple | list):
        return [array for result in results for array in flat(result)]
    return [] if results is None else [results]


def bits(results):
    return [np.asarray(array).tobytes() for array in flat(results)]


Q, K, V = inputs(N, N, d=4, d_v=3)
O, LSE = subquad.attention(Q, K, V, return_lse=True)  # noqa: E741
D_O = fill(3, N, 3)
BIAS = fill(4, 1, 2 * N - 1)
RANGES = np.array([[1, N]])
STARTS, KERNELS = np.array([0, 3]), fill(5, 2, N)
X = fill(6, 4, 30)
FOUND = {"bases": 2, "window": 2, "delta": 0.5}
PLAN = subquad.plan(Q, K, V, tol=0.1)
BASIS = subquad.ConvBasis(starts=STARTS, kernels=KERNELS)
SPARSE = subquad.sparsify(X, columns=20)


def attention(q, k, v, lag_bias, key_ranges, **settings):
    return subquad.attention(q, k, v, lag_bias=lag_bias, lag_min=1 - N, key_ranges=key_ranges, return_lse=True, **settings)


def attention_backward(q, k, v, o, lse, d_o, lag_bias, **settings):
    return subquad.attention_backward(q, k, v, o, lse, d_o, lag_bias=lag_bias, lag_min=1 - N, **settings)


def merge(o, o_too, lse, lse_too, **settings):
    return subquad.merge([o, o_too], [lse, lse_too], **settings)


def scores_of_blocks(x, **settings):
    blocks = subquad.column_blocks(lambda first, last: x[:, first:last], *X.shape, X.dtype)
    return subquad.leverage_scores(blocks, **settings)


CALLS = {
    "attention": Call(attention, of("q k v lag_bias key_ranges", Q, K, V, BIAS, RANGES)),
    "attention_backward": Call(attention_backward, of("q k v o lse d_o lag_bias", Q, K, V, O, LSE, D_O, BIAS)),
    "attention_loss": Call(subquad.attention_loss, of("a1 a2 a3 x y e", Q, K, Q + K, Q[:4], V[:4], D_O)),
    "merge": Call(
        merge,
        of("o o_too lse lse_too", O, D_O, LSE, LSE + 1),
        called=of("o o_too lse lse_too", "o_parts[0]", "o_parts[1]", "lse_parts[0]", "lse_parts[1]"),
    ),
    "plan": Call(lambda q, k, v: subquad.plan(q, k, v, tol=0.1).apply(V), of("q k v", Q, K, V), out=False),
    "Plan.apply": Call(lambda v, **settings: PLAN.apply(v, return_lse=True, **settings), of("v", V)),
    "Plan.backward": Call(PLAN.backward, of("v o lse d_o", V, O, LSE, D_O)),
    "ConvBasis": Call(
        lambda starts, kernels: subquad.ConvBasis(starts=starts, kernels=kernels).to_dense(),
        of("starts kernels", STARTS, KERNELS),
        out=False,
    ),
    "ConvBasis.from_dense": Call(lambda h: subquad.ConvBasis.from_dense(h).kernels(), of("h", BASIS.to_dense()), out=False),
    "ConvBasis.toeplitz": Call(lambda column: subquad.ConvBasis.toeplitz(column).kernels(), of("column", LSE), out=False),
    "ConvBasis.from_lag_bias": Call(
        lambda bias: subquad.ConvBasis.from_lag_bias(bias).to_dense(), of("bias", BIAS), called={"bias": "bias"}, out=False
    ),
    "ConvBasis.multiply": Call(BASIS.multiply, of("x", V)),
    "ConvBasis.multiply, a vector": Call(BASIS.multiply, of("x", LSE)),
    "ConvBasis.multiply_transposed": Call(BASIS.multiply_transposed, of("x", V)),
    "ConvBasis.apply": Call(lambda v, **settings: BASIS.apply(v, return_lse=True, **settings), of("v", V)),
    "ConvBasis.apply_transposed": Call(BASIS.apply_transposed, of("x", V)),
    "ConvBasis.backward": Call(BASIS.backward, of("q k v d_o", Q, K, V, D_O)),
    "conv_basis_recover": Call(lambda q, k: subquad.conv_basis_recover(q, k, **FOUND).kernels(), of("q k", Q, K), out=False),
    "conv_basis_fit": Call(lambda q, k: subquad.conv_basis_fit(q, k, bases=2).kernels(), of("q k", Q, K), out=False),
    "sparsify": Call(lambda x: subquad.sparsify(x, columns=20).y, of("x", X), out=False),
    "sparsify_pair": Call(lambda q, k: subquad.sparsify_pair(q, k, columns=3).y, of("q k", Q, K), out=False),
    "Sparsifier.attention": Call(lambda v, **settings: SPARSE.attention(v, return_lse=True, **settings), of("v", Q[:4])),
    "Sparsifier.softmax_error": Call(SPARSE.softmax_error, of("x", X), out=False),
    "leverage_scores": Call(subquad.leverage_scores, of("x", X)),
    "column_blocks": Call(scores_of_blocks, of("x", X), called={"x": "blocks(0, 30)"}),
}
#: Each array argument of each call.
ARGUMENTS = [(name, argument) for name, call in CALLS.items() for argument in call.arrays]
#: Those that return arrays of the kind of their first argument; the others read from an object, or take a function.
WITH_KIND = [name for name, call in CALLS.items() if call.out and name != "column_blocks"]
