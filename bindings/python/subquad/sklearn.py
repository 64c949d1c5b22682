"""Choosing columns in a pipeline of scikit-learn's. Needs the extra `subquad[sklearn]`."""

from __future__ import annotations  # signatures show short names

import numbers
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from ._constants import Status
from ._errors import error, naming
from ._extras import needed
from ._scalars import flag
from ._sparse import is_sparse, selected
from ._sparsify import sparsify

# scikit-learn comes without types: what is taken from it is Any.
_BaseEstimator: Any = needed("sklearn.base", "sklearn").BaseEstimator
_SelectorMixin: Any = needed("sklearn.feature_selection", "sklearn").SelectorMixin
_utils, _validation = (needed(f"sklearn.{module}", "sklearn") for module in ("utils", "utils.validation"))

__all__ = ["ColumnSparsifier"]

#: What `sparsify` reads. Other matrices are converted, others than these dtypes to the first.
_ACCEPTED = {"accept_sparse": ("csc", "csr"), "dtype": (np.float64, np.float32)}
#: The e to reach where neither columns nor eps is given: then squared distances are right within a factor of three, either way.
_EPS = 0.5
_FITTED = ("columns_", "weights_", "epsilon_", "certificate_", "rank_", "report_")


class ColumnSparsifier(_SelectorMixin, _BaseEstimator):  # type: ignore[misc]  # its bases are Any
    """Few columns (features) of X [n_samples, n_features] with weights, such that X's inner products and distances stay what they were.

        Y = X[:, columns_] * sqrt(weights_),   (1-e) X X' <= Y Y' <= (1+e) X X'   with e = epsilon_ measured.

    So for any two samples a and b, as rows of X and of Y: |<a,b>_Y - <a,b>_X| <= e |a| |b|, and their squared distance is right within
    factors 1-e and 1+e. Whatever rests on these alone (linear and Gaussian kernels, nearest neighbours, k-means, ridge regression,
    softmax attention) sees nearly the same data with few features, each of which is one of X's. Useful where features are many more
    than samples, or than the rank of X; otherwise nearly all of them are needed.

    columns       The most columns, as in `subquad.sparsify`. As many as X has, or more, keep all, with weights 1.
    eps           Instead of columns: the e to reach, and columns as that takes. With neither, 0.5.
    method        "leverage", at random by leverage scores: fast. "deterministic": the least e for its number of columns, which has to be
                  above the rank of X.
    delta         The probability that "leverage" misses eps.
    weighted      Whether `transform` weights the columns. Without, it takes them as they are, and e says nothing about them.
    certify       How e is measured: "auto", "exact", "estimate" or False, as in `subquad.sparsify`.
    random_state  An integer, which is `subquad.sparsify`'s seed: the same columns at every fit. A RandomState, or None for NumPy's global
                  one, of which a seed is drawn at every fit.
    threads       As in `subquad.attention`.

    Of `fit`:

    columns_      Indices of the chosen columns, int64 [m], increasing.
    weights_      Their weights, float64 [m], above 0.
    epsilon_      e, or None where it was not measured.
    certificate_  "exact"; "estimate" (e is no less than epsilon_, and may be more); None where it was not measured.
    rank_         The rank of X; None where all columns were asked for.
    report_       What was done, a `subquad.Report`.
    n_features_in_, feature_names_in_
                  As for every estimator of scikit-learn's: names only where X had names that are texts.

    A row that `transform` meets first is weighted alike. As far as it is a linear combination of the rows that were fitted, e holds for
    it too. The choice knows nothing of the rest of it: with "leverage" its inner products are right on average over seeds where they
    rest on columns that are not zero in X, and no bound holds.

    Dense arrays, data frames, CSC and CSR matrices; float32 remains float32. It pickles, clones, and goes into pipelines; `set_output`
    and `get_support` are as for every selector.

    Source: [SPARS] arXiv 2304.04397; docs/math/sparsify.md.

    >>> import numpy as np
    >>> from subquad.sklearn import ColumnSparsifier
    >>> X = np.random.default_rng(1).standard_normal((20, 4000))
    >>> chooser = ColumnSparsifier(columns=800, certify="exact", random_state=0).fit(X)
    >>> Y = chooser.transform(X)
    >>> Y.shape, chooser.certificate_, chooser.epsilon_ < 0.5
    ((20, 800), 'exact', True)
    >>> bool(abs(Y @ Y.T - X @ X.T).max() <= chooser.epsilon_ * (X**2).sum(axis=1).max())
    True
    """

    def __init__(
        self,
        columns: int | None = None,
        *,
        eps: float | None = None,
        method: str = "leverage",
        delta: float = 0.01,
        weighted: bool = True,
        certify: Literal["auto", "exact", "estimate", False] = "auto",
        random_state: Any = None,
        threads: int | None = None,
    ) -> None:
        self.columns = columns
        self.eps = eps
        self.method = method
        self.delta = delta
        self.weighted = weighted
        self.certify: Literal["auto", "exact", "estimate", False] = certify
        self.random_state = random_state
        self.threads = threads

    def fit(self, X: Any, y: object = None) -> Self:
        """Choose columns of X [n_samples, n_features]. y is ignored. Returns the estimator itself.

        Raises `SubquadError`, as `subquad.sparsify` does: ERR_CONFLICT where both columns and eps are given, ERR_VALUE where columns is
        not above the rank for "deterministic", where method is "gram" (a factor, which has no columns of X), and where all of X is zero.
        Those of scikit-learn's own checks of X (no samples, NaN, text) are ValueError or TypeError.
        """
        if self.method == "gram":
            raise error(Status.ERR_VALUE, 'method is "gram", which chooses no columns; it may be "leverage" or "deterministic"')
        flag("weighted", self.weighted)
        neither = self.columns is None and self.eps is None
        x = _validation.validate_data(self, X, **_ACCEPTED)
        for name in _FITTED:  # from here on nothing of an earlier fit remains, even if this one fails
            self.__dict__.pop(name, None)
        if is_sparse(x) and x.format == "csr":
            x = x.sorted_indices()  # type: ignore[attr-defined]  # itself where they are sorted
        with naming("x", "X"), naming("seed", "random_state"):
            chosen = sparsify(
                x,
                method=self.method,
                columns=self.columns,
                eps=_EPS if neither else self.eps,
                delta=self.delta,
                seed=self._seed(),
                certify=self.certify,
                threads=self.threads,
            )
        with chosen:
            if not chosen.shape[1]:
                raise error(Status.ERR_VALUE, "X is zero everywhere: there is no column to choose")
            self.columns_, self.weights_ = chosen.indices, chosen.weights
        self.epsilon_, self.certificate_, self.rank_ = chosen.epsilon, chosen.certificate, chosen.rank
        self.report_ = chosen.report
        return self

    def transform(self, X: Any) -> Any:
        """The chosen columns of X [n_samples, n_features], each times the square root of its weight: a new array, or sparse where X is.

        Raises `NotFittedError`, and ValueError where X has other features than the X of `fit`.
        """
        _validation.check_is_fitted(self, "columns_")
        x = _validation.validate_data(self, X, reset=False, **_ACCEPTED)
        weights = self._applied_weights()
        return selected(x, self.columns_, weights) if is_sparse(x) else x[:, self.columns_] * np.sqrt(weights).astype(x.dtype)

    def inverse_transform(self, X: Any) -> Any:
        """What `transform` was given, as far as X [n_samples, m] has it: the chosen columns without their weights, all others zero."""
        _validation.check_is_fitted(self, "columns_")
        x = _validation.check_array(X, **_ACCEPTED)
        weights = self._applied_weights()
        if x.shape[1] != weights.size:
            raise error(Status.ERR_SHAPE, f"X has {x.shape[1]} features, but {weights.size} columns were chosen")
        if is_sparse(x):
            return self._spread(selected(x.tocsc(), np.arange(weights.size), 1 / weights)).asformat(x.format)  # type: ignore[attr-defined]
        back = np.zeros((x.shape[0], self.n_features_in_), x.dtype)
        back[:, self.columns_] = x / np.sqrt(weights).astype(x.dtype)
        return back

    def _spread(self, x: Any) -> Any:
        """A csc matrix of the chosen columns as one of all columns."""
        counts = np.zeros(self.n_features_in_, x.indptr.dtype)
        counts[self.columns_] = np.diff(x.indptr)
        offsets = np.insert(np.cumsum(counts, dtype=counts.dtype), 0, 0)
        return type(x)((x.data, x.indices, offsets), shape=(x.shape[0], self.n_features_in_))

    def _applied_weights(self) -> npt.NDArray[np.float64]:
        """What `transform` weights the columns with."""
        return self.weights_ if self.weighted else np.ones_like(self.weights_)

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        """For scikit-learn: which columns were chosen."""
        _validation.check_is_fitted(self, "columns_")
        mask = np.zeros(self.n_features_in_, dtype=bool)
        mask[self.columns_] = True
        return mask

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(_utils.check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
