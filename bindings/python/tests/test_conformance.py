"""The cases and the bad calls that C, Python, Julia and Rust all run; see tests/conformance/README.md."""

import re

import numpy as np
import pytest
import subquad
from conformance import Array, load, merge_patch
from conformance_call import OUT, RESULTS, Call
from conformance_plan import check_head_errors, check_prefix, check_report
from subquad._constants import Part

CASES = load("cases.json")["cases"]
BAD = load("bad_calls.json")


def ids(rows):
    return [row["name"] for row in rows]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_case(case):
    call = Call.of(case, case["inputs"])
    if "in_place" in case:
        outs = {"o": call.arrays[f"o_parts[{case['in_place']}]"]}
    else:
        made = set(OUT.get(call.function, [])) & set(case["outputs"])
        outs = {name: Array.make(without_values(case["outputs"][name]), case["dtype"], {}) for name in made}
    results, report = call.run(call.out(outs))
    for name, expected in case["outputs"].items():
        check(name, results[name], expected)
        if "head_error" in expected:
            check_head_errors(call, results[name], expected["head_error"])
    if "heads" in case:
        check_report(report, case["heads"], case.get("plan", case)["options"].get("parts", sum(Part)))
    for name, out in outs.items():
        assert out.array.size == 0 or np.shares_memory(results[name], out.array)
        assert np.isnan(out.gaps()).all()
    for key in {"pairs", "rank", "scores"} & set(case):
        assert report[key] == case[key]
    if "certificate" in case:
        assert report.get("certificate", "none") == case["certificate"]
        assert ("epsilon" in report) == (case["certificate"] != "none")
    if "prefix" in case:
        check_prefix(call, results, case["prefix"])


def without_values(expected):
    return {key: value for key, value in expected.items() if key in ("shape", "dtype", "layout")}


def check(name, result, expected):
    assert list(result.shape) == expected["shape"]
    if "values" not in expected:
        return
    values = np.array([float(value) for value in expected["values"]]).reshape(expected["shape"])
    with np.errstate(invalid="ignore"):
        good = np.where(np.isneginf(values), np.isneginf(result), np.abs(result - values) <= expected["budget"])
    assert good.all(), (
        f"{name} at {np.argwhere(~good)[0]}: {result[~good][0]!r}, expected {values[~good][0]!r} within {expected['budget']}"
    )


def bad_call(patch, base):
    merged = merge_patch(BAD["bases"][base], patch)
    return Call.of(merged, merged["arrays"])


def run(call):
    return call.run(call.out(call.arrays))


@pytest.mark.parametrize("base", BAD["bases"])
def test_base(base):
    call = bad_call({}, base)
    results, _ = run(call)
    for name in set(RESULTS[call.function]) & set(results):
        assert not np.isnan(results[name]).any()


@pytest.mark.parametrize("row", BAD["calls"], ids=ids(BAD["calls"]))
def test_bad_call(row):
    if "python" in row.get("na", {}):
        pytest.skip(row["na"]["python"])
    call = bad_call(row["patch"], row["base"])
    before = {name: made.buffer.tobytes() for name, made in call.arrays.items()}
    with pytest.raises(subquad.SubquadError) as caught:
        run(call)
    text = str(caught.value)
    assert caught.value.name == row["code"], text
    for word in row.get("message_in", {}).get("python", row["message"]):
        assert re.search(rf"(?<![a-z0-9_]){re.escape(word)}(?![a-z0-9_])", text, re.IGNORECASE), f"{word!r} is not in {text!r}"
    if "index" in row:
        assert f"[{', '.join(map(str, row['index']))}]" in text
    free = set(RESULTS[call.function]) if row["code"] == "ERR_OVERFLOW" else set()  # found while computing
    assert all(made.buffer.tobytes() == before[name] for name, made in call.arrays.items() if name not in free)
    run(bad_call({}, row["base"]))
