"""Causal softmax attention whose logits have a conv basis: forward, transposed, backward."""

from __future__ import annotations  # signatures show short names

from typing import Any, Literal, TypedDict, Unpack, overload

from ._arrays import view
from ._backward import Gradients
from ._context import borrow
from ._conv_matrix import ConvMatrix, ProductSettings
from ._library import raw
from ._options import options
from ._outputs import Out, Outputs, Outs
from ._report import Report, new_report, read_report
from ._tensors import Kind, Tensor, takes_tensors


class ConvApplySettings(TypedDict, total=False):
    """Types of the keyword arguments of `ConvBasis.apply`."""

    strict_causal: bool
    check_finite: bool
    out: Out
    threads: int | None


class ConvLogits(ConvMatrix):
    """A matrix H of logits: with A = exp(H) on and below the diagonal and D = diag(A 1), the weights of attention are D^-1 A."""

    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[False] = False,
        return_report: Literal[False] = False,
        **settings: Unpack[ConvApplySettings],
    ) -> Kind: ...
    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[True],
        return_report: Literal[False] = False,
        **settings: Unpack[ConvApplySettings],
    ) -> tuple[Kind, Kind]: ...
    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[False] = False,
        return_report: Literal[True],
        **settings: Unpack[ConvApplySettings],
    ) -> tuple[Kind, Report]: ...
    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[True],
        return_report: Literal[True],
        **settings: Unpack[ConvApplySettings],
    ) -> tuple[Kind, Kind, Report]: ...
    @takes_tensors
    def apply(
        self,
        v: Tensor,
        *,
        strict_causal: bool = False,
        check_finite: bool = True,
        out: Out = None,
        return_lse: bool = False,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Causal softmax attention with the logits H, in close to linear time.

            o = D^-1 A v,   A[i,j] = exp(H[i,j]) for j <= i,   D = diag(A 1),   lse[i] = log(D[i,i]), the natural logarithm

        v: [batch, H_v, n, d_v], leading extents of 1 may be left out, any strides; the heads of the basis are a multiple of H_v, and head
        h reads value head h // (heads // H_v). o: [batch, heads, n, d_v] and lse: [batch, heads, n], with as many dimensions as v, or as
        the basis where that has more; of v's kind.

        |o - o_exact| <= 1e-4 max|v[:,c]| in float32 for logits in [-80, 80], 1e-9 max|v[:,c]| in float64 for logits in [-600, 600],
        whatever H; of the order of round-off where logits vary little. lse is accurate to round-off. Output i depends on values j > i of
        its own block by no more than round-off of the block's values, with strict_causal not by a bit.

        strict_causal, check_finite, out, return_lse, return_report and threads are as in `attention`. The report has `block`, `layers`
        (how many magnitudes one transform needed), `direct_rows` (rows done by direct products for accuracy's sake) and `pairs`.

        Returns o, or a tuple of o and what else was asked for. The same bits for any number of threads; the GIL is released meanwhile,
        and Ctrl-C ends the call.

        Raises `SubquadError` as `multiply` does.

        Source: [CONV] arXiv 2405.05219; docs/math/conv_basis.md says where the method differs.

        >>> import numpy as np
        >>> import subquad
        >>> basis = subquad.ConvBasis.toeplitz(np.zeros(4))  # equal weights: running means
        >>> basis.apply(np.array([[1.0], [3.0], [5.0], [7.0]])).ravel().round(12)
        array([1., 2., 3., 4.])
        """
        handle = self._open()
        values = view("v", v, 2)
        leading = (self._batch, self._heads)[4 - max(v.ndim, len(self.shape)) :]
        shapes = {"o": (*leading, self._n, v.shape[-1]), "lse": (*leading, self._n) if return_lse else None}
        filled = Outputs(out, v.dtype, shapes)
        chosen = options(strict_causal=strict_causal, check_finite=check_finite)
        with chosen as settings, new_report() as report, borrow(threads) as context, filled:
            raw.subquad_conv_basis_apply(context, settings, handle.pointer, values, *filled.views, report)
            return filled.results(report if return_report else None)

    @overload
    def apply_transposed(
        self, x: Kind, *, return_report: Literal[False] = False, **settings: Unpack[ProductSettings]
    ) -> Kind: ...
    @overload
    def apply_transposed(
        self, x: Kind, *, return_report: Literal[True], **settings: Unpack[ProductSettings]
    ) -> tuple[Kind, Report]: ...
    @takes_tensors
    def apply_transposed(
        self,
        x: Tensor,
        *,
        check_finite: bool = True,
        out: Tensor | None = None,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """The transpose of `apply`: y = A' D^-1 x, so that <x, apply(v)> = <y, v>.

        x: [batch, heads, n, c] with the heads of the basis, or a vector of n entries where it has one; y is like x. Where value
        heads are shared, sum y over the heads of each group.

        |y - y_exact| <= 1e-4 in float32 for logits in [-80, 80], 1e-9 in float64 for logits in [-600, 600], times the sum of the largest
        |x| of each block. check_finite, out, return_report and threads are as in `apply`.

        Raises `SubquadError` as `multiply` does.

        >>> import numpy as np
        >>> import subquad
        >>> subquad.ConvBasis.toeplitz(np.zeros(2)).apply_transposed(np.array([1.0, 1.0])).round(12)
        array([1.5, 0.5])
        """
        chosen = options(check_finite=check_finite)
        return self._product(raw.subquad_conv_basis_apply_transposed, x, out, chosen, threads, return_report)

    @overload
    def backward(
        self,
        q: Kind,
        k: Tensor,
        v: Tensor,
        d_o: Tensor,
        *,
        scale: float | None = None,
        backward: str | None = None,
        check_finite: bool = True,
        out: Outs = None,
        return_report: Literal[False] = False,
        threads: int | None = None,
    ) -> Gradients[Kind]: ...
    @overload
    def backward(
        self,
        q: Kind,
        k: Tensor,
        v: Tensor,
        d_o: Tensor,
        *,
        scale: float | None = None,
        backward: str | None = None,
        check_finite: bool = True,
        out: Outs = None,
        return_report: Literal[True],
        threads: int | None = None,
    ) -> tuple[Gradients[Kind], Report]: ...
    @takes_tensors
    def backward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        d_o: Tensor,
        *,
        scale: float | None = None,
        backward: str | None = None,
        check_finite: bool = True,
        out: Outs = None,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Gradients of a loss with respect to q, k and v, from its gradient d_o with respect to o = apply(v).

        The basis is what `conv_basis_recover` or `conv_basis_fit` made of q and k with the same scale. With P its weights D^-1 A, and
        dS = P * (d_o v' - rowsum(d_o * o)):

            dq = scale dS k,   dk = scale dS' q,   dv = P' d_o

        q, k, v are shaped as in `attention`, d_o [batch, heads, n, d_v]. Where query heads share a key/value head, dk and dv are their
        sums. backward is "conv_basis": 2 (d_v + 1) applies to d columns, O(k n d d_v log n), memory O(n d); or "exact": the gradients
        of exact attention, from q and k alone; or None: the faster. Where the conditions of recovery hold, the rows of the first
        differ from those of the second by |dS~[i,:] - dS[i,:]|_1 <= 6 tanh(eps) |d_o[i,:]|_1 max|v|.

        scale, check_finite, return_report and threads are as in `attention`, out as in `attention_backward`; the report's `method` says
        what ran.

        Returns `Gradients`, whose d_lag_bias is None, or with return_report a tuple of those and a `Report`.

        Raises `SubquadError` as `multiply` does.

        >>> import numpy as np
        >>> import subquad
        >>> q, k = np.ones((6, 2)), np.repeat([[1.0, 0.0], [0.0, 2.0]], 3, axis=0)  # keys constant on two pieces
        >>> v, d_o = (subquad.fill_uniform((6, 3), seed=4, stream=s, low=-1, high=1, dtype="float64") for s in range(2))
        >>> basis = subquad.conv_basis_recover(q, k, bases=2, window=1, delta=0.1)
        >>> dq, dk, dv, _ = basis.backward(q, k, v, d_o)
        >>> dq.shape, dk.shape, dv.shape
        ((6, 2), (6, 2), (6, 3))
        """
        handle = self._open()
        views = [view(name, array, 2) for name, array in (("q", q), ("k", k), ("v", v), ("d_o", d_o))]
        shapes = {"dq": q.shape, "dk": k.shape, "dv": v.shape, "d_lag_bias": None}
        filled = Outputs(out, q.dtype, shapes, alone=False)
        chosen = options(scale=scale, backward=backward, check_finite=check_finite)
        with chosen as settings, new_report() as report, borrow(threads) as context, filled:
            raw.subquad_conv_basis_backward(context, settings, handle.pointer, *views, *filled.views[:3], report)
            gradients = Gradients(*filled.arrays)
            return (gradients, read_report(report)) if return_report else gradients
