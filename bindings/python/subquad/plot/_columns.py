"""Which columns were chosen."""

from __future__ import annotations  # signatures show short names

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._constants import Status
from .._errors import error
from ._axes import BLUE, FAINT, REFERENCE, VERMILION, axes_for, grid, legend
from ._chosen import Chooser, chosen_columns
from ._numbers import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def columns(sparsifier: Chooser, scores: npt.ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Which columns a sparsifier chose: their weights by index, or with scores where they stand among all columns.

        Y[:, j] = sqrt(weights[j]) x[:, indices[j]],   tau[j] = scores[j] = x_j' (x x')^+ x_j

    sparsifier  A `Sparsifier`, or a fitted `subquad.sklearn.ColumnSparsifier`.
    scores      [d], the leverage scores of all columns of x, by `leverage_scores`. Then each column is a point, its score against its
                index, on a logarithmic axis, and those chosen are ringed, the wider the larger weight times score is: what a column
                contributes to the sum of the spectrum, which is near the rank. Columns of score 0 are not drawn.
    ax          A matplotlib Axes to draw on, in place of a new one.

    Returns the Axes.

    Raises `SubquadError`: ERR_TYPE; ERR_VALUE for method "gram", which chooses no columns; ERR_SHAPE where scores are fewer than the
    columns; ERR_VALUE and ERR_NONFINITE for the scores. ModuleNotFoundError without matplotlib.

    Source: docs/math/sparsify.md.

    >>> import numpy as np, subquad, subquad.plot
    >>> x = np.random.default_rng(1).standard_normal((4, 300)) / np.arange(1, 301) ** 0.5
    >>> y = subquad.sparsify(x, columns=30)
    >>> subquad.plot.columns(y).get_ylabel()
    'weight'
    >>> ax = subquad.plot.columns(y, subquad.leverage_scores(x))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['300 columns', '30 chosen; area: weight x score']
    """
    chosen = chosen_columns(sparsifier)
    given = None if scores is None else numbers("scores", scores)
    if given is not None and given.size <= chosen.indices.max(initial=-1):
        raise error(Status.ERR_SHAPE, f"scores has {given.size} entries, but column {chosen.indices.max()} was chosen")
    ax = axes_for(ax, (6.4, 3.8))
    if given is None:
        ax.vlines(chosen.indices, 0, chosen.weights, color=FAINT, linewidth=0.8, zorder=1)
        label = f"{chosen.indices.size} columns chosen"
        ax.plot(chosen.indices, chosen.weights, linestyle="none", marker="o", markersize=3.5, color=BLUE, label=label)
        ax.axhline(1, color=REFERENCE, linewidth=1, linestyle="--", label="weight 1")
        ax.set_ylabel("weight")
    else:
        _among_all(ax, chosen.indices, chosen.weights, given)
    ax.set_xlabel("column")
    grid(ax)
    legend(ax)
    return ax


def _among_all(
    ax: Axes, indices: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> None:
    seen = np.flatnonzero(scores)
    # Many points are an image in a vector graphic, which would be huge otherwise.
    ax.plot(
        seen,
        scores[seen],
        linestyle="none",
        marker=".",
        markersize=2,
        color=FAINT,
        rasterized=True,
        label=f"{scores.size} columns",
    )
    share = weights * scores[indices]
    area = 12 + 150 * share / max(share.max(initial=0), np.finfo(np.float64).tiny)
    label = f"{indices.size} chosen; area: weight x score"
    ax.scatter(indices, scores[indices], s=area, facecolors="none", edgecolors=VERMILION, linewidths=1.2, zorder=3, label=label)
    ax.set(ylabel="leverage score", yscale="log" if seen.size else "linear")
