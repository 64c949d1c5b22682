"""`out` of every call that has it: the same bits as in new arrays, in any layout, or refused by name with nothing written."""

import numpy as np
import pytest
import subquad
from array_calls import CALLS, bits, flat

NAMES = [name for name, call in CALLS.items() if call.out]
#: Calls whose outputs are a tuple, never an array alone; the others take the first alone too.
TUPLES = {"attention_backward", "Plan.backward", "ConvBasis.backward"}
#: Calls of one output, which is given as it is.
SINGLE = {
    name for name in NAMES if len([x for x in flat(CALLS[name].run(**CALLS[name].arrays)) if isinstance(x, np.ndarray)]) == 1
}


def expected(name):
    """The arrays that the call returns when it makes them."""
    return [array for array in flat(CALLS[name].run(**CALLS[name].arrays)) if isinstance(array, np.ndarray)]


def run(name, outs):
    """The call with these arrays for its outputs."""
    results = flat(CALLS[name].run(**CALLS[name].arrays, out=outs[0] if name in SINGLE else tuple(outs)))
    return [array for array in results if isinstance(array, np.ndarray)]


def gaps(array):
    """Every second element of every axis of a larger array of NaN, reversed."""
    return np.full([2 * extent for extent in array.shape], np.nan, array.dtype)[(slice(None, None, -2),) * array.ndim]


LAYOUTS = {
    "contiguous": np.empty_like,
    "Fortran order": lambda x: np.empty_like(x, order="F"),
    "stepped and reversed": gaps,
    "subclass": lambda x: np.empty_like(x).view(type("Subclass", (np.ndarray,), {})),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits(name, layout):
    arrays = expected(name)
    outs = [layout(array) for array in arrays]
    results = run(name, outs)
    assert all(result is out for result, out in zip(results, outs, strict=True))
    assert bits(outs) == bits(arrays)
    for out in outs:
        if layout is gaps:
            assert np.isnan(out.base).sum() == out.base.size - out.size


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SINGLE])
def test_some_of_them(name):
    """None, or nothing at the end, is for new ones."""
    arrays = expected(name)
    for given in range(len(arrays)):
        outs = [np.empty_like(array) if i == given else None for i, array in enumerate(arrays)]
        results = run(name, outs)
        assert results[given] is outs[given]
        assert bits(results) == bits(arrays)
        assert bits(run(name, outs[: given + 1])) == bits(arrays)
    if name not in TUPLES:
        out = np.empty_like(arrays[0])
        results = CALLS[name].run(**CALLS[name].arrays, out=out)
        assert results[0] is out
        assert bits(results) == bits(arrays)


WRONG = {
    "shape": (lambda x: np.empty((*x.shape[:-1], x.shape[-1] + 1), x.dtype), "ERR_SHAPE"),
    "fewer dimensions": (lambda x: np.empty(x.shape[1:], x.dtype) if x.ndim > 1 else np.empty((2, 2), x.dtype), "ERR_SHAPE"),
    "precision": (lambda x: np.empty(x.shape, np.float32), "ERR_DTYPE"),
    "integers": (lambda x: np.empty(x.shape, np.int64), "ERR_DTYPE"),
    "byte-swapped": (lambda x: np.empty(x.shape, x.dtype.newbyteorder()), "ERR_DTYPE"),
    "read-only": (lambda x: np.broadcast_to(x.dtype.type(0), x.shape), "ERR_VALUE"),
    "elements that share memory": (lambda x: np.lib.stride_tricks.as_strided(np.zeros(1), x.shape, (0,) * x.ndim), "ERR_STRIDE"),
    "masked": (lambda x: np.ma.masked_array(x.copy()), "ERR_DTYPE"),
    "a list": (lambda x: x.tolist(), "ERR_DTYPE"),
}


@pytest.mark.parametrize(("wrong", "code"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", NAMES)
def test_refused(name, wrong, code):
    arrays = expected(name)
    for i, array in enumerate(arrays):
        outs = [np.full_like(array, 7) for array in arrays]
        outs[i] = wrong(array)
        called = "out" if name in SINGLE else f"out[{i}]"
        with pytest.raises(subquad.SubquadError) as caught:
            run(name, outs)
        assert caught.value.name == code, caught.value
        assert called in str(caught.value)
        assert all((out == 7).all() for j, out in enumerate(outs) if j != i)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "column_blocks"])
def test_outputs_overlap_nothing(name):
    """Neither an input nor each other; but merge may write to a part of o."""
    arrays = expected(name)
    inputs = {key: array for key, array in CALLS[name].arrays.items() if array.dtype == np.float64}
    for i, array in enumerate(arrays):
        for key, given in inputs.items():
            if name == "merge" and i == 0 and key in ("o", "o_too"):
                continue
            shared = np.empty(array.size + given.size)
            outs = [np.empty_like(array) for array in arrays]
            twin = shared[: given.size].reshape(given.shape)
            twin[...] = given
            outs[i] = shared[given.size - 1 : given.size - 1 + array.size].reshape(array.shape)
            with pytest.raises(subquad.SubquadError) as caught:
                CALLS[name].run(**CALLS[name].arrays | {key: twin}, out=outs[0] if name in SINGLE else tuple(outs))
            assert caught.value.name == "ERR_ALIAS", caught.value
            assert "out" in str(caught.value)
        for j in range(i):
            shared = np.empty(array.size + arrays[j].size)
            outs = [np.empty_like(array) for array in arrays]
            outs[j] = shared[: arrays[j].size].reshape(arrays[j].shape)
            outs[i] = shared[arrays[j].size - 1 : arrays[j].size - 1 + array.size].reshape(array.shape)
            with pytest.raises(ValueError, match=r"out\[") as caught:
                run(name, outs)
            assert caught.value.name == "ERR_ALIAS", caught.value


@pytest.mark.parametrize("name", sorted(TUPLES))
def test_gradients_are_a_tuple(name):
    call = CALLS[name]
    array = np.empty_like(expected(name)[0])
    with pytest.raises(TypeError, match=r"^out is a numpy.ndarray, not a tuple \(dq, dk, dv") as caught:
        call.run(**call.arrays, out=array)
    assert caught.value.name == "ERR_TYPE"
    with pytest.raises(ValueError, match=r"^out has 5 arrays, not a tuple \(dq, dk, dv"):
        call.run(**call.arrays, out=(array,) * 5)
    made = call.run(**call.arrays)
    assert call.run(**call.arrays, out=made).dq is made.dq


def test_what_is_not_returned_cannot_be_filled():
    q, k, v = (CALLS["attention"].arrays[name] for name in "qkv")
    with pytest.raises(ValueError, match=r"^out\[1\] is given, but this call returns no lse") as caught:
        subquad.attention(q, k, v, out=(None, np.empty(len(q))))
    assert caught.value.name == "ERR_CONFLICT"
    arrays = {name: array for name, array in CALLS["attention_backward"].arrays.items() if name != "lag_bias"}
    with pytest.raises(ValueError, match=r"^out\[3\] is given, but this call returns no d_lag_bias"):
        subquad.attention_backward(**arrays, out=(None, None, None, np.empty((1, 15))))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_what_objects_hold(layout):
    basis = subquad.ConvBasis(starts=[[0, 2], [1, 3]], kernels=np.arange(1.0, 17).reshape(2, 2, 4))
    for function in (basis.to_dense, basis.kernels):
        out = layout(function())
        assert function(out=out) is out
        assert bits(out) == bits(function())
        for wrong, code in WRONG.values():
            with pytest.raises(subquad.SubquadError, match=r"^out\b") as caught:
                function(out=wrong(function()))
            assert caught.value.name == code


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_random_numbers(layout):
    arguments = {"seed": 1, "stream": 2, "low": -1, "high": 1, "dtype": "float64"}
    made = subquad.fill_uniform((3, 4), **arguments)
    out = layout(made)
    assert subquad.fill_uniform((3, 4), **arguments, out=out) is out
    assert bits(out) == bits(made)
    for wrong, code in WRONG.values():
        with pytest.raises(subquad.SubquadError, match=r"^out\b") as caught:
            subquad.fill_uniform((3, 4), **arguments, out=wrong(made))
        assert caught.value.name == code
