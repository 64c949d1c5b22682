"""The raw layer: all of the header is there, and no misuse from Python reaches the library unchecked."""

from pathlib import Path

import numpy as np
import pytest
import subquad
from reference import fill
from subquad._arrays import view
from subquad._constants import Dtype, Layout, Option, Sparsifier, ValueType
from subquad._library import raw
from subquad._options import options, sparsify_options
from subquad._report import new_report

SYMBOLS = (Path(__file__).resolve().parents[3] / "capi/generated/symbols.txt").read_text().split()
X = view("x", fill(0, 2, 3))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_function_is_wrapped(symbol):
    assert callable(getattr(raw, symbol))


@pytest.mark.parametrize(
    "bad",
    [
        3,
        (),
        X[:3],
        (*X, 1),
        ("a", *X[1:]),
        (X[0], 1, [2, 3], X[3]),
        (X[0], 1, (2, 3), (1,)),
        (X[0], 1, (2, "3"), X[3]),
    ],
)
def test_a_malformed_view_is_refused(bad):
    with pytest.raises(TypeError):
        raw.subquad_fill_uniform(bad, 0, 0, 0.0, 1.0)


def test_a_view_of_too_many_dimensions_is_refused():
    with pytest.raises(TypeError, match="SUBQUAD_MAX_NDIM"):
        raw.subquad_fill_uniform((X[0], X[1], (1,) * 5, (1,) * 5), 0, 0, 0.0, 1.0)


@pytest.mark.parametrize("parts", [None, (), [1], [(X,)], [(X, 1)], [(X, X, X)]])
def test_malformed_parts_are_refused(parts):
    with pytest.raises(TypeError):
        raw.subquad_attention_merge(None, None, parts, X, None)


def test_handles_of_another_type_are_refused():
    with options() as pointer, pytest.raises(TypeError, match="subquad_context"):
        raw.subquad_context_set_threads(pointer, 1)
    with new_report() as pointer, pytest.raises(TypeError, match="subquad_options"):
        raw.subquad_options_reset(pointer, Option.SCALE)


def test_null_handles():
    for call in (
        lambda: raw.subquad_context_set_threads(None, 1),
        lambda: raw.subquad_options_get_int(None, Option.CAUSAL),
        lambda: raw.subquad_report_json(None),
        lambda: raw.subquad_fill_uniform(None, 0, 0, 0.0, 1.0),
        lambda: raw.subquad_conv_basis_describe(None),
        lambda: raw.subquad_conv_basis_get(None, None, X, X),
        lambda: raw.subquad_conv_basis_multiply(None, None, None, X, X, None),
        lambda: raw.subquad_conv_basis_create(None, None, X, X),
        lambda: raw.subquad_wisdom_import(None),
        lambda: raw.subquad_matrix_from_dense(None),
        lambda: raw.subquad_leverage_scores(None, None, None, X, None),
        lambda: raw.subquad_sparsify(None, None, None, None),
        lambda: raw.subquad_sparsify_pair(None, None, None, None, None),
        lambda: raw.subquad_sparsifier_describe(None),
        lambda: raw.subquad_sparsifier_get(None, X, X, X),
        lambda: raw.subquad_sparsifier_certificate(None),
        lambda: raw.subquad_sparsifier_ratio_bound(None, 1.0),
        lambda: raw.subquad_sparsifier_attention(None, None, None, X, X, None, None),
        lambda: raw.subquad_sparsifier_softmax_error(None, None, None, None, None),
    ):
        with pytest.raises(subquad.SubquadError) as caught:
            call()
        assert caught.value.name == "ERR_NULL"
    raw.subquad_context_destroy(None)
    raw.subquad_options_destroy(None)
    raw.subquad_report_destroy(None)
    raw.subquad_conv_basis_destroy(None)
    raw.subquad_matrix_destroy(None)
    raw.subquad_sparsifier_destroy(None)


def test_options_by_id():
    with options(scale=0.25, causal=True) as pointer:
        assert raw.subquad_options_get_float(pointer, Option.SCALE) == 0.25
        assert raw.subquad_options_get_int(pointer, Option.CAUSAL) == 1
        raw.subquad_options_reset(pointer, Option.SCALE)
        with pytest.raises(subquad.SubquadError, match="scale") as caught:
            raw.subquad_options_get_float(pointer, Option.SCALE)
        assert caught.value.name == "ERR_UNSET"
    for option in Option:
        name, kind, doc = raw.subquad_option_describe(option)
        assert (name, kind) == (option.name.lower(), ValueType(kind))
        assert doc.endswith(".")
        lowest, highest = raw.subquad_option_bounds(option)
        assert lowest <= highest


def test_contexts():
    context = raw.subquad_context_create()
    assert context is not None
    targets = subquad.info()["simd_targets"]
    assert raw.subquad_simd_target_at(0) == targets[0]
    raw.subquad_context_set_simd_target(context, targets[-1])
    raw.subquad_context_set_workspace_limit(context, 1 << 30)
    x = fill(0, 3, 3)
    o, plain = np.empty_like(x), subquad.attention(x, x, x)
    with new_report() as report:
        raw.subquad_attention(context, None, *(view("x", x) for _ in range(3)), None, None, view("o", o), None, report)
        assert raw.subquad_report_get_string(report, subquad._constants.ReportKey.SIMD_TARGET, 0) == targets[-1]
    assert np.abs(o - plain).max() <= 8 * (3 + 3) * np.finfo(x.dtype).eps  # two results, sums of 3 and of 3, values up to 1
    raw.subquad_context_destroy(context)


def test_a_basis():
    """Described as what its kernels need; handles of another type are none."""
    context = raw.subquad_context_create()
    starts = np.zeros((2, 1), np.int64)
    basis = raw.subquad_conv_basis_create(context, None, view("starts", starts), view("kernels", fill(0, 2, 1, 5)))
    assert raw.subquad_conv_basis_describe(basis) == (Dtype.FLOAT64, (1, 2, 1, 5))
    with pytest.raises(TypeError, match="subquad_conv_basis"):
        raw.subquad_conv_basis_describe(context)
    raw.subquad_conv_basis_destroy(basis)
    raw.subquad_context_destroy(context)


def test_a_plan():
    """Described as what its outputs need for values of 3 columns; handles of another type are none."""
    context, k = raw.subquad_context_create(), view("k", fill(1, 2, 7, 4))
    with options(tol=0.0) as pointer:
        plan = raw.subquad_plan_create(context, pointer, view("q", fill(0, 4, 5, 4)), k, None, None, None, None)
    assert raw.subquad_plan_describe(plan, 3) == [(Dtype.FLOAT64, (4, 5, 3)), (Dtype.FLOAT64, (4, 5)), 7, 2]
    with new_report() as report:
        raw.subquad_plan_report(plan, report)
        assert raw.subquad_report_length(report, subquad._constants.ReportKey.PARTS) == [4, ValueType.STRING]
    with pytest.raises(ValueError, match=r"d_v.*-1"):
        raw.subquad_plan_describe(plan, -1)
    with pytest.raises(TypeError, match="subquad_plan"):
        raw.subquad_plan_describe(context, 3)
    raw.subquad_plan_destroy(plan)
    raw.subquad_context_destroy(context)


SPARSE = (X[0], X[0], X[0], 0, 0, 0, Layout.CSC, Dtype.FLOAT64, Dtype.INT32, 0)


@pytest.mark.parametrize("bad", [None, 3, (), SPARSE[:9], (*SPARSE, 1), ("a", *SPARSE[1:]), (*SPARSE[:9], 0.5)])
def test_a_malformed_sparse_matrix_is_refused(bad):
    with pytest.raises(TypeError):
        raw.subquad_matrix_from_sparse(bad)


def test_a_source_of_blocks_is_called():
    """With (first, count, address); what it raises is what is raised."""
    context, scores = raw.subquad_context_create(), np.empty(7)
    asked = []

    def blocks(first, count, address):
        asked.append((first, count))
        assert address != 0
        raise LookupError("no such block")

    matrix = raw.subquad_matrix_from_blocks(2, 7, Dtype.FLOAT64, 3, blocks)
    with pytest.raises(LookupError, match="no such block"):
        raw.subquad_leverage_scores(context, None, matrix, view("scores", scores), None)
    assert asked == [(0, 3)]
    raw.subquad_matrix_destroy(matrix)
    with pytest.raises(TypeError, match="callable"):
        raw.subquad_matrix_from_blocks(2, 7, Dtype.FLOAT64, 3, "blocks")
    raw.subquad_context_destroy(context)


def test_a_sparsifier():
    """Described as what its Y needs; handles of another type are none."""
    context, x = raw.subquad_context_create(), fill(0, 2, 5)
    matrix = raw.subquad_matrix_from_dense(view("x", x))
    with sparsify_options(columns=5) as pointer:
        sparsifier = raw.subquad_sparsify(context, pointer, matrix, None)
    assert raw.subquad_sparsifier_describe(sparsifier) == [(Dtype.FLOAT64, (2, 5)), Sparsifier.LEVERAGE, -1]
    with pytest.raises(TypeError, match="subquad_sparsifier"):
        raw.subquad_sparsifier_describe(matrix)
    with pytest.raises(TypeError, match="subquad_matrix"):
        raw.subquad_leverage_scores(context, None, sparsifier, X, None)
    raw.subquad_sparsifier_destroy(sparsifier)
    raw.subquad_matrix_destroy(matrix)
    raw.subquad_context_destroy(context)


def test_texts():
    assert raw.subquad_status_message(subquad.Status.OK) == "success"
    assert raw.subquad_status_name(12345) == "UNKNOWN"
    with pytest.raises(subquad.SubquadError, match="nonsense") as caught:
        raw.subquad_constant("nonsense")
    assert raw.subquad_last_error() == caught.value.message
