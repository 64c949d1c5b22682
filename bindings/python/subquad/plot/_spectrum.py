"""How close a sparsifier is in every direction."""

from __future__ import annotations  # signatures show short names

from typing import TYPE_CHECKING, Any

import numpy as np

from .._constants import Status
from .._dlpack import as_numpy, is_tensor
from .._errors import error
from .._matrix import Matrix, opened
from ._axes import BLUE, REFERENCE, axes_for, grid, legend
from ._chosen import Chooser, certificate, dense_y
from ._whitened import relative_eigenvalues, triangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(sparsifier: Chooser, x: Matrix, k: Matrix | None = None, *, ax: Axes | None = None) -> Axes:
    """What a certificate is the largest of: how much of X X' a sparsifier has in each of its own directions.

        lambda_1 >= .. >= lambda_rank,  the eigenvalues of W' Y Y' W with W' X X' W = 1;   e = max |lambda_i - 1|

    In the direction of lambda_i, quadratic forms of Y Y' are lambda_i times those of X X'; dashed lines at 1 - e and 1 + e hold all of
    them where the certificate is exact. An estimated one may be passed by some.

    sparsifier  A `Sparsifier`, or a fitted `subquad.sklearn.ColumnSparsifier`.
    x, k        The matrix that was sparsified; for a pair the queries and the keys.
    ax          A matplotlib Axes to draw on, in place of a new one.

    Time O(d n^2), memory O(n^2) beyond blocks of x.

    Returns the Axes.

    Raises `SubquadError`: ERR_TYPE; ERR_SHAPE where x and k have not the rows of Y; ERR_NONFINITE; ERR_DTYPE and what else `sparsify`
    raises for such x and k. ModuleNotFoundError without matplotlib.

    Source: docs/math/sparsify.md.

    >>> import numpy as np, subquad, subquad.plot
    >>> x = np.random.default_rng(1).standard_normal((8, 1000))
    >>> y = subquad.sparsify(x, method="deterministic", columns=72)
    >>> ax = subquad.plot.spectrum(y, x)
    >>> values = ax.lines[0].get_ydata()
    >>> len(values), bool(np.isclose(abs(values - 1).max(), y.epsilon))
    (8, True)
    """
    found = certificate(sparsifier)
    sources = _sources(x, k)
    y = dense_y(sparsifier, list(sources.values()))
    values = relative_eigenvalues(triangle(sources), y, found.rank, sources["x"].dtype)
    ax = axes_for(ax, (6.4, 3.8))
    places = np.arange(1, values.size + 1)
    ax.plot(places, values, color=BLUE, marker="o", markersize=3, linewidth=1, label="eigenvalue of Y Y' against X X'")
    ax.axhline(1, color=REFERENCE, linewidth=1)
    if found.epsilon is not None:
        label = f"1 - e, 1 + e with e = {found.epsilon:.3g} ({found.kind})"
        ax.axhline(1 - found.epsilon, color=REFERENCE, linewidth=1, linestyle="--")
        ax.axhline(1 + found.epsilon, color=REFERENCE, linewidth=1, linestyle="--", label=label)
    ax.set(xlabel="direction, largest eigenvalue first", ylabel="Y Y' as a share of X X'")
    ax.set_ylim(bottom=0)
    grid(ax)
    legend(ax)
    return ax


def _sources(x: Matrix, k: Matrix | None) -> dict[str, Any]:
    """x, or x and k, checked: as `sparsify` would take them."""
    given = {"x": x} if k is None else {"x": x, "k": k}
    sources = {name: as_numpy(name, matrix) if is_tensor(matrix) else matrix for name, matrix in given.items()}
    with opened(**sources):
        pass
    if k is not None and k.shape[1] != x.shape[1]:
        raise error(Status.ERR_SHAPE, f"k has {k.shape[1]} columns, but x has {x.shape[1]}")
    return sources
