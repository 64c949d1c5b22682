"""attention against the oracle: sizes, heads, masks, biases, scales, and what it leaves alone."""

import numpy as np
import pytest
import subquad
from reference import check_forward, fill, inputs

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 2, 3, 7, 31, 32, 33, 127]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_sizes(n, causal, dtype):
    check_forward(*inputs(n, n, dtype=dtype), causal=causal)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_q", "n_k"), [(0, 5), (5, 0), (1, 29), (29, 1), (13, 64), (64, 13)])
@pytest.mark.parametrize("offset", [-7, 0, 4, 100])
def test_unequal_lengths(n_q, n_k, offset, dtype):
    arrays = inputs(n_q, n_k, dtype=dtype)
    check_forward(*arrays)
    check_forward(*arrays, causal=True, causal_offset=offset)


@pytest.mark.parametrize(("d", "d_v"), [(1, 1), (2, 17), (16, 16), (17, 1), (64, 64), (65, 127), (128, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_widths(d, d_v, dtype):
    check_forward(*inputs(23, 23, d=d, d_v=d_v, dtype=dtype), causal=True)


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (4, 4), (4, 2), (4, 1), (6, 3), (0, 1), (0, 0)])
@pytest.mark.parametrize("batch", [(), (0,), (1,), (3,)])
def test_grouped_heads(heads, kv_heads, batch):
    check_forward(*inputs(11, 11, heads=(heads,), kv_heads=(kv_heads,), batch=batch), causal=True)


@pytest.mark.parametrize("scale", [0.0, 1.0, -0.5, 300.0, 1e-30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scale(scale, dtype):
    """300 spreads the logits over some hundreds, far beyond the range of exp in single precision."""
    check_forward(*inputs(37, 37, dtype=dtype), scale=scale)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lag_bias(rows, dtype):
    arrays = inputs(9, 14, heads=(4,), kv_heads=(2,), dtype=dtype)
    everything = fill(4, rows, 9 + 14 - 1, dtype=dtype)
    check_forward(*arrays, lag_bias=everything, lag_min=-13, causal_offset=0)
    check_forward(*arrays, lag_bias=everything, lag_min=-9, causal_offset=4)
    check_forward(*arrays, lag_bias=everything[:, 8:], lag_min=0, causal=True, causal_offset=5)


def test_alibi_equals_a_shifted_softmax():
    """A bias linear in the lag changes the logits by a term in j and one in i, of which only the former matters."""
    q, k, v = inputs(20, 20)
    slope = 0.25
    bias = -slope * np.arange(20.0)[None, :]
    biased = check_forward(q, k, v, lag_bias=bias, causal=True)[0]
    q_wide = np.concatenate([q, np.ones((20, 1))], axis=1)
    k_wide = np.concatenate([k, slope * np.sqrt(5.0) * np.arange(20.0)[:, None]], axis=1)
    plain = check_forward(q_wide, k_wide, v, causal=True, scale=1 / np.sqrt(5.0))[0]
    roundoff = 8 * (6 + 20) * np.finfo(np.float64).eps * (1 + slope * 20)  # two calls, sums of 6 and of 20, logits up to 1 + 5
    assert np.abs(biased - plain).max() <= roundoff


@pytest.mark.parametrize("ranges", [[(0, 9)], [(3, 5)], [(-4, 2)], [(7, 100)], [(4, 4)], [(20, 30)]])
@pytest.mark.parametrize("key_offset", [0, 3, -2])
@pytest.mark.parametrize("causal", [False, True])
def test_key_ranges(ranges, key_offset, causal):
    check_forward(*inputs(9, 9, batch=(2,), heads=(2,)), key_ranges=ranges, key_offset=key_offset, causal=causal, causal_offset=1)


def test_a_key_range_for_each_batch_element():
    ranges = [(0, 4), (2, 9), (5, 5)]
    o, lse = check_forward(*inputs(9, 9, batch=(3,), heads=(2,)), key_ranges=ranges)
    assert (o[2] == 0).all()
    assert np.isneginf(lse[2]).all()
    again = check_forward(*inputs(9, 9, batch=(3,), heads=(2,)), key_ranges=np.array(ranges))[0]
    assert again.tobytes() == o.tobytes()


def test_a_query_that_sees_nothing():
    o, lse = check_forward(*inputs(6, 6), causal=True, causal_offset=-2)
    assert (o[:2] == 0).all()
    assert np.isneginf(lse[:2]).all()
    assert np.isfinite(lse[2:]).all()


def test_the_future_is_not_seen():
    q, k, v = inputs(50, 50, dtype=np.float32)
    before = subquad.attention(q, k, v, causal=True)
    k[30:], v[30:] = 77, -88
    after = subquad.attention(q, k, v, causal=True)
    assert after[:30].tobytes() == before[:30].tobytes()
    assert (after[30:] != before[30:]).all()


def test_results_are_the_same_every_time():
    arrays = inputs(200, 200, heads=(3,), dtype=np.float32)
    assert subquad.attention(*arrays).tobytes() == subquad.attention(*arrays).tobytes()


def test_inputs_are_left_alone():
    arrays = inputs(17, 17)
    before = [array.tobytes() for array in arrays]
    subquad.attention(*arrays)
    assert [array.tobytes() for array in arrays] == before


def test_what_is_returned():
    arrays = inputs(4, 4)
    assert isinstance(subquad.attention(*arrays), np.ndarray)
    o, lse = subquad.attention(*arrays, return_lse=True)
    o_too, report = subquad.attention(*arrays, return_report=True)
    o_three, lse_three, report_three = subquad.attention(*arrays, return_lse=True, return_report=True)
    assert o.tobytes() == o_too.tobytes() == o_three.tobytes()
    assert lse.tobytes() == lse_three.tobytes()
    assert isinstance(report, subquad.Report)
    assert isinstance(report_three, subquad.Report)


def test_unchecked_non_finite_input_reaches_the_output():
    q, k, v = inputs(4, 4)
    v[2, 1] = np.nan
    o = subquad.attention(q, k, v, check_finite=False)
    assert np.isnan(o[:, 1]).all()
    assert np.isfinite(o[:, [0, 2]]).all()


def test_a_method_by_name():
    arrays = inputs(4, 4)
    assert subquad.attention(*arrays, method="exact").tobytes() == subquad.attention(*arrays).tobytes()
