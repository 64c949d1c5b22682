#!/usr/bin/env python3
"""Write cases.json and generated/ from maker/ and bad_calls.json, or with --check say what differs. Needs NumPy."""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "maker"))

import bad_calls  # noqa: E402
import build  # noqa: E402
import checks  # noqa: E402
import compare  # noqa: E402
import conv_build  # noqa: E402
import conv_checks  # noqa: E402
import philox  # noqa: E402
import plan_build  # noqa: E402
import sparsify_build  # noqa: E402
import sparsify_checks  # noqa: E402
import tables  # noqa: E402
import write_c  # noqa: E402
import write_json  # noqa: E402
import write_julia  # noqa: E402

MASTER = HERE / "cases.json"


def make_master():
    """Text of cases.json, its oracle and budgets tested first."""
    philox.check_known_answers()
    cases, conv_cases, sparsify_cases = build.build(), conv_build.build_cases(), sparsify_build.build_cases()
    every = cases + conv_cases + sparsify_cases + plan_build.build_cases()
    names = [case["name"] for case in every]
    assert len(set(names)) == len(names), sorted(name for name in set(names) if names.count(name) > 1)
    checks.check(cases)
    conv_checks.check(conv_cases)
    sparsify_checks.check(sparsify_cases)
    return write_json.cases_text(every)


def derived(cases):
    """Text of every table by its path."""
    bad = bad_calls.load(HERE / "bad_calls.json", tables)
    return {
        HERE / "generated" / "cases.h": write_c.cases_text(cases),
        HERE / "generated" / "bad_calls.h": write_c.bad_calls_text(bad),
        HERE / "generated" / "cases.jl": write_julia.cases_text(cases),
        HERE / "generated" / "bad_calls.jl": write_julia.bad_calls_text(bad),
    }


def write():
    text = make_master()
    MASTER.write_text(text)
    for path, table in derived(write_json.load_cases(text)).items():
        path.write_text(table)


def check():
    stored = write_json.load_cases(MASTER.read_text())
    stale = compare.differences(write_json.load_cases(make_master()), stored)
    stale += [path.name for path, text in derived(stored).items() if not path.exists() or path.read_text() != text]
    if stale:
        sys.exit("not what generate.py makes: " + ", ".join(stale))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check() if parser.parse_args().check else write()


if __name__ == "__main__":
    main()
