"""The counter of scripts/lib/count_tests.py on what each runner really prints."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/lib/count_tests.py"

DOCTEST_GOOD = "[doctest] test cases: 3 | 3 passed | 0 failed | 0 skipped\n[doctest] assertions: 9 | 9 passed | 0 failed |\n"
DOCTEST_BAD = "[doctest] test cases: 12 | 10 passed |  2 failed | 1 skipped\n[doctest] assertions: 99 | 97 passed | 2 failed |\n"
CMOCKA_GOOD = "[==========] 2 test(s) run.\n[  PASSED  ] 2 test(s).\n"
CMOCKA_BAD = """[==========] errors: 5 test(s) run.
[  PASSED  ] 3 test(s).
[  SKIPPED ] errors: 1 test(s), listed below:
[  SKIPPED ] fork_rebuilds
[  FAILED  ] errors: 1 test(s), listed below:
[  FAILED  ] null_is_named
"""
DIED_EARLY = "[ RUN      ] first\n[       OK ] first\n"


def case(output: str = "", inner: str = "", status: str = "run") -> str:
    return f'<testcase name="t" status="{status}">{inner}<system-out>{output}</system-out></testcase>'


def count(tmp_path: Path, form: str, text: str | None) -> tuple[int, ...]:
    file = tmp_path / "results"
    if text is not None:
        file.write_text(text)
    done = subprocess.run([sys.executable, SCRIPT, form, file], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


FAILURE = '<failure message=""/>'


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        pytest.param([case()], (1, 0, 0), id="a program that prints nothing is one test"),
        pytest.param([case(DOCTEST_GOOD)], (3, 0, 0), id="doctest's cases count"),
        pytest.param([case(DOCTEST_BAD, FAILURE, "fail")], (10, 2, 1), id="doctest's failures count"),
        pytest.param([case(CMOCKA_GOOD), case(CMOCKA_GOOD + CMOCKA_GOOD)], (6, 0, 0), id="cmocka's groups add up"),
        pytest.param([case(CMOCKA_BAD, FAILURE, "fail")], (3, 1, 1), id="cmocka with a group's name"),
        pytest.param([case(DIED_EARLY, FAILURE, "fail")], (0, 1, 0), id="a runner that died is a failure"),
        pytest.param([case(CMOCKA_GOOD, FAILURE, "fail")], (2, 1, 0), id="so is one that died after its closing line"),
        pytest.param([case("", '<skipped message="SKIP_RETURN_CODE=77"/>', "notrun")], (0, 0, 1), id="ctest's skip"),
        pytest.param(
            [case("", '<skipped message="Unable to find executable"/>', "notrun")], (0, 1, 0), id="a missing program fails"
        ),
        pytest.param([case("Disabled", "", "disabled")], (0, 0, 1), id="a disabled test is a skip"),
        pytest.param(['<testcase name="t"/>', '<testcase name="u"><error/></testcase>'], (1, 1, 0), id="pytest's error"),
        pytest.param(
            ['<testcase name="t"><skipped type="pytest.skip" message="no julia"/></testcase>'], (0, 0, 1), id="pytest's skip"
        ),
    ],
)
def test_junit(tmp_path, cases, expected):
    assert count(tmp_path, "junit", f"<testsuite>{''.join(cases)}</testsuite>") == expected


def test_cargo_sums_every_target(tmp_path):
    text = """
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s
   Doc-tests subquad
test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
"""
    assert count(tmp_path, "cargo", text) == (14, 3, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("noise\n7 passed, 0 failed\n", (7, 0, 0)),
        ("1 passed, 1 failed\n5 passed, 2 failed, 3 skipped\n", (5, 2, 3)),
        ("Error\n", (0, 0, 0)),
    ],
)
def test_plain_reads_the_last_closing_line(tmp_path, text, expected):
    assert count(tmp_path, "plain", text) == expected


@pytest.mark.parametrize("text", [None, "", "<testsuite><testcase"])
def test_results_that_are_not_there_count_nothing(tmp_path, text):
    assert count(tmp_path, "junit", text) == (0, 0, 0)
