"""JAX's arrays in every call, beside NumPy's."""

import numpy as np
import pytest
import subquad
from array_calls import CALLS, WITH_KIND, bits, flat
from reference import inputs

jax = pytest.importorskip("jax")


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", CALLS)
def test_every_call(name):
    call = CALLS[name]
    results = call.run(**{key: jax.numpy.asarray(array) for key, array in call.arrays.items()})
    assert bits(results) == bits(call.run(**call.arrays))
    if name in WITH_KIND:
        assert all(isinstance(array, jax.Array) for array in flat(results) if not isinstance(array, float))


def test_arrays_never_change():
    q, k, v = (jax.numpy.asarray(array) for array in inputs(5, 5))
    with pytest.raises(ValueError, match=r"^out is a .* that cannot be filled: JAX arrays are immutable"):
        subquad.attention(q, k, v, out=jax.numpy.zeros((5, 3)))
    out = np.empty((5, 3))
    assert subquad.attention(q, k, v, out=out) is out


def test_refused():
    q, k, v = (jax.numpy.asarray(array) for array in inputs(5, 5))
    with pytest.raises(TypeError, match=r"^k is bfloat16; numbers are float32 or float64"):
        subquad.attention(q, k.astype(jax.numpy.bfloat16), v)
    with pytest.raises(NotImplementedError, match=r"^q is a .*Tracer"):
        jax.jit(subquad.attention)(q, k, v)
