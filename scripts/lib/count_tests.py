"""Count a suite's tests from what its runner wrote: prints "passed failed skipped".

usage: count_tests.py FORMAT FILE

FORMAT  junit   XML of pytest, or of ctest, whose programs may be test runners themselves: doctest's and cmocka's
                closing lines then count in place of the program
        cargo   the output of cargo test
        plain   output that ends with a line "N passed, N failed", with or without ", N skipped"
A file that is missing or not understood counts as no test at all: the caller treats that as a failure.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree


class Counts(NamedTuple):
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


DOCTEST = re.compile(r"^\[doctest\] test cases:.*?(\d+) passed \|\s*(\d+) failed \|\s*(\d+) skipped", re.MULTILINE)
CMOCKA = {
    kind.lower(): re.compile(rf"^\[  {kind:<8}\] (?:[^:\n]*: )?(\d+) test\(s\)", re.MULTILINE)
    for kind in ("PASSED", "FAILED", "SKIPPED")
}
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)


def count_inside(output: str) -> Counts:
    """Sum of the closing lines of the test runners that wrote to one program's output."""
    counts = sum((Counts(*map(int, line)) for line in DOCTEST.findall(output)), Counts())
    return counts + Counts(**{kind: sum(map(int, pattern.findall(output))) for kind, pattern in CMOCKA.items()})


def count_testcase(case: ElementTree.Element) -> Counts:
    """One <testcase>. A program that failed counts one failure even where it died before saying so."""
    skipped = case.find("skipped")
    failed = case.find("failure") is not None or case.find("error") is not None
    # ctest reports a program that it could not start as skipped; a real skip names the property that asked for it.
    if skipped is not None and case.get("status") == "notrun":
        failed = not skipped.get("message", "").startswith("SKIP_")
    if not failed and (skipped is not None or case.get("status") == "disabled"):
        return Counts(skipped=1)
    inside = count_inside(case.findtext("system-out") or "")
    if failed:
        return inside._replace(failed=max(1, inside.failed))
    return inside if any(inside) else Counts(passed=1)


def count(form: str, text: str) -> Counts:
    if form == "junit":
        return sum((count_testcase(case) for case in ElementTree.fromstring(text).iter("testcase")), Counts())
    if form == "cargo":
        return sum((Counts(*map(int, line)) for line in CARGO.findall(text)), Counts())
    if form == "plain":
        lines = PLAIN.findall(text)
        return Counts(*(int(number or 0) for number in lines[-1])) if lines else Counts()
    raise ValueError(f"unknown format {form!r}")


def main(form: str, file: str) -> None:
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
        counts = count(form, text)
    except (FileNotFoundError, ElementTree.ParseError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        counts = Counts()
    print(*counts)


if __name__ == "__main__":
    main(*sys.argv[1:])
