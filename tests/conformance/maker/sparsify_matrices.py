"""Matrices of the cases of sparsifiers: as the library is given them, and as numbers."""

import numpy as np

import build
import oracle
import philox
from case_list import fill


def dense(spec, dtype):
    """n x d in longdouble; entries that name one place twice add up."""
    if "sparse" not in spec:
        return build.rounded(spec, dtype).astype(oracle.REAL)
    sparse, x = spec["sparse"], np.zeros(spec["shape"], dtype=oracle.REAL)
    offsets, indices = (np.array(sparse[key], dtype=np.int64) - sparse["index_base"] for key in ("offsets", "indices"))
    outer = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    values = build.rounded({**spec, "shape": [indices.size]}, dtype)
    np.add.at(x, (outer, indices) if sparse["layout"] == "csr" else (indices, outer), values.astype(oracle.REAL))
    return x


def compressed(shape, layout, outer, inner, dtype, base):
    """Entries in the order given, which is by outer index."""
    counts = np.bincount(outer, minlength=shape[1] if layout == "csc" else shape[0])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return {
        "layout": layout,
        "index_dtype": dtype,
        "index_base": base,
        "offsets": [int(i) + base for i in offsets],
        "indices": [int(i) + base for i in inner],
    }


def random_sparse(name, stream, shape, share, layout, dtype="int32", base=0, twice=False, shuffled=False):
    """About `share` of the places, values by fill; twice: every third place twice; shuffled: rows of a column in no order."""
    picks = philox.fill_uniform(shape, "float64", **fill(name, stream, 0.0, 1.0))
    places = np.argwhere(picks < share)
    if twice:
        places = np.concatenate([places, places[::3]])
    outer, inner = places[:, ::-1].T if layout == "csc" else places.T
    order = np.lexsort((picks[places[:, 0], places[:, 1]] if shuffled else inner, outer))
    sparse = compressed(shape, layout, outer[order], inner[order], dtype, base)
    return {"shape": list(shape), "sparse": sparse, "fill": fill(name, stream + 1)}


def as_sparse(x, layout, dtype="int32", base=0):
    """The nonzeros of an array."""
    places = np.argwhere(x)
    outer, inner = places[:, ::-1].T if layout == "csc" else places.T
    order = np.lexsort((inner, outer))
    sparse = compressed(x.shape, layout, outer[order], inner[order], dtype, base)
    return {"shape": list(x.shape), "sparse": sparse, "values": x[tuple(places[order].T)]}
