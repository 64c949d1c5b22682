"""What a sparsifier holds: columns with weights, and a certificate."""

from __future__ import annotations  # signatures show short names

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ._arrays import DTYPES, FloatArray, empty, view
from ._constants import Certificate, Status
from ._constants import Sparsifier as Method
from ._errors import SubquadError, error
from ._handle import Handle
from ._library import raw
from ._matrix import Matrix
from ._owner import Owner
from ._report import Report, read_report
from ._sparse import SparseMatrix, is_sparse, selected, stacked

_NUMPY = {code: dtype for dtype, code in DTYPES.items()}


class _Parts(Handle):
    """The library's sparsifier, and for each matrix that it was made of the part of Y that is sparse."""

    __slots__ = ("sparse",)

    def __init__(self, create: Callable[[], Any]) -> None:
        super().__init__(create, raw.subquad_sparsifier_destroy)
        self.sparse: list[SparseMatrix | None] = []


class Sparsified(Owner[_Parts]):
    """A matrix Y [n, m], and how close Y Y' is to X X'."""

    def __init__(self, create: Callable[[], Any], report: Any, sources: tuple[Matrix, ...]) -> None:
        parts = _Parts(create)
        super().__init__(parts)
        pointer = parts.pointer
        (dtype, shape), method, self._query_rows = raw.subquad_sparsifier_describe(pointer)
        self._dtype, self._method = _NUMPY[dtype], Method(method).name.lower()
        self._shape: tuple[int, int] = shape
        epsilon, certificate, radius = raw.subquad_sparsifier_certificate(pointer)
        self._epsilon: float = epsilon
        self._certificate = Certificate(certificate)
        self._radius: float = radius
        self._report = read_report(report)
        parts.sparse = self._select(sources)

    def _select(self, sources: tuple[Matrix, ...]) -> list[SparseMatrix | None]:
        """For each source its part of Y, where that is sparse."""
        if not any(map(is_sparse, sources)):
            return [None] * len(sources)
        try:
            indices, weights = self.indices, self.weights
        except SubquadError as failure:
            if failure.code != Status.ERR_UNSET:
                raise
            return [None] * len(sources)  # a factor, which is dense
        return [selected(source, indices, weights) if is_sparse(source) else None for source in sources]

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """A new array [m] of the columns of X that were chosen: distinct, increasing.

        Raises `SubquadError`: ERR_UNSET for method "gram", which chooses none.
        """
        indices = np.empty(self._shape[1], np.int64)
        raw.subquad_sparsifier_get(self._open().pointer, view("indices", indices), None, None)
        return indices

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """A new array [m] of their weights: Y[:, j] = sqrt(weights[j]) X[:, indices[j]].

        Raises `SubquadError`: ERR_UNSET for method "gram".
        """
        weights = np.empty(self._shape[1], np.float64)
        raw.subquad_sparsifier_get(self._open().pointer, None, view("weights", weights), None)
        return weights

    @property
    def y(self) -> Any:
        """A new array [n, m] of X's dtype, or a new sparse matrix in X's format where X is sparse; [Y_q; Y_k] for a pair.

        The factor of method "gram" is dense for a sparse X too, and so is the Y of a pair that is not sparse throughout.

        Raises `SubquadError`: ERR_MEMORY.
        """
        parts = self._open()
        sparse = [part for part in parts.sparse if part is not None]
        if len(sparse) < len(parts.sparse):
            return self._dense(parts)
        return stacked(sparse) if len(sparse) > 1 else sparse[0].copy()

    @property
    def y_q(self) -> Any:
        """Y_q [n_q, m], the rows of a pair's Y that stand for the queries: a new array, or sparse where q is.

        Raises `SubquadError`: ERR_CONFLICT for the sparsifier of one matrix; ERR_MEMORY.
        """
        return self._part("y_q", 0)

    @property
    def y_k(self) -> Any:
        """Y_k [n_k, m], the rows of a pair's Y that stand for the keys: a new array, or sparse where k is.

        Raises `SubquadError`: as `y_q`.
        """
        return self._part("y_k", 1)

    def _part(self, name: str, which: int) -> Any:
        parts = self._open()
        if self._query_rows < 0:
            raise error(
                Status.ERR_CONFLICT, f"{name} belongs to a pair, as sparsify_pair makes them; this is of one matrix: see y"
            )
        sparse = parts.sparse[which]
        if sparse is not None:
            return sparse.copy()
        dense = self._dense(parts)
        return dense[self._query_rows :] if which else dense[: self._query_rows]

    def _dense(self, handle: Handle) -> FloatArray:
        y = empty("y", self._shape, self._dtype)
        raw.subquad_sparsifier_get(handle.pointer, None, None, view("y", y))
        return y

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m) of Y; for a pair n = n_q + n_k."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, as of X."""
        return self._dtype

    @property
    def method(self) -> str:
        """One of "leverage", "deterministic", "gram"."""
        return self._method

    @property
    def rank(self) -> int | None:
        """The rank of X: how many of its singular values are above round-off once its rows are scaled to norm 1.

        None where all columns were asked for, which needs no rank.
        """
        return self._report.get("rank")

    @property
    def epsilon(self) -> float | None:
        """The certificate e, or a lower estimate of it where `certificate` says so; None where there is none."""
        return None if self._certificate == Certificate.NONE else self._epsilon

    @property
    def certificate(self) -> str | None:
        """How `epsilon` was measured: "exact", or "estimate" (e is no less than it, and may be more); None where it was not."""
        return None if self._certificate == Certificate.NONE else self._certificate.name.lower()

    @property
    def radius(self) -> float:
        """r = max_i |x_i|^2 over the rows of X; for a pair max_i |q_i| max_j |k_j|."""
        return self._radius

    @property
    def report(self) -> Report:
        """What was done: rank, condition, width, what theory promises (`epsilon_bound`), times; see `subquad.h`, section 10."""
        return self._report

    def __repr__(self) -> str:
        certificate = "" if self.epsilon is None else f", epsilon={self.epsilon:.3g} ({self.certificate})"
        closed = ", closed" if self._handle is None else ""
        return f"{type(self).__name__}(shape={self._shape}, method='{self._method}'{certificate}, dtype={self._dtype}{closed})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled; its indices, weights and y can")
