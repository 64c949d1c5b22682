"""What the report on tol and budget says of each head, and how it reads."""

import json

import numpy as np
import pytest
import subquad
from adaptive_reference import KINDS, head, heads
from reference import inputs

N = 2048
PLANNED = {"parts", "error", "error_low", "error_high", "fallback", "window", "heavy_columns", "selected_keys", "conv_bases"}
EFFORT = {"pairs_exact", "pairs_low", "pairs_screened"}
PAIRS = N * (N + 1) // 2  # of one head


@pytest.fixture(scope="module", params=["screened", "sampled"])
def reports(request):
    """Of a plan, of its use, and of attention in one call."""
    arrays, settings = heads(N), {"tol": 0.1, "causal": True, "estimate": request.param, "seed": 11}
    plan = subquad.plan(*arrays, **settings)
    applied = plan.apply(arrays[2], return_report=True)[1]
    return plan.report, applied, subquad.attention(*arrays, **settings, return_report=True)[1]


def test_keys(reports):
    plan, applied, whole = reports
    for report in reports:
        assert report["method"] == "auto"
        assert report["pairs"] == len(KINDS) * PAIRS
        assert report["seed"] == 11
        assert report["estimate"] in ("screened", "sampled")
        assert report["sampled_rows"] > 0
        assert report["threads"] >= 1
        assert report["seconds"] > 0
        assert report.keys() >= PLANNED | EFFORT | {"head_seconds_plan"}
        assert all(len(report[key]) == len(KINDS) for key in PLANNED | EFFORT)
    assert applied.keys() >= {"missed_mass", "head_seconds_apply"}
    assert whole.keys() >= {"missed_mass", "head_seconds_plan", "head_seconds_apply"}
    assert "head_seconds_apply" not in plan


def test_values(reports):
    for report in reports:
        for made in report.heads:
            exact = made["parts"] == "exact"
            assert bool(made["fallback"]) == exact
            assert 0 <= made["error_low"] <= made["error"] <= made["error_high"]
            assert (made["error"] == 0) == exact
            assert made["head_seconds_plan"] >= 0
            if exact:
                assert made["pairs_exact"] == PAIRS
                assert made["window"] == made["heavy_columns"] == made["selected_keys"] == made["conv_bases"] == 0
            else:
                assert made["error"] <= 0.1
                assert made["pairs_low"] > 0
                assert made["pairs_exact"] + made["pairs_low"] + made["pairs_screened"] <= PAIRS
                named = made["parts"].split("+")
                assert (made["heavy_columns"] > 0) == ("heavy" in named)
                assert made["selected_keys"] == 0 or "selection" in named  # no group may have had a large share
                assert (made["conv_bases"] > 0) == ("conv" in named)
                assert (made["window"] > 0) == ("window" in named)
            assert made.get("head_seconds_apply", 1) > 0
            assert 0 <= made.get("missed_mass", 0) <= 1


def test_a_plan_expects_what_its_use_takes(reports):
    """method: rows that are sampled evenly see as many keys as all do, to half of them; what is computed for them varies as much."""
    plan, applied, _ = reports
    for expected, taken in zip(plan.heads, applied.heads, strict=True):
        assert taken["pairs_low"] / 2 <= expected["pairs_low"] <= 2 * taken["pairs_low"]


def test_heads(reports):
    for report in reports:
        assert len(report.heads) == len(KINDS)
        for key in report.heads[0]:
            assert [made[key] for made in report.heads] == report[key]
    assert subquad.attention(*inputs(4, 4), return_report=True)[1].heads == []
    assert subquad.plan(*inputs(4, 4, heads=(0,)), tol=0.1).report.heads == []


def test_text(reports):
    """Lines for the whole, and a table with a line for each head."""
    lines = str(reports[2]).splitlines()
    split = next(i for i, line in enumerate(lines) if line.split()[0] == "head")
    columns = lines[split].split()[1:]
    assert len(lines) == split + 1 + len(KINDS)
    assert {line.split()[0] for line in lines[:split]} | set(columns) == set(reports[2])
    for i, (line, made) in enumerate(zip(lines[split + 1 :], reports[2].heads, strict=True)):
        cells = dict(zip(["head", *columns], line.split(maxsplit=len(columns)), strict=False))
        assert cells["head"] == str(i)
        assert cells["parts"] == made["parts"]
        assert abs(float(cells["error"]) - made["error"]) <= 0.005 * made["error"]  # written with three digits


def test_json(reports):
    for report in reports:
        assert json.loads(report.json()) == dict(report)


def test_one_head_is_no_list():
    _, report = subquad.attention(*head(KINDS[0], 1, N), tol=0.1, causal=True, return_report=True)
    assert isinstance(report["parts"], str)
    assert isinstance(report["error"], float)
    assert report.heads == [{key: report[key] for key in report.heads[0]}]
    assert {line.split()[0] for line in str(report).splitlines()} == set(report)


def test_the_order_is_batch_and_head():
    """The second element of the batch sees no key: its heads are exact."""
    q, k, v = (np.stack([array, array]) for array in heads(N, kinds=KINDS[:2]))
    _, report = subquad.attention(q, k, v, tol=0.1, causal=True, key_ranges=[(0, N), (5, 5)], return_report=True)
    assert report["pairs"] == 2 * PAIRS
    assert report["parts"][2:] == ["exact", "exact"]
    assert "exact" not in report["parts"][:2]
