"""fill_uniform, Report and info."""

import json

import numpy as np
import pytest
import subquad
from reference import fill, inputs
from subquad._constants import ReportKey, ValueType
from subquad._context import borrow
from subquad._library import raw
from subquad._report import new_report, read_report


def philox_first_block(seed, stream):
    """Words 0 to 3 of Philox4x32-10 for counter (0, stream) and key seed, by the definition in Python integers."""
    counter = [0, 0, stream & 0xFFFFFFFF, stream >> 32]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [b >> 32 ^ counter[1] ^ key[0], b & 0xFFFFFFFF, a >> 32 ^ counter[3] ^ key[1], a & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


@pytest.mark.parametrize(("seed", "stream"), [(0, 0), (1, 2), (2**64 - 1, 2**64 - 1), (2**32, 2**40)])
def test_fill_is_philox(seed, stream):
    expected = [(word >> 8) / 2**24 for word in philox_first_block(seed, stream)]
    assert subquad.fill_uniform(4, seed, stream, 0.0, 1.0, np.float64).tolist() == expected


def test_fill_counts_in_row_major_order():
    flat = fill(0, 24)
    assert (fill(0, 2, 3, 4).ravel() == flat).all()
    assert (fill(0, 2, 3, 4, dtype=np.float32).ravel() == flat.astype(np.float32)).all()
    assert fill(0, 0, 4).shape == (0, 4)
    assert -1 <= flat.min() < flat.max() < 1


@pytest.mark.parametrize(
    ("arguments", "name", "words"),
    [
        ({"seed": -1}, "ERR_VALUE", "seed"),
        ({"stream": 2**64}, "ERR_VALUE", "stream"),
        ({"seed": 0.5}, "ERR_TYPE", "seed"),
        ({"low": 2}, "ERR_VALUE", "low"),
        ({"high": float("inf")}, "ERR_VALUE", "high"),
        ({"low": "0"}, "ERR_TYPE", "low"),
        ({"dtype": "int64"}, "ERR_DTYPE", "int64"),
        ({"dtype": "float16"}, "ERR_DTYPE", "float16"),
        ({"dtype": "nonsense"}, "ERR_DTYPE", "nonsense"),
        ({"shape": ()}, "ERR_SHAPE", "x"),
        ({"shape": (1, 1, 1, 1, 1)}, "ERR_SHAPE", "x"),
        ({"shape": (-1,)}, "ERR_SHAPE", "x"),
        ({"shape": "ab"}, "ERR_TYPE", "shape"),
        ({"shape": 2.5}, "ERR_TYPE", "shape"),
        ({"shape": (2**40, 2**40)}, "ERR_SIZE", "x"),
    ],
)
def test_bad_fills(arguments, name, words):
    good = {"shape": (2, 3), "seed": 1, "stream": 0, "low": 0.0, "high": 1.0, "dtype": "float64"}
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        subquad.fill_uniform(**(good | arguments))
    assert caught.value.name == name


def test_report_of_a_call():
    _, report = subquad.attention(*inputs(9, 9, heads=(2,)), causal=True, threads=2, return_report=True)
    assert report["method"] == "exact"
    assert report["pairs"] == 2 * 9 * 10 / 2
    assert report["threads"] == 2
    assert report["seconds"] > 0
    assert report["simd_target"] == subquad.info()["simd_target"]
    assert report["workspace_bytes"] >= 0


def test_report_is_a_mapping_and_prints():
    report = subquad.info()
    assert json.loads(report.json()) == dict(report)
    assert set(report) <= {key.name.lower() for key in ReportKey}
    assert [line.split()[0] for line in str(report).splitlines()] == list(report)
    assert "version" in report
    assert "pairs" not in report
    with pytest.raises(KeyError):
        report["pairs"]
    assert repr(report).startswith("Report(")
    assert str(subquad.Report("{}")) == ""


def test_json_says_what_the_queries_say():
    getters = {
        ValueType.INT: raw.subquad_report_get_int,
        ValueType.FLOAT: raw.subquad_report_get_float,
        ValueType.STRING: raw.subquad_report_get_string,
    }
    with new_report() as pointer, borrow(None) as context:
        raw.subquad_info(context, pointer)
        report = read_report(pointer)
        for key in ReportKey:
            length, kind = raw.subquad_report_length(pointer, key)
            values = [getters[kind](pointer, key, index) for index in range(length)]
            listed = report.get(key.name.lower(), [])
            assert values == (listed if isinstance(listed, list) else [listed])


def test_info():
    about = subquad.info()
    assert about["version"] == subquad.__version__ == raw.subquad_version_string()
    assert about["threads"] >= 1
    targets = about["simd_targets"]
    assert about["simd_target"] in targets
