"""The conformance cases and their tables are what the generator makes, and leave no choice that a caller has untried."""

import json
import shutil
import subprocess
import sys

import capi_tables
import numpy as np
import pytest
from conftest import ROOT

CASES = json.loads((ROOT / "tests/conformance/cases.json").read_text())["cases"]
OPTIONS = capi_tables.load(ROOT / "capi/tables").options
#: What no case asks for, and why.
UNTRIED = {("BACKWARD", "AUTO"): "refused: gradients by a conv basis are its own or exact"}


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="the oracle needs a longdouble wider than double")
def test_the_tree_is_up_to_date():
    command = [sys.executable, "-B", ROOT / "tests/conformance/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["cases.h", "cases.jl", "bad_calls.h", "bad_calls.jl"])
def test_an_edited_table_is_stale(tmp_path, name):
    """The tables alone: cases are taken for what they should be."""
    for folder in ("capi/tables", "tests/conformance"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    folder = tmp_path / "tests/conformance"
    with (folder / "generated" / name).open("a") as table:
        table.write("\n")
    lines = "import generate; generate.make_master = generate.MASTER.read_text; generate.check()"
    done = subprocess.run([sys.executable, "-B", "-c", lines], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines() == [f"not what generate.py makes: {name}"]


def asked(option):
    """Values of an option in all cases, in calls and in what makes their bases, sparsifiers and plans."""
    made = ("conv_basis", "sparsifier", "plan")
    calls = [options for case in CASES for options in (case["options"], *(case[key]["options"] for key in made if key in case))]
    return {options[option.name.lower()] for options in calls if option.name.lower() in options}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_set_and_takes_every_named_value(option):
    values = asked(option)
    assert values
    if option.choices:
        named = {entry.name for entry in capi_tables.load(ROOT / "capi/tables").choices[option.choices]}
        untried = {name for name in named if name.lower() not in values}
        assert untried == {name for of, name in UNTRIED if of == option.name}


def test_every_part_is_allowed_alone():
    parts = next(option for option in OPTIONS if option.name == "PARTS")
    assert {entry.value for entry in capi_tables.load(ROOT / "capi/tables").choices["part"]} <= asked(parts)


def test_a_conv_basis_is_made_in_every_way():
    assert {case["conv_basis"]["made_by"] for case in CASES if "conv_basis" in case} == {"create", "from_dense", "recover", "fit"}
