"""What was decided for queries and keys to meet a tolerance, and attention by it."""

from __future__ import annotations  # signatures show short names

from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypedDict, Unpack, overload

import numpy as np

from ._arrays import DTYPES, view
from ._backward import Gradients
from ._context import borrow
from ._handle import Handle
from ._library import raw
from ._options import options
from ._outputs import Out, Outputs, Outs
from ._owner import Owner
from ._report import Report, new_report, read_report
from ._tensors import Kind, Tensor, takes_tensors

_NUMPY = {code: dtype for dtype, code in DTYPES.items()}


class ApplySettings(TypedDict, total=False):
    """Types of the keyword arguments of `Plan.apply`."""

    check_finite: bool
    out: Out
    threads: int | None


class Plan(Owner[Handle]):
    """How the attention of queries and keys is computed, head by head, to a tolerance or within a budget; for any number of values.

    `plan` makes plans. With o exact attention and o~ what a plan gives, the error that it is about is

        e = |o~ - o|_F / |o|_F   of each head,

    estimated for the values that the plan was made with, or for random ones: `report` has the estimates and what each head is made of.

    A plan keeps its own copy of queries, keys, biases and ranges. It never changes: threads may share it. `close`, or a `with` block,
    releases its memory at once; its report remains. It cannot be pickled: q, k, and the arguments of `plan` make it again, bit for bit.

    Source: docs/adaptive.md.

    >>> import subquad
    >>> q, k, v = (subquad.fill_uniform((2, 500, 8), seed=1, stream=s, low=-1, high=1, dtype="float32") for s in range(3))
    >>> with subquad.plan(q, k, tol=0.1, causal=True) as plan:
    ...     o = plan.apply(v)
    >>> bool((o == subquad.attention(q, k, v, tol=0.1, causal=True)).all())
    True
    """

    def __init__(
        self, create: Callable[[], Any], report: Any, dtype: np.dtype[Any], q_shape: tuple[int, ...], k_shape: tuple[int, ...]
    ) -> None:
        super().__init__(Handle(create, raw.subquad_plan_destroy))
        self._report = read_report(report)
        self._dtype, self._q_shape, self._k_shape = dtype, q_shape, k_shape

    @property
    def report(self) -> Report:
        """What was decided, and at what estimated error. Of the whole, `pairs`, `estimate`, `sampled_rows`, `seed`, `seconds`; and

        parts             "exact", "screened", or what is computed: "window", "heavy", "selection", "centroids", "conv", joined by +
        error             estimate of e; 0 where the head is exact
        error_low, error_high
                          ends of its 95 % confidence interval
        window            keys before it that every query sees at least
        heavy_columns     single keys that all queries see
        selected_keys     keys of chosen groups, mean per query
        conv_bases        bases of the conv far field, 0 where there is none
        pairs_exact, pairs_low, pairs_screened
                          pairs computed in the arrays' precision, in low precision, and of which only a logit is, in low precision
        head_seconds_plan seconds of one thread
        fallback          why the head is exact; empty where it is not

        each a list in order of batch and head, or the value itself where there is one head. `heads` has the same by head.
        """
        return self._report

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, as of the queries."""
        return self._dtype

    def __repr__(self) -> str:
        closed = ", closed" if self._handle is None else ""
        return f"{type(self).__name__}(q={self._q_shape}, k={self._k_shape}, dtype={self._dtype}{closed})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled; the arguments of plan() make it again")

    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[False] = False,
        return_report: Literal[False] = False,
        **settings: Unpack[ApplySettings],
    ) -> Kind: ...
    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[True],
        return_report: Literal[False] = False,
        **settings: Unpack[ApplySettings],
    ) -> tuple[Kind, Kind]: ...
    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[False] = False,
        return_report: Literal[True],
        **settings: Unpack[ApplySettings],
    ) -> tuple[Kind, Report]: ...
    @overload
    def apply(
        self,
        v: Kind,
        *,
        return_lse: Literal[True],
        return_report: Literal[True],
        **settings: Unpack[ApplySettings],
    ) -> tuple[Kind, Kind, Report]: ...
    @takes_tensors
    def apply(
        self,
        v: Tensor,
        *,
        check_finite: bool = True,
        out: Out = None,
        return_lse: bool = False,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Attention as planned, o ~ D^-1 A v and lse ~ log of D's diagonal, with A and D as in `attention`.

        v: [batch, H_kv, n_k, d_v], of the plan's dtype, any strides, with as many dimensions as q. o: [batch, H_q, n_q, d_v], lse:
        [batch, H_q, n_q], of v's kind.

        Linear in v, but for the 8 bits in which values are kept where weights are. Output i does not change by a bit when values j that
        query i does not see do; but for conv far fields, where it changes by round-off of the values that share a transform.

        check_finite, out, return_lse, return_report and threads are as in `attention`. The report is that of the plan, with the pairs
        that were computed, `missed_mass` (a bound of the share of a query's weights that screening left out, largest over the queries of
        each head) and `head_seconds_apply`; `error` is still that of the values which the plan was made with.

        Returns o, or a tuple of o and what else was asked for. The same bits for any number of threads; the GIL is released meanwhile,
        and Ctrl-C ends the call.

        Raises `SubquadError` as `attention` does.

        >>> import subquad
        >>> q, k, v = (subquad.fill_uniform((6, 4), seed=1, stream=s, low=-1, high=1, dtype="float64") for s in range(3))
        >>> o, lse = subquad.plan(q, k, tol=0.05).apply(v, return_lse=True)
        >>> o.shape, lse.shape
        ((6, 4), (6,))
        """
        handle = self._open()
        values = view("v", v, 2)
        (dtype, o_shape), (_, lse_shape), _, _ = raw.subquad_plan_describe(handle.pointer, v.shape[-1])
        shapes = {"o": o_shape, "lse": lse_shape if return_lse else None}
        filled = Outputs(out, _NUMPY[dtype], shapes)
        chosen = options(check_finite=check_finite)
        with chosen as settings, new_report() as report, borrow(threads) as context, filled:
            raw.subquad_plan_apply(context, settings, handle.pointer, values, *filled.views, report)
            return filled.results(report if return_report else None)

    @overload
    def backward(
        self,
        v: Kind,
        o: Tensor,
        lse: Tensor,
        d_o: Tensor,
        *,
        check_finite: bool = True,
        out: Outs = None,
        return_report: Literal[False] = False,
        threads: int | None = None,
    ) -> Gradients[Kind]: ...
    @overload
    def backward(
        self,
        v: Kind,
        o: Tensor,
        lse: Tensor,
        d_o: Tensor,
        *,
        check_finite: bool = True,
        out: Outs = None,
        return_report: Literal[True],
        threads: int | None = None,
    ) -> tuple[Gradients[Kind], Report]: ...
    @takes_tensors
    def backward(
        self,
        v: Tensor,
        o: Tensor,
        lse: Tensor,
        d_o: Tensor,
        *,
        check_finite: bool = True,
        out: Outs = None,
        return_report: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Gradients of a loss with respect to q, k and v, from its gradient d_o with respect to the output of `apply`.

        With P[i,j] = exp(s[i,j] - lse[i]) over the pairs that the plan computes, and dS = P * (d_o v' - rowsum(d_o * o)):

            dq = scale dS k,   dk = scale dS' q,   dv = P' d_o

        Pairs that screening left out, and far fields, have no part in dq and dk; conv far fields add their transposed product to dv. Heads
        that are exact get exact gradients.

        v, o, lse: what `apply` was given and returned. d_o is shaped like o. Where query heads share a key/value head, dk and dv are
        their sums. There is no gradient in lag_bias: d_lag_bias is None. All are of v's kind.

        check_finite, return_report and threads are as in `attention`, out as in `attention_backward`. The report is that of the plan, and
        `error_backward`: for each head the relative Frobenius error of dq, estimated on sampled rows.

        Returns `Gradients`, or with return_report a tuple of those and a `Report`.

        Raises `SubquadError` as `attention` does.

        >>> import subquad
        >>> q, k, v, d_o = (subquad.fill_uniform((5, 4), seed=2, stream=s, low=-1, high=1, dtype="float64") for s in range(4))
        >>> plan = subquad.plan(q, k, v, tol=0.1, causal=True)
        >>> gradients = plan.backward(v, *plan.apply(v, return_lse=True), d_o)
        >>> gradients.dq.shape, bool((gradients.dq[0] == 0).all())  # one visible key: its weight is 1 whatever the query
        ((5, 4), True)
        """
        handle = self._open()
        views = [view("v", v, 2), view("o", o, 2), view("lse", lse), view("d_o", d_o, 2)]
        shapes = {"dq": self._q_shape, "dk": self._k_shape, "dv": v.shape, "d_lag_bias": None}
        filled = Outputs(out, self._dtype, shapes, alone=False)
        chosen = options(check_finite=check_finite)
        with chosen as settings, new_report() as report, borrow(threads) as context, filled:
            raw.subquad_plan_backward(context, settings, handle.pointer, *views, *filled.views[:3], report)
            gradients = Gradients(*filled.arrays)
            return (gradients, read_report(report)) if return_report else gradients
