"""Matrices and sparsifiers of tests/conformance/*.json as those of the package."""

import numpy as np
import scipy.sparse
import subquad
from conformance import Array, in_state

RESULTS = {
    "leverage_scores": ["scores"],
    "sparsifier_attention": ["o", "lse"],
    "sparsifier_ratio_bound": ["ratio_bound"],
    "sparsifier_softmax_error": ["error", "ratio"],
    "sparsify": ["indices", "weights", "y", "yy", "epsilon", "ratio_bound"],
    "sparsify_pair": ["indices", "weights", "y", "yy", "epsilon", "ratio_bound"],
}


def keywords(options):
    """Options by their keywords."""
    words = {name.removeprefix("sparsify_"): value for name, value in options.items()}
    if "scores" in words:
        words["method"] = words.pop("scores")
    if words.get("certify") == "none":
        words["certify"] = False
    return words


def matrix(spec, values):
    """What a MATRIX is here, of an array of its values."""
    if "blocks" in spec:
        most = spec["blocks"] or None
        return subquad.column_blocks(lambda first, last: values[:, first:last], *values.shape, values.dtype, block_columns=most)
    if "sparse" not in spec:
        return values
    sparse = spec["sparse"]
    kind = {"csc": scipy.sparse.csc_array, "csr": scipy.sparse.csr_array}[sparse["layout"]]
    x = kind(tuple(spec["shape"]), dtype=values.dtype)
    base, index_dtype = sparse["index_base"], sparse["index_dtype"]
    if "offsets" in sparse:
        x.indptr = np.array(sparse["offsets"], index_dtype) - np.array(base, index_dtype)
    else:
        x.indptr = None
    x.indices = np.array(sparse["indices"], index_dtype) - np.array(base, index_dtype)
    x.data = None if spec.get("data") == "null" else values
    return x


def made(spec, dtype, others):
    """The array of an input: of a sparse matrix, its values."""
    if "sparse" in spec:
        spec = {**spec, "shape": [len(spec["sparse"]["indices"])]}
    return Array.make(spec, dtype, others)


class SparsifierCalls:
    """Calls of the functions of sparsifiers: `_given` gives arrays and matrices by name, `sparsifier` how one is made."""

    def _leverage_scores(self, out):
        scores, report = subquad.leverage_scores(*self._given("x"), out=out, return_report=True, **self.options, **self.threads)
        return {"scores": scores}, report

    def _made_sparsifier(self, options):
        pair = "q" in self.specs or "k" in self.specs
        find, given = (subquad.sparsify_pair, ("q", "k")) if pair else (subquad.sparsify, ("x",))
        return in_state(self.sparsifier or {}, find(*self._given(*given), **options, **self.threads))

    def _sparsify(self, out):
        with self._made_sparsifier(self.options) as s:
            y = s.y if isinstance(s.y, np.ndarray) else s.y.toarray()
            wide = y.astype(np.float64)
            results = {"y": y, "yy": wide @ wide.T}
            try:
                results |= {"indices": s.indices, "weights": s.weights}
            except subquad.SubquadError as failure:  # a factor has none
                if "indices" in self.specs:
                    raise
                assert (s.method, failure.name) == ("gram", "ERR_UNSET")  # noqa: PT017
            if s.epsilon is not None:
                results |= {"epsilon": np.array([s.epsilon]), "ratio_bound": np.array([s.ratio_bound()])}
            return results, s.report

    _sparsify_pair = _sparsify

    def _sparsifier_attention(self, out):
        with self._made_sparsifier(keywords(self.sparsifier["options"])) as s:
            settings = self.options | self.threads
            o, lse, report = s.attention(*self._given("v"), out=out, return_lse=True, return_report=True, **settings)
        return {"o": o, "lse": lse}, report

    def _sparsifier_ratio_bound(self, out):
        with self._made_sparsifier(keywords(self.sparsifier["options"])) as s:
            return {"ratio_bound": np.array([s.ratio_bound(**self.options)])}, None

    def _sparsifier_softmax_error(self, out):
        with self._made_sparsifier(keywords(self.sparsifier["options"])) as s:
            names = ["q", "k"] if "q" in self.specs else ["x"]
            asked = [other if other in self.specs else name for name, other in zip(names, ["other", "other_k"], strict=False)]
            if len(names) == 1 and "other_k" in self.specs:
                asked.append("other_k")
            found = s.softmax_error(*self._given(*asked), **self.options, **self.threads)
        return {name: np.array([value]) for name, value in found._asdict().items()}, None
