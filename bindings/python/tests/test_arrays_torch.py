"""torch's tensors in every call, beside NumPy's arrays."""

import gc
import warnings

import numpy as np
import pytest
import subquad
from array_calls import ARGUMENTS, CALLS, WITH_KIND, bits, flat
from reference import LAYOUTS, inputs
from subquad._dlpack import as_numpy

torch = pytest.importorskip("torch")

Q, K, V = (torch.from_numpy(array) for array in inputs(5, 5, d=4, d_v=3))


def tensors(name):
    return {key: torch.from_numpy(array.copy()) for key, array in CALLS[name].arrays.items()}


def arrays(results):
    return [array for array in flat(results) if not isinstance(array, float)]


@pytest.mark.parametrize("name", CALLS)
def test_every_call(name):
    results = CALLS[name].run(**tensors(name))
    assert bits(results) == bits(CALLS[name].run(**CALLS[name].arrays))
    if name in WITH_KIND:
        assert {type(array) for array in arrays(results)} == {torch.Tensor}
        assert not any(array.requires_grad for array in arrays(results))


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_mixed_with_numpy(name, argument):
    results = CALLS[name].run(**CALLS[name].arrays | {argument: tensors(name)[argument]})
    assert bits(results) == bits(CALLS[name].run(**CALLS[name].arrays))
    if name in WITH_KIND:
        first = argument == next(iter(CALLS[name].arrays))
        assert {type(array) for array in arrays(results)} == {torch.Tensor if first else np.ndarray}


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call.out])
def test_out(name):
    """Filled in place, which autograd is told."""
    expected = arrays(CALLS[name].run(**CALLS[name].arrays))
    outs = tuple(torch.full(array.shape, torch.nan, dtype=torch.float64) for array in expected)
    versions = [out._version for out in outs]
    results = arrays(CALLS[name].run(**tensors(name), out=outs if len(outs) > 1 else outs[0]))
    assert all(result is out for result, out in zip(results, outs, strict=True))
    assert bits(outs) == bits(expected)
    assert all(out._version > version for out, version in zip(outs, versions, strict=True))


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if "reversed" not in layout])
def test_layouts_are_read_where_they_lie(layout):
    """torch has no negative strides."""
    plain = inputs(13, 13, heads=(4,), kv_heads=(2,), batch=(2,), dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of memory that is read-only
        given = [torch.from_numpy(LAYOUTS[layout](array)) for array in plain]
    assert all(np.shares_memory(as_numpy("x", tensor), tensor.numpy()) for tensor in given)
    assert bits(subquad.attention(*given, causal=True)) == bits(subquad.attention(*plain, causal=True))


def test_expanded_and_permuted():
    q = Q.expand(2, 3, 5, 4)
    k, v = (x.expand(3, 2, 5, x.shape[1]).permute(1, 0, 2, 3) for x in (K, V))
    expected = subquad.attention(*(x.contiguous() for x in (q, k, v)))
    assert bits(subquad.attention(q, k, v)) == bits(expected)


def test_without_gradients():
    expected = bits(subquad.attention(Q, K, V))
    with torch.no_grad():
        assert bits(subquad.attention(Q, K, V)) == expected
    with torch.inference_mode():
        assert bits(subquad.attention(Q, K, V)) == expected
    frozen = torch.nn.Parameter(Q.clone(), requires_grad=False)
    assert type(subquad.attention(frozen, K, V)) is torch.Tensor


def test_inside_what_is_compiled():
    """The graph breaks at the call."""

    def layer(q):
        return 2 * subquad.attention(q + 1, K, V, causal=True)

    assert bits(torch.compile(layer, backend="eager")(Q)) == bits(layer(Q))


def test_results_outlive_everything():
    q, k, v = Q.clone(), K.clone(), V.clone()
    o = subquad.attention(q, k, v)
    expected = bits(o)
    del q, k, v
    gc.collect()
    assert bits(o) == expected
    o += 1


def pairs_of(x):
    return torch.view_as_complex(torch.stack([x, x], dim=-1))


def fake(x):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.empty(x.shape, dtype=x.dtype)


def narrow(x):
    return torch.quantize_per_tensor(x.float(), 1.0, 0, torch.qint8)


@pytest.mark.parametrize("argument", ["q", "k", "v"])
@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (lambda x: x.clone().requires_grad_(), "ERR_UNSUPPORTED", r"requires grad: subquad\.torch .* {}\.detach\(\)"),
        (lambda x: torch.nn.Parameter(x.clone()), "ERR_UNSUPPORTED", "Parameter that requires grad"),
        (lambda x: x.clone().requires_grad_() * 2, "ERR_UNSUPPORTED", "requires grad"),
        (lambda x: x.bfloat16(), "ERR_DTYPE", "is bfloat16; numbers are float32 or float64"),
        (lambda x: x.half(), "ERR_DTYPE", "is float16; numbers are float32 or float64"),
        (lambda x: x.to(torch.float8_e5m2), "ERR_DTYPE", "is float8_e5m2"),
        (lambda x: x.int(), "ERR_DTYPE", "is int32"),
        (lambda x: x > 0, "ERR_DTYPE", "is bool"),
        (pairs_of, "ERR_DTYPE", "is complex128"),
        (lambda x: pairs_of(x).conj(), "ERR_UNSUPPORTED", r"conj bit is set: give {}\.resolve_conj\(\)"),
        (lambda x: pairs_of(x).conj().imag, "ERR_UNSUPPORTED", r"neg bit is set: give {}\.resolve_neg\(\)"),
        (lambda x: x.to_sparse(), "ERR_UNSUPPORTED", "does not hand over: .*layout"),
        (lambda x: x.to("meta"), "ERR_UNSUPPORTED", "meta"),
        (fake, "ERR_UNSUPPORTED", "without memory"),
        (narrow, "ERR_DTYPE", "is qint8"),
        (lambda x: x[0], "ERR_SHAPE", "has 1 dimensions"),
        (lambda x: x[None, None, None], "ERR_SHAPE", "has 5 dimensions"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_refused(argument, change, name, words):
    given = {"q": Q, "k": K, "v": V}
    with pytest.raises(subquad.SubquadError, match=rf"^{argument} .*{words.replace('{}', argument)}") as caught:
        subquad.attention(**given | {argument: change(given[argument])})
    assert caught.value.name == name


def of_inference():
    with torch.inference_mode():
        return torch.empty(5, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("out", "name", "words"),
    [
        (lambda: torch.empty(5, 3, dtype=torch.float64, requires_grad=True), "ERR_UNSUPPORTED", "requires grad"),
        (of_inference, "ERR_VALUE", "cannot be filled"),
        (lambda: torch.empty(3, dtype=torch.float64).expand(5, 3), "ERR_STRIDE", "share memory"),
        (lambda: torch.empty(5, 3), "ERR_DTYPE", "float32"),
        (lambda: torch.empty(5, 4, dtype=torch.float64), "ERR_SHAPE", "4"),
        (lambda: torch.tensor(1.0), "ERR_SHAPE", "0 dimensions"),
        (lambda: V, "ERR_ALIAS", "overlaps v"),
    ],
)
def test_refused_out(out, name, words):
    with pytest.raises(subquad.SubquadError, match=rf"^out .*{words}") as caught:
        subquad.attention(Q, K, V, out=out())
    assert caught.value.name == name
