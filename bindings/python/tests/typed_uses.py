"""Calls as users write them, for type checkers to read: test_types runs them over this file, and nothing runs the file itself.

A comment `type: ignore` is a mistake that both checkers must find: where one does not, it is an error of its own.
"""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
import subquad
from subquad import Gradients, Report

Doubles = npt.NDArray[np.float64]


class Tensor:
    """A tensor of some library: torch's and JAX's look like this to a type checker."""

    shape: tuple[int, ...]
    ndim: int
    dtype: object

    def __dlpack__(self, *, stream: int | None = -1, max_version: tuple[int, int] | None = None) -> object:
        return object()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class Sparse:
    """A sparse matrix: those of SciPy have no types of their own."""

    format = "csc"
    shape = (3, 4)
    dtype = np.dtype(np.float64)
    indptr = indices = data = np.zeros(0)

    def copy(self) -> "Sparse":
        return self


def numpys(q: Doubles) -> None:
    assert_type(subquad.attention(q, q, q, causal=True), Doubles)
    o, lse = subquad.attention(q, q, q, return_lse=True, out=q)
    o, lse, report = subquad.attention(q, q, q, return_lse=True, return_report=True, out=(o, None))
    assert_type(lse, Doubles)
    assert_type(report, Report)
    gradients = subquad.attention_backward(q, q, q, o, lse, o, out=(None, q))
    assert_type(gradients, Gradients[Doubles])
    assert_type(gradients.dq, Doubles)
    assert_type(gradients.d_lag_bias, Doubles | None)
    assert_type(subquad.merge([o], [lse], out=(o, lse)), tuple[Doubles, Doubles])
    o = subquad.attention(q, q, q, tol=0.1, estimate="sampled", parts={"heavy", "conv"}, strict_causal=True, seed=3)
    both = subquad.attention_backward(q, q, q, o, lse, o, budget=0.5, return_report=True, out=gradients)
    assert_type(both, tuple[Gradients[Doubles], Report])
    assert_type(subquad.attention_loss(q, q, q, q, q, q, method="conv_basis", bases=2, out=q), tuple[float, Doubles])
    assert_type(subquad.fill_uniform((2, 2), 1, 0, 0.0, 1.0, np.float32, out=q), Doubles)
    subquad.attention(q, q, q, causal="yes")  # type: ignore
    subquad.attention(q, q, [[1.0]])  # type: ignore
    subquad.attention(q, q, q, mask=q)  # type: ignore


def tensors(q: Tensor, array: Doubles) -> None:
    assert_type(subquad.attention(q, q, array), Tensor)
    assert_type(subquad.attention(array, q, q), Doubles)
    o, lse = subquad.attention(q, q, q, return_lse=True, lag_bias=q, key_ranges=q, out=(q, array))
    assert_type(lse, Tensor)
    assert_type(subquad.attention_backward(q, q, q, o, lse, o).dv, Tensor)
    assert_type(subquad.merge([o, o], [lse, array]), tuple[Tensor, Tensor])
    assert_type(subquad.attention_loss(q, q, q, q, q, q), tuple[float, Tensor])
    with subquad.plan(q, q, budget=300) as plan:
        assert_type(plan.apply(q), Tensor)
        assert_type(plan.backward(q, o, lse, o), Gradients[Tensor])
    basis = subquad.ConvBasis(starts=q, kernels=q)
    assert_type(basis @ q, Tensor)
    assert_type(basis.T @ array, Doubles)
    assert_type(basis.apply(q, return_report=True), tuple[Tensor, Report])
    assert_type(basis.to_dense(out=q), Tensor)
    assert_type(basis.kernels(out=q), Tensor)
    assert_type(subquad.leverage_scores(q), Tensor)
    assert_type(subquad.sparsify(q, columns=2).attention(q), Tensor)
    assert_type(subquad.fill_uniform(3, 1, 0, 0.0, 1.0, "float64", out=q), Tensor)


def objects(q: Doubles) -> None:
    with subquad.plan(q, q, budget=300, causal=True) as plan:
        o, lse, _ = plan.apply(q, out=q, return_lse=True, return_report=True)
        assert_type(plan.backward(q, o, lse, q, return_report=True), tuple[Gradients[Doubles], Report])
        assert_type(plan.report.heads[0]["error"], Any)
    with subquad.ConvBasis(starts=[0], kernels=q, cumulative=True) as other:
        assert_type(other @ q + other.T @ q, Doubles)
        assert_type(other.starts, npt.NDArray[np.int64])
    basis = subquad.conv_basis_recover(q, q, bases=1, window=1, delta=1.0)
    assert_type(basis.apply(q, return_lse=True, out=(None, lse)), tuple[Doubles, Doubles])
    assert_type(subquad.ConvBasis.toeplitz(lse).multiply(q, return_report=True), tuple[Doubles, Report])
    assert_type(basis.backward(q, q, q, q, backward="exact", out=(q, q, q)), Gradients[Doubles])
    assert_type(basis.exp(), subquad.ConvBasis)
    basis.multiply(3)  # type: ignore
    subquad.import_wisdom(subquad.export_wisdom())


def matrices(q: Doubles, sparse: Sparse) -> None:
    blocks = subquad.column_blocks(lambda first, last: q[:, first:last], 3, 4, "float64", block_columns=2)
    scores, _ = subquad.leverage_scores(blocks, method="sketch", return_report=True)
    assert_type(scores, Doubles)
    assert_type(subquad.leverage_scores(q, out=scores), Doubles)
    with subquad.sparsify(q, columns=2, certify=False) as few:
        assert_type(few.indices, npt.NDArray[np.int64])
        assert_type(few.attention(q, scale=0.5, causal=True, return_lse=True), tuple[Doubles, Doubles])
    few = subquad.sparsify_pair(sparse, blocks, method="deterministic", eps=0.5)
    assert_type(few.epsilon, float | None)
    assert_type(few.softmax_error(sparse, blocks).ratio + few.ratio_bound(0.5), float)
    subquad.sparsify(q, certify="maybe")  # type: ignore


def failures() -> None:
    try:
        subquad.info()
    except subquad.SubquadError as failure:
        assert_type(failure.code, subquad.Status)
        assert_type(failure.name, str)
