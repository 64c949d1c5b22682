"""Every layout and subclass of NumPy's arrays, in every argument: it works, bit for bit, or is refused by name."""

import numpy as np
import pytest
import subquad
from array_calls import ARGUMENTS, CALLS, bits


class Subclass(np.ndarray):
    """As libraries derive them from NumPy's."""


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


def read_only(array):
    result = array.copy()
    result.flags.writeable = False
    return result


EVERYWHERE = {
    "read-only": read_only,
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "stepped": lambda x: np.repeat(x, 3, axis=-1)[..., ::3],
    "Fortran order": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "inside another": lambda x: np.pad(x, 2)[(slice(2, -2),) * x.ndim],
    "subclass": lambda x: x.copy().view(Subclass),
    "matrix": lambda x: x.copy().view(np.matrix if x.ndim == 2 else Subclass),
}
REFUSED = {
    "byte-swapped": (lambda x: x.astype(x.dtype.newbyteorder()), "ERR_DTYPE", "byte-swapped"),
    "misaligned": (misaligned, "ERR_STRIDE", "align|multiples|address"),
    "packed": (packed, "ERR_STRIDE", "multiples"),
    "masked": (np.ma.masked_array, "ERR_DTYPE", "masked"),
    "object": (lambda x: x.astype(object), "ERR_DTYPE", "object"),
    "float16": (lambda x: x.astype(np.float16), "ERR_DTYPE", "float16"),
    "complex": (lambda x: x.astype(complex), "ERR_DTYPE", "complex128"),
    "a list": (lambda x: [[None]], "", "list|None"),
    "a scalar": (lambda x: np.float64(1), "", "float64|1.0"),
}
#: Those that are read where they lie. NumPy copies blocks of columns: test_column_blocks_errors has what is wrong with those.
HELD = [pair for pair in ARGUMENTS if pair[0] != "column_blocks"]
#: They must increase, and be zero above a diagonal: copies of one row of them are none.
STRICT = {("ConvBasis", "starts"), ("ConvBasis.from_dense", "h")}


def run(name, argument, array):
    call = CALLS[name]
    return call.run(**call.arrays | {argument: array})


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("layout", EVERYWHERE.values(), ids=EVERYWHERE)
@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_works(name, argument, layout):
    plain = CALLS[name].arrays[argument]
    given = layout(plain)
    before = np.array(given).tobytes()
    assert bits(run(name, argument, given)) == bits(run(name, argument, plain))
    assert np.array(given).tobytes() == before


@pytest.mark.parametrize(("name", "argument"), [pair for pair in ARGUMENTS if pair not in STRICT])
def test_broadcast(name, argument):
    plain = CALLS[name].arrays[argument]
    given = np.broadcast_to(plain[:1], plain.shape)
    assert given.strides[0] == 0
    assert bits(run(name, argument, given)) == bits(run(name, argument, given.copy()))


@pytest.mark.parametrize(("change", "code", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(("name", "argument"), HELD)
def test_refused(name, argument, change, code, words):
    call = CALLS[name]
    given = change(call.arrays[argument])
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        run(name, argument, given)
    assert caught.value.name == code or not code
    called = call.called.get(argument, argument)
    assert str(caught.value).startswith(called), caught.value


OPTIONAL = {("attention", "lag_bias"), ("attention", "key_ranges"), ("attention_backward", "lag_bias"), ("plan", "v")}


@pytest.mark.parametrize(("name", "argument"), [pair for pair in HELD if pair not in OPTIONAL])
def test_none_is_refused(name, argument):
    with pytest.raises(subquad.SubquadError, match="None") as caught:
        run(name, argument, None)
    assert caught.value.name in ("ERR_NULL", "ERR_TYPE", "ERR_VALUE")
