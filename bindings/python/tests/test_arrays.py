"""What arrays are taken as they are, what is refused by name, and that nothing is copied."""

import tracemalloc

import numpy as np
import pytest
import subquad
from reference import LAYOUTS, assert_within, check_backward, check_forward, fill, inputs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout, dtype):
    plain = inputs(13, 13, heads=(4,), kv_heads=(2,), batch=(2,), dtype=dtype)
    arrays = [layout(array) for array in plain]
    assert all((a == b).all() for a, b in zip(arrays, plain, strict=True))
    check_forward(*arrays, causal=True)
    check_backward(*arrays, causal=True)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_broadcast(which, axis):
    """A zero stride along any axis of any input."""
    arrays = list(inputs(6, 6, heads=(2,), batch=(2,)))
    shape = arrays[which].shape
    arrays[which] = np.broadcast_to(arrays[which].take([0], axis=axis), shape)
    check_forward(*arrays)
    check_backward(*arrays)


def test_a_bias_of_any_layout():
    arrays = inputs(6, 6, heads=(2,))
    bias = fill(4, 2, 11)
    results = [
        check_forward(*arrays, lag_bias=table, lag_min=-5)[0].tobytes()
        for table in (bias, np.asfortranarray(bias), bias[::-1, ::-1].copy()[::-1, ::-1], np.repeat(bias, 2, axis=1)[:, ::2])
    ]
    assert len(set(results)) == 1


def test_extents_of_one_may_have_any_stride():
    """NumPy leaves such strides open, multiple of the item size or not."""
    q, k, v = inputs(1, 1)
    odd = np.lib.stride_tricks.as_strided(q, shape=q.shape, strides=(q.itemsize + 3, q.itemsize))
    assert subquad.attention(odd, k, v).tobytes() == subquad.attention(q, k, v).tobytes()


def test_nothing_is_copied():
    """NumPy reports its memory to tracemalloc: beyond the results the call takes less than a tenth of one input."""
    q, k, v = (np.asfortranarray(array) for array in inputs(40, 40, d=512, d_v=512, heads=(8,), dtype=np.float32))
    out = np.empty_like(q)
    subquad.attention(q, k, v, out=out)
    tracemalloc.start()
    subquad.attention(q, k, v, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < q.nbytes / 10


@pytest.mark.parametrize("layout", ["contiguous", "fortran", "stepped", "reversed"])
def test_out(layout):
    arrays = inputs(7, 9, heads=(3,))
    expected = subquad.attention(*arrays)
    gaps = np.full((6, 14, 9), np.nan)
    out = {
        "contiguous": np.empty((3, 7, 3)),
        "fortran": np.empty((3, 7, 3), order="F"),
        "stepped": gaps[::2, ::2, ::3],
        "reversed": gaps[::-2, ::-2, ::-3],
    }[layout]
    result = subquad.attention(*arrays, out=out)
    assert result is out
    assert_within(out, expected, 0.0, "out")
    assert np.isnan(gaps).sum() == gaps.size - (out.size if np.shares_memory(out, gaps) else 0)


ARRAYS = dict(zip("qkv", inputs(5, 7, d=4, d_v=4), strict=True))


def misaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    result = buffer[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def packed(array):
    """One field of a packed record: strides are no multiples of the item size."""
    records = np.zeros(array.shape, np.dtype([("x", array.dtype), ("flag", np.uint8)]))
    records["x"] = array
    return records["x"]


@pytest.mark.parametrize("argument", ["q", "k", "v"])
@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (misaligned, "ERR_STRIDE", ""),
        (packed, "ERR_STRIDE", "9"),
        (lambda x: x.astype(">f8"), "ERR_DTYPE", "byte-swapped"),
        (lambda x: x.astype(np.float16), "ERR_DTYPE", "float16"),
        (lambda x: x.astype(np.int64), "ERR_DTYPE", "int64"),
        (lambda x: x.astype(bool), "ERR_DTYPE", "bool"),
        (lambda x: x.astype(complex), "ERR_DTYPE", "complex128"),
        (lambda x: x.astype(np.longdouble), "ERR_DTYPE", np.dtype(np.longdouble).name),
        (lambda x: x.astype(object), "ERR_DTYPE", "object"),
        (lambda x: x.astype(np.float32), "ERR_DTYPE", "float32"),
        (lambda x: np.ma.masked_array(x), "ERR_DTYPE", "masked"),
        (lambda x: x.tolist(), "ERR_DTYPE", "builtins.list"),
        (lambda x: None, "ERR_NULL", "None"),
        (lambda x: x[0], "ERR_SHAPE", "1"),
        (lambda x: x[0, 0], "ERR_DTYPE", "numpy.float64"),
        (lambda x: np.array(1.0), "ERR_SHAPE", "0"),
        (lambda x: x[None, None, None], "ERR_SHAPE", "5"),
    ],
)
def test_refused(argument, change, name, words):
    arrays = ARRAYS | {argument: change(ARRAYS[argument])}
    with pytest.raises(subquad.SubquadError) as caught:
        subquad.attention(**arrays)
    assert caught.value.name == name
    assert words in str(caught.value)
    # The dtype of q is what the others are compared with: the first of those is named.
    named = "k" if argument == "q" and words == "float32" else argument
    assert str(caught.value).startswith(f"{named} ")


def test_queries_and_keys_without_columns():
    q, k, v = ARRAYS.values()
    with pytest.raises(ValueError, match=r"^q has shape .*d, its last extent, is 0"):
        subquad.attention(q[:, :0], k[:, :0], v)


@pytest.mark.parametrize(
    ("out", "name", "words"),
    [
        (np.empty((5, 3)), "ERR_SHAPE", "3"),
        (np.empty((7, 4)), "ERR_SHAPE", "7"),
        (np.empty((1, 5, 4)), "ERR_SHAPE", "[5, 4]"),
        (np.empty((5, 4), np.float32), "ERR_DTYPE", "float32"),
        (np.empty((5, 4), ">f8"), "ERR_DTYPE", "byte-swapped"),
        (np.broadcast_to(np.empty(4), (5, 4)), "ERR_VALUE", "read-only"),
        (np.lib.stride_tricks.as_strided(np.empty(4), (5, 4), (0, 8)), "ERR_STRIDE", "0"),
        (np.lib.stride_tricks.as_strided(np.empty(24), (5, 4), (8, 8)), "ERR_STRIDE", ""),
        (ARRAYS["q"], "ERR_ALIAS", "q"),
        (ARRAYS["k"][2:], "ERR_ALIAS", "k"),
        ([[0.0] * 4] * 5, "ERR_DTYPE", "list"),
    ],
)
def test_refused_out(out, name, words):
    before = {key: array.copy() for key, array in ARRAYS.items()}
    with pytest.raises(subquad.SubquadError) as caught:
        subquad.attention(**ARRAYS, out=out)
    assert caught.value.name == name
    assert str(caught.value).startswith("out ")
    assert words in str(caught.value)
    assert all((ARRAYS[key] == before[key]).all() for key in ARRAYS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("argument", "index"), [("q", (1, 0, 2, 3)), ("k", (0, 1, 6, 0)), ("v", (1, 1, 0, 2)), ("lag_bias", (1, 10))]
)
def test_the_first_non_finite_element_is_named(argument, index, bad):
    q, k, v = inputs(7, 7, d=4, heads=(2,), batch=(2,), dtype=np.float32)
    arrays = {"q": q, "k": k, "v": v, "lag_bias": fill(4, 2, 13, dtype=np.float32)}
    arrays[argument] = np.asfortranarray(arrays[argument])
    arrays[argument][index] = bad
    arrays[argument][(-1,) * arrays[argument].ndim] = bad
    with pytest.raises(ValueError, match=rf"^{argument}\[{', ?'.join(map(str, index))}\] is ") as caught:
        subquad.attention(**arrays, lag_min=-6)
    assert caught.value.name == "ERR_NONFINITE"


def test_arrays_that_no_memory_can_hold():
    few = np.zeros((1, 1))
    many = np.broadcast_to(few, (2**40, 1))
    with pytest.raises(MemoryError, match=r"^o of shape") as caught:
        subquad.attention(many, few, np.broadcast_to(few, (1, 2**10)))
    assert caught.value.name == "ERR_MEMORY"
    with pytest.raises(ValueError, match=r"^o of shape") as caught:
        subquad.attention(many, few, np.broadcast_to(few, (1, 2**40)))
    assert caught.value.name == "ERR_SIZE"


def test_subclasses_and_memory_maps(tmp_path):
    q, k, v = inputs(5, 5)
    mapped = np.memmap(tmp_path / "q", q.dtype, "w+", shape=q.shape)
    mapped[:] = q
    assert subquad.attention(mapped, k, v).tobytes() == subquad.attention(q, k, v).tobytes()
