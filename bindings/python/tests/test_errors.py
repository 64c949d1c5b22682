"""The exception type, scalar arguments, and help for keywords of other libraries."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest
import subquad
from reference import fill, inputs
from subquad._constants import ValueType
from subquad._errors import error, keyword
from subquad._library import raw
from subquad._options import options

ARRAYS = inputs(5, 5)

KINDS = {
    "ERR_NULL": TypeError,
    "ERR_VALUE": ValueError,
    "ERR_UNKNOWN": ValueError,
    "ERR_TYPE": TypeError,
    "ERR_CONFLICT": ValueError,
    "ERR_SHAPE": ValueError,
    "ERR_DTYPE": TypeError,
    "ERR_STRIDE": ValueError,
    "ERR_ALIAS": ValueError,
    "ERR_NONFINITE": ValueError,
    "ERR_SIZE": ValueError,
    "ERR_OVERFLOW": OverflowError,
    "ERR_MEMORY": MemoryError,
    "ERR_WORKSPACE": MemoryError,
    "ERR_UNSUPPORTED": NotImplementedError,
}


@pytest.mark.parametrize("status", subquad.Status)
def test_kinds(status):
    failure = error(status, "q: wrong")
    assert isinstance(failure, subquad.SubquadError)
    assert isinstance(failure, KINDS.get(status.name, subquad.SubquadError))
    assert (failure.code, failure.name, str(failure)) == (status, status.name, f"q: wrong [{status.name}]")


def test_an_error_survives_pickling_and_copying():
    failure = error(subquad.Status.ERR_SHAPE, "q: wrong")
    for twin in (pickle.loads(pickle.dumps(failure)), copy.copy(failure)):
        assert type(twin) is type(failure)
        assert (twin.code, twin.name, str(twin)) == (failure.code, failure.name, str(failure))


def test_names_agree_with_the_library():
    for status in subquad.Status:
        assert raw.subquad_status_name(status) == status.name


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ({"threads": 0}, "ERR_VALUE", "threads is 0, not in [1, 1024]"),
        ({"threads": 1025}, "ERR_VALUE", "threads is 1025, not in [1, 1024]"),
        ({"threads": -1}, "ERR_VALUE", "threads is -1"),
        ({"threads": 10**30}, "ERR_VALUE", "threads is 10000"),
        ({"threads": 2.0}, "ERR_TYPE", "threads"),
        ({"threads": "2"}, "ERR_TYPE", "threads"),
        ({"threads": True}, "ERR_TYPE", "threads"),
        ({"causal": 1}, "ERR_VALUE", "causal is 1 of type int, not True or False"),
        ({"causal": np.int64(0)}, "ERR_VALUE", "causal"),
        ({"causal": 0.0}, "ERR_TYPE", "causal"),
        ({"causal": np.array([True])}, "ERR_TYPE", "causal"),
        ({"causal_offset": 1.5}, "ERR_TYPE", "causal_offset"),
        ({"causal_offset": 2**63}, "ERR_VALUE", "causal_offset"),
        ({"causal_offset": 2**62 + 1}, "ERR_VALUE", "causal_offset"),
        ({"scale": "1"}, "ERR_TYPE", "scale"),
        ({"scale": 1j}, "ERR_TYPE", "scale"),
        ({"scale": True}, "ERR_TYPE", "scale"),
        ({"scale": float("nan")}, "ERR_VALUE", "scale"),
        ({"scale": float("inf")}, "ERR_VALUE", "scale"),
        ({"scale": 10**400}, "ERR_VALUE", "scale"),
        ({"lag_min": None, "key_offset": "a"}, "ERR_TYPE", "key_offset"),
        ({"method": "magic"}, "ERR_VALUE", "method is 'magic', not one of exact"),
        ({"method": 1}, "ERR_VALUE", "method is 1 of type int, not one of 'exact', 'conv_basis', 'auto'"),
        ({"method": True}, "ERR_TYPE", "method"),
        ({"method": 1.0}, "ERR_TYPE", "method"),
        ({"check_finite": "no"}, "ERR_TYPE", "check_finite"),
        ({"key_ranges": [(0, 1, 2)]}, "ERR_SHAPE", "key_ranges"),
        ({"key_ranges": [(3, 1)]}, "ERR_VALUE", "key_ranges"),
        ({"key_ranges": [(0, 1), (0,)]}, "ERR_VALUE", "key_ranges"),
        ({"key_ranges": [(0, 2**63)]}, "ERR_VALUE", "key_ranges"),
        ({"key_ranges": np.array([[0, 1]], np.int32)}, "ERR_DTYPE", "key_ranges"),
        ({"lag_bias": np.zeros((1, 3)), "lag_min": -4}, "ERR_VALUE", "lag_bias"),
        ({"scale": 1e30, "causal": True}, None, None),
    ],
)
def test_scalars(settings, name, words):
    if name is None:
        subquad.attention(*ARRAYS, **settings)
        return
    with pytest.raises(subquad.SubquadError) as caught:
        subquad.attention(*ARRAYS, **settings)
    assert caught.value.name == name
    assert words in str(caught.value)


def test_numpy_scalars_are_numbers():
    plain = subquad.attention(*ARRAYS, causal=True, causal_offset=2, scale=0.5, threads=2)
    numpy = subquad.attention(*ARRAYS, causal=np.True_, causal_offset=np.int16(2), scale=np.float32(0.5), threads=np.uint8(2))
    assert plain.tobytes() == numpy.tobytes()


def test_a_range_list_that_is_an_array_of_floats_is_refused():
    with pytest.raises(TypeError, match="key_ranges"):
        subquad.attention(*ARRAYS, key_ranges=np.array([[0.0, 1.0]]))
    with pytest.raises(ValueError, match="key_ranges"):
        subquad.attention(*ARRAYS, key_ranges=[("a", "b")])


def test_overflowing_logits():
    q, k, v = (np.full((3, 2), 1e19, np.float32) for _ in range(3))
    with pytest.raises(OverflowError, match="logit") as caught:
        subquad.attention(q, k, v, scale=1e5)
    assert caught.value.name == "ERR_OVERFLOW"


@pytest.mark.parametrize("function", [subquad.attention, subquad.attention_backward])
@pytest.mark.parametrize("keyword", ["mask", "attn_mask", "attention_mask", "bias", "attn_bias"])
def test_a_dense_mask_gets_advice(function, keyword):
    with pytest.raises(NotImplementedError, match=rf"^{keyword}: dense masks .*causal=.*key_ranges=.*lag_bias=") as caught:
        function(*ARRAYS, **{keyword: np.ones((5, 5), bool)})
    assert caught.value.name == "ERR_UNSUPPORTED"


@pytest.mark.parametrize(
    "table",
    [np.ones((5, 5), bool), np.zeros((5, 5)), np.zeros((1, 5, 5)), np.zeros((2, 1, 5, 5)), np.ones(5, bool)],
)
def test_a_dense_mask_for_a_bias_gets_advice(table):
    with pytest.raises(NotImplementedError, match=r"^lag_bias .*dense mask.*key_ranges"):
        subquad.attention(*ARRAYS, lag_bias=table)


@pytest.mark.parametrize(("keyword", "advice"), [("is_causal", "causal="), ("softmax_scale", "scale="), ("dropout_p", "dropout")])
def test_keywords_of_other_libraries_get_advice(keyword, advice):
    with pytest.raises(TypeError, match=advice):
        subquad.attention(*ARRAYS, **{keyword: 0})


def test_an_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'casual'"):
        subquad.attention(*ARRAYS, casual=True)


def test_the_signature_is_what_it_is_documented_to_be():
    expected = (
        "q, k, v, *, causal=False, causal_offset=None, scale=None, lag_bias=None, lag_min=0, key_ranges=None, key_offset=0, "
        "method=None, bases=None, window=None, delta=None, eps=0.0, strict_causal=False, seed=0, tol=None, budget=None, "
        "estimate=None, parts=None, check_finite=True, out=None, return_lse=False, return_report=False, threads=None"
    )
    parameters = inspect.signature(subquad.attention).parameters.values()
    bare = inspect.Signature([p.replace(annotation=inspect.Parameter.empty) for p in parameters])
    assert str(bare) == f"({expected})"


FUNCTIONS = [
    subquad.attention,
    subquad.attention_backward,
    subquad.attention_loss,
    subquad.conv_basis_fit,
    subquad.conv_basis_recover,
    subquad.merge,
    subquad.plan,
    subquad.fill_uniform,
    subquad.import_wisdom,
]
SPARSIFYING = [subquad.leverage_scores, subquad.sparsify, subquad.sparsify_pair]


def methods(kind):
    return [value for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")]


METHODS = [*methods(subquad.ConvBasis), *methods(subquad.Plan)]
SPARSIFIED = [*SPARSIFYING, *methods(subquad.Sparsifier)]


@pytest.mark.parametrize("function", [*FUNCTIONS, *METHODS, subquad.ConvBasis, *SPARSIFIED])
def test_defaults_are_the_tables(function):
    """What is an option has the table's default, or None where it has none; scale is 1 for sparsifiers, which the header says."""
    sparsifying = function in SPARSIFIED
    handle = options().pointer
    parameters = inspect.signature(function).parameters
    for option in subquad._constants.Option:
        default = getattr(parameters.get(keyword(option)), "default", None)
        if belongs(option, sparsifying) and default not in (None, inspect.Parameter.empty):
            kind = ValueType(raw.subquad_option_describe(option)[1])
            get = raw.subquad_options_get_float if kind == ValueType.FLOAT else raw.subquad_options_get_int
            assert default == 1 if sparsifying and option.name == "SCALE" else get(handle, option) == expected(option, default)


def belongs(option, sparsifying):
    """Whether the keyword of an option means it in this family: eps and delta are two options' keyword, method three's."""
    if option.name.startswith("CONV_") or option.name == "METHOD":
        return not sparsifying
    return sparsifying or not option.name.startswith("SPARSIFY_")


def expected(option, default):
    """A choice's id by its name."""
    kinds = {"SPARSIFY_METHOD": subquad._constants.Sparsifier, "SPARSIFY_CERTIFY": subquad._constants.Certificate}
    return kinds[option.name][default.upper()] if option.name in kinds else default


def test_options_are_keywords():
    """Of attention, but for those of a basis and of its backward; of sparsify, but for the way to scores, which is their method."""
    here = inspect.signature(subquad.attention).parameters
    families = [[keyword(option) for option in subquad._constants.Option if belongs(option, family)] for family in (False, True)]
    assert set(families[0]) - set(here) == {"cumulative", "backward"}
    assert set(inspect.signature(subquad.attention_backward).parameters) >= set(here) - {"out", "return_lse"} | {"backward"}
    sparsifying = {keyword(option) for option in subquad._constants.Option if option.name.startswith("SPARSIFY_")}
    assert sparsifying <= set(families[1])
    for function in (subquad.sparsify, subquad.sparsify_pair):
        assert sparsifying - set(inspect.signature(function).parameters) == {"scores"}


@pytest.mark.parametrize(
    "function", [*FUNCTIONS, *METHODS, subquad.ConvBasis, *SPARSIFYING, subquad.column_blocks, *methods(subquad.Sparsifier)]
)
def test_every_parameter_is_documented(function):
    """attention_backward refers to attention for the arguments that both have; so do all for the settings of every call."""
    shared = set(inspect.signature(subquad.attention).parameters) if function is subquad.attention_backward else set()
    for name in inspect.signature(function).parameters.keys() - shared - {"self", "check_finite", "threads"}:
        assert re.search(rf"\b{name}\b", function.__doc__), name


def test_after_an_error_the_next_call_works():
    with pytest.raises(ValueError, match="k"):
        subquad.attention(ARRAYS[0], fill(0, 5, 9), ARRAYS[2])
    subquad.attention(*ARRAYS)
