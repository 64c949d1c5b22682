"""What subquad.dask refuses, by name and before anything is computed; and what fails on a worker says where."""

import re
import subprocess
import sys

import numpy as np
import pytest
import subquad
from conv_reference import changed, refused
from dask_reference import da, dask
from reference import inputs

Q, K, V = inputs(6, 9, d=4, d_v=3, heads=(4,), kv_heads=(2,), batch=(2,))
LAZY = {name: da.from_array(array, chunks=3) for name, array in (("q", Q), ("k", K), ("v", V))}
UNKNOWN = LAZY["k"][da.from_array(np.ones(2, bool), chunks=1)]


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize(
    ("arguments", "name", "words"),
    [
        ({"q": None}, "ERR_NULL", "^q is None, not a dask.array.Array"),
        ({"k": K}, "ERR_DTYPE", "^k is a numpy.ndarray, not a dask.array.Array"),
        ({"v": [1.0]}, "ERR_DTYPE", "^v is a builtins.list"),
        ({"v": da.ma.masked_array(LAZY["v"])}, "ERR_DTYPE", "^v has chunks of MaskedArray"),
        ({"k": UNKNOWN}, "ERR_SHAPE", r"^k has chunks of unknown sizes, .*nan.*; compute_chunk_sizes"),
        ({"q": LAZY["q"].astype("float16")}, "ERR_DTYPE", "^q is <f2, not one of float32, float64"),
        ({"q": LAZY["q"].astype(">f8")}, "ERR_DTYPE", "^q is >f8"),
        ({"q": LAZY["q"].astype("int64")}, "ERR_DTYPE", "^q is <i8"),
        ({"k": LAZY["k"].astype("float32")}, "ERR_DTYPE", "^k is float32, not float64 as q"),
        ({"q": LAZY["q"][0, 0, 0]}, "ERR_SHAPE", "^q has 1 dimensions, not 2 to 4"),
        ({"k": LAZY["k"][0]}, "ERR_SHAPE", "^k has 3 dimensions, q has 4"),
        ({"q": LAZY["q"][..., :0]}, "ERR_SHAPE", r"^q has shape \(2, 4, 6, 0\): d"),
        ({"q": LAZY["q"][..., :3]}, "ERR_SHAPE", r"^k has shape \(2, 2, 9, 4\), not \(2, 2, 9, 3\) to fit q"),
        ({"q": LAZY["q"][:1]}, "ERR_SHAPE", r"^k has shape \(2, 2, 9, 4\), not \(1, 2, 9, 4\) to fit q"),
        ({"v": LAZY["v"][..., :5, :]}, "ERR_SHAPE", r"^v has shape \(2, 2, 5, 3\), not \(2, 2, 9, 3\) to fit k"),
        ({"q": LAZY["q"][:, :3]}, "ERR_SHAPE", "^q has 3 heads, not a multiple of the 2 heads of k"),
        ({"causal": True}, "ERR_CONFLICT", "^causal_offset is unset, but n_q = 6 and n_k = 9 differ"),
        ({"causal": 1}, "ERR_VALUE", "^causal is 1"),
        ({"causal": True, "causal_offset": 0.5}, "ERR_TYPE", "^causal_offset is 0.5"),
        ({"scale": float("nan")}, "ERR_VALUE", "^scale is nan"),
        ({"threads": 0}, "ERR_VALUE", "^threads is 0"),
        ({"threads": None}, "ERR_TYPE", "^threads is None"),
        ({"tol": 2.0}, "ERR_VALUE", "^tol is 2"),
        ({"tol": 0.1}, "ERR_UNSUPPORTED", "^tol is 0.1, but the keys are in 3 chunks"),
        ({"budget": 0.5}, "ERR_UNSUPPORTED", "^budget is 0.5, but the keys are in 3 chunks"),
        ({"tol": 0.1, "budget": 0.5}, "ERR_CONFLICT", "^tol is "),
        ({"tol": 0.1, "parts": "heavy"}, "ERR_TYPE", "^parts is 'heavy'"),
        ({"key_ranges": [(0, 1)] * 3}, "ERR_SHAPE", r"^key_ranges has shape \(3, 2\), not \(1, 2\) or \(2, 2\)"),
        ({"key_ranges": [(0, 1.5)]}, "ERR_VALUE", "^key_ranges is "),
        ({"key_ranges": np.ones((1, 2))}, "ERR_DTYPE", "^key_ranges is float64, not int64"),
        ({"attn_mask": Q}, "ERR_UNSUPPORTED", "^attn_mask: dense masks"),
    ],
    ids=str,
)
def test_arguments(arguments, name, words):
    refused(name, words, subquad.dask.attention, **(LAZY | arguments))


def test_without_dask():
    """The package works, and its part that does not says what it needs."""
    for missing in ("dask", "distributed"):
        script = f"import sys; sys.modules['{missing}'] = None; import subquad; import subquad.dask"
        done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120, check=False)
        assert re.search(rf"\nModuleNotFoundError: subquad.dask needs {missing}.*: pip install 'subquad\[dask\]'\n$", done.stderr)


def test_keywords_of_other_libraries():
    with pytest.raises(TypeError, match=r"is_causal.*use causal="):
        subquad.dask.attention(**LAZY, is_causal=True)
    with pytest.raises(TypeError, match="lag_bias"):
        subquad.dask.attention(**LAZY, lag_bias=Q)


RESULTS = {"o": LAZY["q"][..., :3], "lse": LAZY["q"][..., 0], "d_o": LAZY["q"][..., :3]}


@pytest.mark.parametrize(
    ("arguments", "name", "words"),
    [
        ({"o": Q}, "ERR_DTYPE", "^o is a numpy.ndarray"),
        ({"lse": LAZY["q"]}, "ERR_SHAPE", r"^lse has shape \(2, 4, 6, 4\), not \(2, 4, 6\) to fit q and v"),
        ({"d_o": LAZY["q"]}, "ERR_SHAPE", r"^d_o has shape \(2, 4, 6, 4\), not \(2, 4, 6, 3\)"),
        ({"o": RESULTS["o"].astype("float32")}, "ERR_DTYPE", "^o is float32, not float64 as q"),
        ({"causal": True}, "ERR_CONFLICT", "^causal_offset is unset"),
        ({"scale": "big"}, "ERR_TYPE", "^scale is 'big'"),
    ],
    ids=str,
)
def test_arguments_of_gradients(arguments, name, words):
    refused(name, words, subquad.dask.attention_backward, **(LAZY | RESULTS | arguments))


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (
            ("q", (1, 3, 5, 2)),
            r"^in the chunk of queries 3 \.\. 5 and keys \d \.\. \d, counted from its first: q\[0, 0, 2, 2\] is nan",
        ),
        (
            ("v", (0, 1, 7, 1)),
            r"^in the chunk of queries \d \.\. \d and keys 6 \.\. 8, counted from its first: v\[0, 0, 1, 1\] is nan",
        ),
    ],
)
def test_numbers_that_are_not_finite_are_found_where_they_are(at, words):
    which, place = at
    arrays = {
        name: da.from_array(changed(x, place, np.nan) if name == which else x, chunks=(1, 1, 3, -1))
        for name, x in (("q", Q), ("k", K), ("v", V))
    }
    o = subquad.dask.attention(**arrays)
    refused("ERR_NONFINITE", words, o.compute)


MATRIX = da.from_array(np.arange(60.0).reshape(3, 20), chunks=(3, 7))


@pytest.mark.parametrize("function", [subquad.dask.sparsify, lambda x, **_: subquad.dask.column_blocks(x)])
@pytest.mark.parametrize(
    ("x", "name", "words"),
    [
        (None, "ERR_NULL", "^x is None"),
        (Q[0, 0], "ERR_DTYPE", "^x is a numpy.ndarray, not a dask.array.Array"),
        (LAZY["q"], "ERR_SHAPE", r"^x has shape \(2, 4, 6, 4\), not two dimensions"),
        (MATRIX[:, da.from_array(np.ones(20, bool), chunks=7)], "ERR_SHAPE", "^x has chunks of unknown sizes"),
        (MATRIX.astype("int32"), "ERR_DTYPE", "^x is <i4"),
    ],
    ids=["None", "numpy", "four dimensions", "unknown", "int32"],
)
def test_matrices(function, x, name, words):
    refused(name, words, function, x, columns=5)


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ({}, "ERR_CONFLICT", "columns"),
        ({"columns": 0}, "ERR_VALUE", "^columns is 0"),
        ({"columns": 5, "ahead": -1}, "ERR_VALUE", "^ahead is -1"),
        ({"columns": 5, "ahead": 1.5}, "ERR_TYPE", "^ahead is 1.5"),
        ({"columns": 5, "block_columns": 0}, "ERR_VALUE", "^block_columns is 0"),
        ({"columns": 5, "method": "best"}, "ERR_VALUE", "^method is 'best'"),
        ({"columns": 5, "method": "gram"}, "ERR_CONFLICT", "columns"),
        ({"columns": 5, "certify": "estimate"}, "ERR_UNSUPPORTED", "certify|estimate"),
    ],
    ids=str,
)
def test_settings_of_sparsifiers(settings, name, words):
    refused(name, words, subquad.dask.sparsify, MATRIX, **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"columns": 5}, r"^x\[1, 16\] is nan"), ({"method": "gram"}, r"^in columns 14 \.\. 19: x\[1, 2\] is nan")],
)
def test_columns_that_are_not_finite(settings, words):
    x = da.from_array(changed(MATRIX.compute(), (1, 16), np.nan), chunks=(3, 7))
    refused("ERR_NONFINITE", words, subquad.dask.sparsify, x, **settings)


def test_an_exception_of_a_chunk_reaches_the_caller():
    def trouble(block, block_info=None):
        if block_info[0]["chunk-location"][1] == 2:
            raise RuntimeError("mine")
        return block

    x = MATRIX.map_blocks(trouble, dtype=MATRIX.dtype, meta=MATRIX._meta)
    for settings in ({"columns": 5}, {"method": "gram"}):
        with pytest.raises(RuntimeError, match="mine"):
            subquad.dask.sparsify(x, **settings)
