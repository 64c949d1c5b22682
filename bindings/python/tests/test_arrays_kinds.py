"""Tensors of other libraries through DLPack, by one that is made up here: the same bits as NumPy's, in its kind, without copies."""

import tracemalloc

import numpy as np
import pytest
import subquad
from array_calls import ARGUMENTS, CALLS, WITH_KIND, bits, flat
from made_up_tensors import Memory, Tensor
from reference import inputs


def kinds(results):
    return {type(array) for array in flat(results) if not isinstance(array, float)}


def fit(name):
    """The call's arrays, some of them as their first axis reads backwards: DLPack hands over any strides."""
    return {key: array[::-1].copy()[::-1] for key, array in CALLS[name].arrays.items()}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_every_call(name, old):
    call = CALLS[name]
    tensors = {key: Tensor(array, old=old) for key, array in fit(name).items()}
    results = call.run(**tensors)
    assert bits([getattr(array, "array", array) for array in flat(results)]) == bits(call.run(**call.arrays))
    if name in WITH_KIND:
        assert kinds(results) == {Tensor}
    if name != "column_blocks":
        assert [tensor.handed_over for tensor in tensors.values()] == [1] * len(tensors)


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_mixed_kinds(name, argument):
    """The first array of the signature says what comes back."""
    call = CALLS[name]
    results = call.run(**call.arrays | {argument: Tensor(call.arrays[argument])})
    assert bits([getattr(array, "array", array) for array in flat(results)]) == bits(call.run(**call.arrays))
    if name in WITH_KIND:
        assert kinds(results) == {Tensor if argument == next(iter(call.arrays)) else np.ndarray}


def test_the_order_of_keywords_does_not_matter():
    q, k, v = inputs(4, 4)
    assert isinstance(subquad.attention(k=k, v=Tensor(v), q=q), np.ndarray)
    assert isinstance(subquad.attention(v=v, k=k, q=Tensor(q)), Tensor)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call.out])
def test_out(name, old):
    """It comes back itself, whatever the inputs are, and whatever else is new."""
    call = CALLS[name]
    expected = [array for array in flat(call.run(**call.arrays)) if isinstance(array, np.ndarray)]
    for kind in (np.asarray, Tensor):
        outs = tuple(Tensor(np.empty_like(array), old=old) for array in expected)
        results = call.run(**{key: kind(array) for key, array in call.arrays.items()}, out=outs if len(outs) > 1 else outs[0])
        results = [array for array in flat(results) if not isinstance(array, float)]
        assert all(result is out for result, out in zip(results, outs, strict=True))
        assert bits([out.array for out in outs]) == bits(expected)


def test_out_of_another_kind_than_the_rest():
    q, k, v = inputs(4, 4)
    out = np.empty((4, 3))
    o, lse = subquad.attention(Tensor(q), k, v, return_lse=True, out=out)
    assert o is out
    assert isinstance(lse, Tensor)
    o, lse = subquad.attention(q, k, v, return_lse=True, out=(Tensor(out), None))
    assert o.array is out
    assert isinstance(lse, np.ndarray)


def test_nothing_is_copied():
    """NumPy reports its memory to tracemalloc: beyond the results the call takes less than a tenth of one input."""
    q, k, v = (np.asfortranarray(array) for array in inputs(40, 40, d=512, d_v=512, heads=(8,), dtype=np.float32))
    tensors = [Tensor(array) for array in (q, k, v)]
    out = Tensor(np.empty_like(q))
    subquad.attention(*tensors, out=out)
    tracemalloc.start()
    subquad.attention(*tensors, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < q.nbytes / 10


@pytest.mark.parametrize(("name", "argument"), [pair for pair in ARGUMENTS if pair[0] != "column_blocks"])
def test_another_device(name, argument):
    call = CALLS[name]
    with pytest.raises(NotImplementedError, match="not on the CPU") as caught:
        call.run(**call.arrays | {argument: Tensor(call.arrays[argument], device=2)})
    assert caught.value.name == "ERR_UNSUPPORTED"
    assert str(caught.value).startswith(call.called.get(argument, argument)), caught.value


Q, K, V = inputs(4, 4)


class Broken(Tensor):
    def __dlpack__(self, **version):
        raise RuntimeError("of no mind to")


class Brain16(Broken):
    dtype = "made_up.bfloat16"


@pytest.mark.parametrize(
    ("q", "name", "words"),
    [
        (Tensor(Q.astype(np.float16)), "ERR_DTYPE", "q is float16"),
        (Tensor(Q.astype(complex)), "ERR_DTYPE", "q is complex128"),
        (Tensor(Q.astype(">f8")), "ERR_DTYPE", "q is >f8; numbers are float32 or float64"),
        (Brain16(Q), "ERR_DTYPE", "q is bfloat16; numbers are float32 or float64"),
        (Broken(Q), "ERR_UNSUPPORTED", "q is a .*Broken that DLPack does not hand over: of no mind to"),
        (Memory(Q), "ERR_UNSUPPORTED", "q is a .*Memory, whose library has no from_dlpack"),
        (Tensor(Q, device=2), "ERR_UNSUPPORTED", "q is a .*Tensor on 2, not on the CPU"),
        (Tensor(Q[0]), "ERR_SHAPE", "q has 1 dimensions"),
        (Tensor(np.where(Q > 0, np.nan, Q)), "ERR_NONFINITE", r"q\["),
    ],
)
def test_refused(q, name, words):
    with pytest.raises(subquad.SubquadError, match=rf"^{words}") as caught:
        subquad.attention(q, K, V)
    assert caught.value.name == name


@pytest.mark.parametrize("old", [False, True])
def test_out_that_is_read_only(old):
    """The library knows, whether its DLPack says so or not."""
    frozen = np.zeros((4, 3))
    frozen.flags.writeable = False

    class Frozen(Tensor):
        def __dlpack__(self, **version):
            return np.zeros((4, 3)).__dlpack__(**version)

    with pytest.raises(ValueError, match=r"^out is a .*Frozen that cannot be filled") as caught:
        subquad.attention(Q, K, V, out=Frozen(frozen, old=old))
    assert caught.value.name == "ERR_VALUE"


def test_out_that_dlpack_marks_read_only():
    """Since its version 1, whatever the library itself would let be written."""
    frozen = np.zeros((4, 3))
    frozen.flags.writeable = False

    class Careless(Tensor):
        def __setitem__(self, index, value):
            pass

    with pytest.raises(ValueError, match=r"^out is a .*Careless that cannot be filled: its memory is marked read-only") as caught:
        subquad.attention(Q, K, V, out=Careless(frozen))
    assert caught.value.name == "ERR_VALUE"
    assert not frozen.any()


def test_out_overlaps_an_input():
    with pytest.raises(ValueError, match=r"^out overlaps q") as caught:
        subquad.attention(Tensor(Q), K, K, out=Tensor(Q))
    assert caught.value.name == "ERR_ALIAS"


def test_parts_of_any_iterable():
    o, lse = subquad.attention(Q, K, V, return_lse=True)
    expected = bits(subquad.merge([o, o], [lse, lse]))
    for kind in (list, tuple, iter):
        merged = subquad.merge(kind([Tensor(o), Tensor(o)]), kind([lse, Tensor(lse)]))
        assert bits([part.array for part in merged]) == expected


def test_what_an_object_holds_is_numpys():
    basis = subquad.ConvBasis(starts=Tensor(np.array([0])), kernels=Tensor(np.ones((1, 3))))
    assert kinds([basis.starts, basis.kernels(), basis.to_dense()]) == {np.ndarray}
    out = Tensor(np.empty((3, 3)))
    assert basis.to_dense(out=out) is out
    assert kinds([basis @ Tensor(np.ones(3)), basis.T @ Tensor(np.ones(3))]) == {Tensor}


def test_blocks_of_columns():
    """Those that are no tensors on the CPU are refused by the columns that were asked for."""
    x = CALLS["column_blocks"].arrays["x"]
    for old in (False, True):
        blocks = subquad.column_blocks(lambda first, last, old=old: Tensor(x[:, first:last], old=old), *x.shape, x.dtype)
        assert bits(subquad.leverage_scores(blocks)) == bits(CALLS["column_blocks"].run(x))
    elsewhere = subquad.column_blocks(lambda first, last: Tensor(x[:, first:last], device=2), *x.shape, x.dtype)
    with pytest.raises(NotImplementedError, match=r"^blocks\(0, 30\) is a .*Tensor on 2, not on the CPU"):
        subquad.leverage_scores(elsewhere)
