"""Softmax attention from a sparsifier, and how right it is."""

from __future__ import annotations  # signatures show short names

from typing import Any, Literal, NamedTuple, TypedDict, Unpack, overload

from ._arrays import view
from ._context import borrow
from ._library import raw
from ._matrix import Matrix, opened
from ._options import sparsify_options
from ._outputs import Out, Outputs
from ._report import Report, new_report
from ._scalars import real
from ._sparsified import Sparsified
from ._tensors import Kind, Tensor, takes_tensors


class SoftmaxError(NamedTuple):
    """How far the weights P~ of a sparsifier's attention are from the true ones, P."""

    error: float
    """The largest |P~[i,j] - P[i,j]|."""
    ratio: float
    """The largest factor between P~[i,j] and P[i,j], either way."""


class AttentionSettings(TypedDict, total=False):
    """Types of the keyword arguments of `Sparsifier.attention`."""

    scale: float
    causal: bool
    causal_offset: int | None
    check_finite: bool
    out: Out
    threads: int | None


class Sparsifier(Sparsified):
    """Y [n, m], columns of X [n, d] with weights, or a factor, whose softmax(scale Y Y') is close to softmax(scale X X').

    `sparsify` makes sparsifiers, and for queries and keys `sparsify_pair`: it chooses columns of X = [Q; K], and Y = [Y_q; Y_k] stands for
    them in softmax(scale Y_q Y_k').

    The certificate `epsilon` is the least e with (1-e) X X' <= Y Y' <= (1+e) X X' on the range of X. Then, with G = X X',

        |(Y Y' - G)[i,j]| <= e sqrt(G[i,i] G[j,j]),   for a pair |(Y_q Y_k' - Q K')[i,j]| <= e |q_i| |k_j|,

    and every entry of the softmax is within a factor exp(+-2 e |scale| r) of the true one, r being `radius`.

    A sparsifier never changes: threads may share it. It keeps its own copy of Y, and nothing of X. `close`, or a `with` block, releases
    its memory at once; what it says about itself remains. It cannot be pickled: its indices and weights say all where X is at hand.

    Source: [SPARS] arXiv 2304.04397; docs/math/sparsify.md has what holds, and why.

    >>> import numpy as np
    >>> import subquad
    >>> x = np.random.default_rng(1).standard_normal((4, 1000)) / 30
    >>> with subquad.sparsify(x, columns=200) as y:
    ...     print(y.shape, y.certificate, bool((y.y == np.sqrt(y.weights) * x[:, y.indices]).all()))
    ...     bool(y.softmax_error(x).ratio <= y.ratio_bound())
    (4, 200) exact True
    True
    """

    def ratio_bound(self, scale: float = 1.0) -> float:
        """exp(2 e |scale| r): every entry of the softmax is within this factor of the true one, where `certificate` is "exact".

        Raises `SubquadError`: ERR_VALUE where scale is not finite; ERR_UNSET without a certificate.

        >>> import numpy as np
        >>> import subquad
        >>> y = subquad.sparsify(np.eye(3), columns=3)  # all columns: e = 0 but for round-off
        >>> round(y.ratio_bound(0.5), 9)
        1.0
        """
        bound: float = raw.subquad_sparsifier_ratio_bound(self._open().pointer, real("scale", scale))
        return bound

    @overload
    def attention(
        self,
        v: Kind,
        *,
        return_lse: Literal[False] = False,
        return_report: Literal[False] = False,
        **settings: Unpack[AttentionSettings],
    ) -> Kind: ...
    @overload
    def attention(
        self,
        v: Kind,
        *,
        return_lse: Literal[True],
        return_report: Literal[False] = False,
        **settings: Unpack[AttentionSettings],
    ) -> tuple[Kind, Kind]: ...
    @overload
    def attention(
        self,
        v: Kind,
        *,
        return_lse: Literal[False] = False,
        return_report: Literal[True],
        **settings: Unpack[AttentionSettings],
    ) -> tuple[Kind, Report]: ...
    @overload
    def attention(
        self,
        v: Kind,
        *,
        return_lse: Literal[True],
        return_report: Literal[True],
        **settings: Unpack[AttentionSettings],
    ) -> tuple[Kind, Kind, Report]: ...
    @takes_tensors
    def attention(
        self,
        v: Tensor,
        *,
        scale: float = 1.0,
        causal: bool = False,
        causal_offset: int | None = None,
        check_finite: bool = True,
        out: Out = None,
        return_lse: bool = False,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Softmax attention with Y in place of X, without an n x n array.

            o = softmax(scale Y Y') v,   for a pair o = softmax(scale Y_q Y_k') v,   lse the logarithms of the rows' sums

        v: [n, d_v], for a pair [n_k, d_v], of Y's dtype, any strides. o: [n, d_v], for a pair [n_q, d_v]; lse: [n] or [n_q].
        All are of v's kind.
        Time O(n^2 (m + d_v)), memory beyond the arrays O(n m).

        causal, causal_offset, check_finite, out, return_lse, return_report and threads are as in the function `attention`. scale is 1
        unless given. Returns o, or a tuple of o and what else was asked for. The GIL is released meanwhile, and Ctrl-C ends the call.

        Raises `SubquadError` as the function `attention` does.

        >>> import numpy as np
        >>> import subquad
        >>> x = np.random.default_rng(1).standard_normal((5, 400)) / 20
        >>> v = np.eye(5)
        >>> y = subquad.sparsify(x, columns=100)
        >>> weights = np.exp(x @ x.T) / np.exp(x @ x.T).sum(axis=1, keepdims=True)
        >>> bool((abs(np.log(y.attention(v) / weights)) <= np.log(y.ratio_bound())).all())
        True
        """
        handle = self._open()
        values = view("v", v, 2)
        rows = self._shape[0] if self._query_rows < 0 else self._query_rows
        filled = Outputs(out, self._dtype, {"o": (rows, v.shape[1]), "lse": (rows,) if return_lse else None})
        chosen = sparsify_options(scale=scale, causal=causal, causal_offset=causal_offset, check_finite=check_finite)
        with chosen as settings, new_report() as report, borrow(threads) as context, filled:
            raw.subquad_sparsifier_attention(context, settings, handle.pointer, values, *filled.views, report)
            return filled.results(report if return_report else None)

    @takes_tensors
    def softmax_error(
        self,
        x: Matrix,
        k: Matrix | None = None,
        *,
        scale: float = 1.0,
        check_finite: bool = True,
        threads: int | None = None,
    ) -> SoftmaxError:
        """How far P~ = softmax(scale Y Y') is from P = softmax(scale X X'), or for a pair from softmax(scale Q K'), entry by entry.

            error = max |P~[i,j] - P[i,j]|,   ratio = max exp |log P~[i,j] - log P[i,j]|, at most `ratio_bound(scale)`

        x is the matrix that was sparsified; for a pair x is q, and k is k. For small n: time O(n^2 d), memory O(n^2). scale is 1 unless
        given; check_finite and threads are as in the function `attention`.

        Returns (error, ratio), a named tuple.

        Raises `SubquadError`: as `sparsify`; ERR_SHAPE, ERR_DTYPE or ERR_CONFLICT where x and k are not what was sparsified.

        >>> import numpy as np
        >>> import subquad
        >>> x = np.random.default_rng(1).standard_normal((5, 400)) / 20
        >>> round(subquad.sparsify(x, columns=400).softmax_error(x).ratio, 12)  # all columns
        1.0
        """
        handle = self._open()
        given = {"x": x} if k is None else {"x": x, "k": k}
        chosen = sparsify_options(scale=scale, check_finite=check_finite)
        with opened(**given) as pointers, chosen as settings, borrow(threads) as context:
            matrices = [*pointers, None][:2]
            return SoftmaxError(*raw.subquad_sparsifier_softmax_error(context, settings, handle.pointer, *matrices))
