"""What pictures of sparsifiers show, read from a `Sparsifier` or a fitted `ColumnSparsifier`."""

from __future__ import annotations  # signatures show short names

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from .._column_blocks import ColumnBlocks
from .._constants import Status
from .._errors import SubquadError, error
from .._report import Report
from .._sparse import is_sparse
from .._sparsified import Sparsified


@runtime_checkable
class FittedColumns(Protocol):
    """A fitted `subquad.sklearn.ColumnSparsifier`, by what it has: scikit-learn need not be there."""

    columns_: npt.NDArray[np.int64]
    weights_: npt.NDArray[np.float64]
    epsilon_: float | None
    certificate_: str | None
    rank_: int | None
    n_features_in_: int
    report_: Report


Chooser: TypeAlias = Sparsified | FittedColumns


class Columns(NamedTuple):
    """Chosen columns."""

    indices: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


class Certificate(NamedTuple):
    """How close Y Y' is to X X', as measured."""

    epsilon: float | None
    kind: str | None
    rank: int | None


def chosen_columns(sparsifier: object) -> Columns:
    """Its columns of X; an error where it has none."""
    if isinstance(sparsifier, FittedColumns):
        return Columns(sparsifier.columns_, sparsifier.weights_)
    source = _sparsifier(sparsifier)
    try:
        return Columns(source.indices, source.weights)
    except SubquadError as failure:
        if failure.code != Status.ERR_UNSET:
            raise
        raise error(Status.ERR_VALUE, f'sparsifier is of method "{source.method}", which chooses no columns') from None


def certificate(sparsifier: object) -> Certificate:
    """What it says of itself."""
    if isinstance(sparsifier, FittedColumns):
        return Certificate(sparsifier.epsilon_, sparsifier.certificate_, sparsifier.rank_)
    source = _sparsifier(sparsifier)
    return Certificate(source.epsilon, source.certificate, source.rank)


def dense_y(sparsifier: object, sources: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Y in double precision; a fitted ColumnSparsifier does not keep it, and takes its columns from x, the only source then."""
    if isinstance(sparsifier, FittedColumns):
        if len(sources) > 1:
            raise error(Status.ERR_CONFLICT, "k is given, but a ColumnSparsifier is of one matrix")
        (x,) = sources
        if isinstance(x, ColumnBlocks) or x.shape[1] != sparsifier.n_features_in_:
            raise error(
                Status.ERR_SHAPE, f"x, of shape {x.shape}, is not the matrix in memory that the ColumnSparsifier was fitted on"
            )
        return np.asarray(_dense(x[:, sparsifier.columns_]), dtype=np.float64) * np.sqrt(sparsifier.weights_)
    y: npt.NDArray[np.float64] = np.asarray(_dense(_sparsifier(sparsifier).y), dtype=np.float64)
    rows = [source.shape[0] for source in sources]
    if sum(rows) != y.shape[0]:
        given = f"x has {rows[0]} rows" + (f" and k {rows[1]}" if len(rows) > 1 else "")
        raise error(Status.ERR_SHAPE, f"{given}, but the sparsifier is of {y.shape[0]}")
    chosen = _sparsifier(sparsifier)
    if chosen.method != "gram" and sources[0].shape[1] <= (last := chosen.indices.max(initial=-1)):
        raise error(Status.ERR_SHAPE, f"x has {sources[0].shape[1]} columns, but column {last} was chosen")
    return y


def _dense(x: Any) -> Any:
    return x.toarray() if is_sparse(x) else x  # type: ignore[attr-defined]


def _sparsifier(given: object) -> Sparsified:
    if not isinstance(given, Sparsified):
        raise error(
            Status.ERR_TYPE,
            f"sparsifier is {given!r:.80} of type {type(given).__name__}, not a Sparsifier or a fitted ColumnSparsifier",
        )
    return given
