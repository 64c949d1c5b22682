"""merge: slices of the keys join to the whole."""

from itertools import pairwise

import numpy as np
import pytest
import subquad
from reference import assert_within, fill, inputs, problem, wide

import budgets
import oracle

DTYPES = [np.float32, np.float64]


def slices_of(q, k, v, cuts, **settings):
    """o and lse over the keys between cuts."""
    edges = [0, *cuts, k.shape[-2]]
    parts = [
        subquad.attention(q, k[..., a:b, :], v[..., a:b, :], key_offset=a, return_lse=True, **settings)
        for a, b in pairwise(edges)
    ]
    return [o for o, _ in parts], [lse for _, lse in parts]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cuts", [[], [5], [0, 11], [3, 4, 17, 30]])
@pytest.mark.parametrize("causal", [False, True])
def test_slices_join_to_the_whole(cuts, causal, dtype):
    """roundoff: that of the merge, on top of the parts' errors, which their weights average."""
    q, k, v = inputs(31, 31, heads=(4,), kv_heads=(2,), batch=(2,), dtype=dtype)
    settings = {"causal": causal, "causal_offset": 0}
    o_parts, lse_parts = slices_of(q, k, v, cuts, **settings)
    o, lse = subquad.merge(o_parts, lse_parts)
    whole = problem(q, k, v, **settings)
    parts = np.array([wide(part, 4) for part in o_parts]), np.array([wide(part, 3) for part in lse_parts])
    _, lse_merged, weights = oracle.merge(*parts)
    merging = budgets.merge(*parts, weights, lse_merged, dtype)
    part = budgets.forward(whole, dtype)  # no slice sums more than the whole
    expected_o, expected_lse = oracle.attention(whole)
    spread = np.abs(v).max()  # an error of the parts' lse moves weight between values of this size
    assert_within(o, expected_o, merging["o"] + part["o"] + 2 * spread * part["lse"], "o")
    assert_within(lse, expected_lse, merging["lse"] + part["lse"], "lse")


def test_parts_that_saw_nothing():
    o_parts = [fill(0, 3, 2), fill(1, 3, 2)]
    lse_parts = [np.array([-np.inf, 0.5, -np.inf]), np.array([0.25, -np.inf, -np.inf])]
    o_parts[0][[0, 2]], o_parts[1][[1, 2]] = 0, 0
    o, lse = subquad.merge(o_parts, lse_parts)
    assert (o == np.array([o_parts[1][0], o_parts[0][1], [0, 0]])).all()
    assert lse.tolist() == [0.25, 0.5, -np.inf]


def test_one_part_is_itself():
    o, lse = subquad.merge([fill(0, 2, 5, 3)], [fill(1, 2, 5)])
    assert (o == fill(0, 2, 5, 3)).all()
    assert (lse == fill(1, 2, 5)).all()


def test_in_place():
    o_parts, lse_parts = [fill(0, 5, 3), fill(1, 5, 3)], [fill(2, 5), fill(3, 5)]
    expected, expected_lse = subquad.merge(o_parts, lse_parts)
    o, lse = subquad.merge(o_parts, lse_parts, out=o_parts[1])
    assert o is o_parts[1]
    assert o.tobytes() == expected.tobytes()
    assert lse.tobytes() == expected_lse.tobytes()


def test_out_and_generators():
    out = np.full((5, 6), np.nan)
    o_parts, lse_parts = [fill(0, 5, 3), fill(1, 5, 3)], [fill(2, 5), fill(3, 5)]
    o, _ = subquad.merge((part for part in o_parts), iter(lse_parts), out=out[:, ::2])
    assert (out[:, ::2] == subquad.merge(o_parts, lse_parts)[0]).all()
    assert np.isnan(out[:, 1::2]).all()
    assert np.shares_memory(o, out)


def test_stacked_parts():
    stacked = subquad.merge(fill(0, 4, 2, 5, 3), fill(1, 4, 2, 5))
    listed = subquad.merge(list(fill(0, 4, 2, 5, 3)), list(fill(1, 4, 2, 5)))
    assert stacked[0].tobytes() == listed[0].tobytes()


@pytest.mark.parametrize(
    ("o_parts", "lse_parts", "name", "words"),
    [
        ([], [], "ERR_VALUE", "o_parts"),
        ([fill(0, 2, 3)], [], "ERR_CONFLICT", "lse_parts has 0 parts"),
        ([fill(0, 2, 3), fill(0, 2, 4)], [fill(1, 2), fill(1, 2)], "ERR_SHAPE", "o_parts"),
        ([fill(0, 2, 3)], [fill(1, 3)], "ERR_SHAPE", "lse_parts"),
        ([fill(0, 2, 3), None], [fill(1, 2), fill(1, 2)], "ERR_NULL", r"o_parts\[1\]"),
        (3, [fill(1, 2)], "ERR_TYPE", "o_parts"),
        ([fill(0, 2, 3)], [np.array([np.nan, 0])], "ERR_NONFINITE", "lse_parts"),
    ],
)
def test_bad_parts(o_parts, lse_parts, name, words):
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        subquad.merge(o_parts, lse_parts)
    assert caught.value.name == name
