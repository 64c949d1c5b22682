"""attention with tol or budget: errors as promised, whatever the shapes, masks and biases; what it leaves alone."""

import numpy as np
import pytest
import subquad
from adaptive_reference import KINDS, SLACK, approximated, chance, errors, head, heads, listed
from reference import LAYOUTS, fill, inputs

N = 2048
ROWS_SHORT = 300  # nothing is cheaper than exact attention


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [{"causal": True}, {}, {"causal": True, "causal_offset": 5}, {"scale": -0.3}])
def test_tol_zero_is_exact(settings, dtype):
    q, k, v = inputs(N, N, d=16, d_v=8, heads=(2,), dtype=dtype)
    o, lse, report = subquad.attention(q, k, v, tol=0, return_lse=True, return_report=True, **settings)
    expected, expected_lse = subquad.attention(q, k, v, return_lse=True, **settings)
    assert o.tobytes() == expected.tobytes()
    assert lse.tobytes() == expected_lse.tobytes()
    assert report["parts"] == ["exact", "exact"]
    assert report["error"] == [0, 0]
    assert all("tol" in reason for reason in report["fallback"])


@pytest.mark.parametrize("n", [0, 1, 2, 31, ROWS_SHORT])
def test_short_sequences_are_exact(n):
    q, k, v = inputs(n, n, heads=(2,), dtype=np.float32)
    o, report = subquad.attention(q, k, v, causal=True, tol=0.2, return_report=True)
    assert o.tobytes() == subquad.attention(q, k, v, causal=True).tobytes()
    assert set(report["parts"]) == {"exact"}
    assert all(report["fallback"])


@pytest.mark.parametrize("estimate", ["screened", "sampled"])
@pytest.mark.parametrize("n", [2048, 4096])
@pytest.mark.parametrize("tol", [0.1, 0.05])
def test_heads_meet_the_tolerance(tol, n, estimate):
    """method: 1.25 tol for 95 % of heads. chance: how many of these may miss it, and how many 95 % intervals may miss the truth."""
    q, k, v = heads(n, seeds=8)
    o, report = subquad.attention(q, k, v, causal=True, tol=tol, estimate=estimate, return_report=True)
    true = errors(o, subquad.attention(q, k, v, causal=True))
    assert (true > SLACK * tol).sum() <= chance(len(q)), true
    rough = approximated(report)
    low, high = (np.array(report[key]) for key in ("error_low", "error_high"))
    assert ((true < low) | (true > high))[rough].sum() <= chance(rough.sum()), (true, low, high)
    assert (true[~rough] == 0).all()
    assert rough.any()


@pytest.mark.parametrize("estimate", ["screened", "sampled"])
@pytest.mark.parametrize("kind", KINDS)
def test_budgets(kind, estimate):
    """No more pairs than asked for, and no larger error with more of them; where nothing can do with so few, as few as for no budget."""
    q, k, v = head(kind, 1, N)
    expected, found, fewest = subquad.attention(q, k, v, causal=True), [], 0.0
    for budget in (1e-9, 0.05, 0.3, 0.6, 0.9):
        o, report = subquad.attention(q, k, v, causal=True, budget=budget, estimate=estimate, return_report=True)
        computed = (report["pairs_exact"] + report["pairs_low"]) / report["pairs"]
        fewest = fewest or computed
        assert computed <= max(budget, fewest)
        if not report["fallback"]:
            found.append(errors(o, expected)[0])
    assert found
    assert found[0] >= found[-1]


def test_a_budget_in_keys_per_query():
    q, k, v = head(KINDS[0], 1, N)
    _, report = subquad.attention(q, k, v, causal=True, budget=300, return_report=True)
    assert 0 < report["pairs_exact"] + report["pairs_low"] <= 300 * N


VARIANTS = {
    "float64": {"dtype": np.float64, "causal": True},
    "not causal": {},
    "shorter queries": {"rows": slice(700, None), "causal": True, "causal_offset": 700},
    "later queries": {"rows": slice(0, 900), "causal": True, "causal_offset": 1000},
    "bias": {"causal": True, "lag_bias": -0.01 * np.arange(N, dtype=np.float32)[None]},
    "bias of both sides": {"lag_bias": np.cos(np.arange(2 * N - 1, dtype=np.float32) / 50)[None], "lag_min": 1 - N},
    "key ranges": {"causal": True, "key_ranges": [(100, 1901)]},
    "a slice of the keys": {"causal": True, "causal_offset": 30, "key_offset": 20},
    "scale": {"causal": True, "scale": 0.09},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant, kind):
    """method: the promise of most heads, held by these."""
    settings = dict(VARIANTS[variant])
    rows = settings.pop("rows", slice(None))
    q, k, v = head(kind, 3, N, dtype=settings.pop("dtype", np.float32))
    tol = 0.1
    o, lse = subquad.attention(q[rows], k, v, tol=tol, return_lse=True, **settings)
    expected, expected_lse = subquad.attention(q[rows], k, v, return_lse=True, **settings)
    assert (o.dtype, lse.dtype) == (q.dtype, q.dtype)
    assert errors(o, expected)[0] <= SLACK * tol
    assert (np.isneginf(lse) == np.isneginf(expected_lse)).all()
    assert (o[np.isneginf(lse)] == 0).all()


@pytest.mark.parametrize(("d", "d_v"), [(16, 64), (80, 64), (128, 33), (64, 1)])
def test_widths(d, d_v):
    q, k, _ = head(KINDS[0], 5, N, d)
    v = fill(9, N, d_v, dtype=np.float32)
    o = subquad.attention(q, k, v, causal=True, tol=0.1)
    assert errors(o, subquad.attention(q, k, v, causal=True))[0] <= SLACK * 0.1


@pytest.mark.parametrize("group", [2, 4])
def test_a_batch_of_grouped_heads(group):
    q, k, v = (array.reshape(2, 4, N, -1) for array in heads(N, seeds=2))
    k, v = k[:, ::group], v[:, ::group]
    o, report = subquad.attention(q, k, v, causal=True, tol=0.1, return_report=True)
    true = errors(o, subquad.attention(q, k, v, causal=True))
    assert len(report["error"]) == true.size == 8
    assert (true > SLACK * 0.1).sum() <= chance(8)
    assert (true[~approximated(report)] == 0).all()


def needle(seed, n):
    """A local head of which one query attends to one far key, both anywhere."""
    q, k, v = head(KINDS[0], seed, n)
    rng = np.random.default_rng(seed)
    row = rng.integers(n // 2, n)
    key = rng.integers(0, row - 200)
    q[row] = 30 * 8 * k[key] / (k[key] ** 2).sum()
    return row, q, k, v


@pytest.mark.parametrize("n", [2048, 4001])
def test_a_needle_is_found_where_all_pairs_are_screened(n):
    """Where it was lost, the row would err by about 1."""
    rows, *arrays = zip(*(needle(seed, n) for seed in range(12)), strict=True)
    q, k, v = map(np.stack, arrays)
    o, report = subquad.attention(q, k, v, causal=True, tol=0.1, estimate="screened", return_report=True)
    assert report["estimate"] == "screened"
    assert approximated(report).all()
    here = np.arange(12), np.array(rows)
    assert errors(o[here][:, None], subquad.attention(q, k, v, causal=True)[here][:, None]).max() <= 0.1


@pytest.mark.parametrize("estimate", ["screened", "sampled", None])
def test_the_report_says_what_the_estimate_rests_on(estimate):
    _, report = subquad.attention(*head(KINDS[0], 1, N), causal=True, tol=0.1, estimate=estimate, return_report=True)
    assert report["estimate"] == estimate if estimate else report["estimate"] in ("screened", "sampled")


@pytest.mark.parametrize(
    "parts", [[], ["heavy"], ["screening"], {"heavy", "selection"}, ("conv", "conv"), ["heavy", "centroids"]]
)
def test_only_parts_that_may_be_used_are(parts):
    allowed = {"window", "exact", *parts} | ({"screened"} if "screening" in parts else set())
    q, k, v = heads(N)
    o, report = subquad.attention(q, k, v, causal=True, tol=0.1, estimate="sampled", parts=parts, return_report=True)
    assert {part for made_of in report["parts"] for part in made_of.split("+")} <= allowed
    assert (errors(o, subquad.attention(q, k, v, causal=True)) > SLACK * 0.1).sum() <= chance(len(q))


def test_parts_by_an_iterator():
    q, k, v = head(KINDS[1], 1, N)
    results = [
        subquad.attention(q, k, v, causal=True, tol=0.1, estimate="sampled", parts=parts).tobytes()
        for parts in (iter(("heavy", "selection")), ["selection", "heavy", "heavy"], np.array(["heavy", "selection"]))
    ]
    assert len(set(results)) == 1


def test_seeds_are_other_samples():
    q, k, v = head(KINDS[1], 1, N)
    reports = [subquad.attention(q, k, v, causal=True, tol=0.1, seed=seed, return_report=True)[1] for seed in (1, 1, 2)]
    assert [report["seed"] for report in reports] == [1, 1, 2]
    assert reports[0]["error"] == reports[1]["error"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [{"tol": 0.1}, {"budget": 0.3, "estimate": "sampled"}, {"tol": 0.1, "strict_causal": True}])
def test_the_same_bits_for_any_number_of_threads(settings, dtype):
    arrays = heads(N, dtype=dtype)
    results = [subquad.attention(*arrays, causal=True, return_lse=True, threads=threads, **settings) for threads in (1, 2, 3)]
    assert len({(o.tobytes(), lse.tobytes()) for o, lse in results}) == 1


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout):
    arrays = [array[None] for array in heads(N, kinds=KINDS[:2])]
    expected = subquad.attention(*arrays, causal=True, tol=0.1)
    assert subquad.attention(*(layout(array) for array in arrays), causal=True, tol=0.1).tobytes() == expected.tobytes()


def test_out():
    q, k, v = heads(N, kinds=KINDS[:2])
    expected = subquad.attention(q, k, v, causal=True, tol=0.1)
    gaps = np.full((2, N, 2 * v.shape[2]), np.nan, np.float32)
    out = gaps[:, ::-1, ::2]
    assert subquad.attention(q, k, v, causal=True, tol=0.1, out=out) is out
    assert (out == expected).all()
    assert np.isnan(gaps).sum() == out.size


def test_inputs_are_left_alone():
    arrays = heads(N, kinds=KINDS[:1])
    before = [array.tobytes() for array in arrays]
    subquad.attention(*arrays, causal=True, tol=0.1)
    assert [array.tobytes() for array in arrays] == before


@pytest.mark.parametrize("m", [1, 700, 1025, 2048, 2500])
def test_strict_causal_extending_the_sequence_changes_nothing(m):
    """What is appended may be anything: here values and keys of another size."""
    q, k, v = heads(3001)
    settings = {"causal": True, "tol": 0.1, "strict_causal": True, "return_lse": True}
    o, lse = subquad.attention(q, k, v, **settings)
    short = subquad.attention(q[:, :m], k[:, :m], v[:, :m], **settings)
    assert short[0].tobytes() == o[:, :m].tobytes()
    assert short[1].tobytes() == lse[:, :m].tobytes()
    q[:, m:], k[:, m:], v[:, m:] = -q[:, m:], 1.5 * k[:, m:], 30
    again = subquad.attention(q, k, v, **settings)
    assert again[0][:, :m].tobytes() == o[:, :m].tobytes()
    assert errors(o, subquad.attention(*heads(3001), causal=True)).max() <= 3 * 0.1  # promised of the worst head


def test_method_by_name():
    q, k, v = head(KINDS[0], 1, N)
    named, unnamed = (subquad.attention(q, k, v, causal=True, tol=0.1, method=method) for method in ("auto", None))
    assert named.tobytes() == unnamed.tobytes()
    assert listed(subquad.attention(q, k, v, causal=True, return_report=True)[1]["method"]) == ["exact"]
