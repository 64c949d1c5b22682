"""The rules of scripts/lib/suites.sh: what makes a run red, and its closing line."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "scripts/lib"


@pytest.fixture
def run(tmp_path):
    """Runs shell lines after sourcing suites.sh in a tree of its own."""
    shutil.copytree(LIBRARY, tmp_path / "scripts/lib")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)

    def run(lines: str) -> subprocess.CompletedProcess:
        script = f'. "{tmp_path}/scripts/lib/common.sh"\n. "{tmp_path}/scripts/lib/suites.sh"\n{lines}\n'
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)

    return run


def closing_line(done: subprocess.CompletedProcess) -> str:
    lines = done.stdout.splitlines()
    assert sum(bool(re.match(r"(\w+: )?\d+ passed, \d+ failed", line)) for line in lines) == 1, "one closing line, and only one"
    return lines[-1]


def test_suites_add_up(run):
    done = run('suite a plain - echo "3 passed, 0 failed"\nsuite b plain - echo "4 passed, 0 failed, 2 skipped"\nsuites_close')
    assert done.returncode == 0
    assert closing_line(done) == "7 passed, 0 failed, 2 skipped"


def test_no_skip_no_word_of_it(run):
    assert closing_line(run('suite a plain - echo "3 passed, 0 failed"\nsuites_close')) == "3 passed, 0 failed"


def test_a_failure_is_red_and_shows_the_log(run):
    done = run("suite a plain - bash -c 'echo the reason; echo 2 passed, 1 failed'\nsuites_close")
    assert done.returncode != 0
    assert closing_line(done) == "2 passed, 1 failed"
    assert "| the reason" in done.stdout
    assert "failed: a" in done.stdout


@pytest.mark.parametrize("command", ["true", "echo 0 passed, 0 failed, 9 skipped", "/no/such/program", "kill -9 $$"])
def test_a_suite_that_ran_no_test_is_red(run, command):
    done = run(f"suite a plain - bash -c '{command}'\nsuite b plain - echo 1 passed, 0 failed\nsuites_close")
    assert done.returncode != 0
    assert closing_line(done).startswith("1 passed, 1 failed")
    assert "ran no test" in done.stdout


def test_a_crash_after_the_last_test_is_red(run):
    done = run("suite a plain - bash -c 'echo 1 passed, 0 failed; kill -SEGV $$'\nsuites_close")
    assert done.returncode != 0
    assert closing_line(done) == "1 passed, 1 failed"
    assert "exit status 139" in done.stdout


def test_results_of_an_earlier_run_do_not_count(run):
    done = run("echo '<t><testcase/></t>' > $logs/a.xml\nsuite a junit $logs/a.xml true\nsuites_close")
    assert closing_line(done) == "0 passed, 1 failed"


def test_a_failing_step_ends_the_run(run):
    done = run("step build bash -c 'echo no compiler; false'\nsuite a plain - echo 3 passed, 0 failed\nsuites_close")
    assert done.returncode != 0
    assert closing_line(done) == "0 passed, 1 failed"
    assert "no compiler" in done.stdout


def test_what_is_left_out_is_said(run):
    done = run('parse_without --without julia\nsuite a plain - echo "3 passed, 0 failed"\nsuites_close')
    assert done.returncode == 0
    assert "NOT TESTED: julia" in done.stdout


def test_only_known_parts_can_be_left_out(run):
    done = run("parse_without --without python")
    assert done.returncode != 0
    assert "python" in done.stderr
