"""The README says what works: its programs run and agree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import subquad

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SUBQUAD_BUILD", ROOT / "build/release"))
LEFT_OUT = os.environ.get("SUBQUAD_WITHOUT", "").split()
README = (ROOT / "README.md").read_text()
PROGRAMS = {
    "python": "examples/python/attention.py",
    "julia": "examples/julia/attention.jl",
    "rust": "examples/rust/src/main.rs",
    "c": "examples/c/attention.c",
}
LIBRARIES = ["common.sh", "python.sh", "rust.sh", "julia.sh"]


def run(*command):
    """Output of a program that must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_in_scripts(line):
    """Output of a shell line that may use the functions of scripts/lib."""
    sources = "".join(f'. "{ROOT}/scripts/lib/{name}"\n' for name in LIBRARIES)
    return run("bash", "-c", f"{sources}{line}")


def run_program(language, folder):
    file = ROOT / PROGRAMS[language]
    if language == "python":
        return run(sys.executable, "-P", file)
    if language == "julia":
        return run_in_scripts(f'julia_run --startup-file=no --project="{ROOT}/bindings/julia" "{file}"')
    if language == "rust":
        return run_in_scripts(f'rust_run run --quiet --manifest-path "{ROOT}/examples/rust/Cargo.toml"')
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT}/capi"]
    run("cc", *flags, file, "-o", folder / "attention", f"-L{BUILD}", f"-Wl,-rpath,{BUILD}", "-lsubquad")
    return run(folder / "attention")


@pytest.fixture(scope="session")
def printed(tmp_path_factory):
    """What each language's program prints, run once."""
    results = {}

    def ask(language):
        if language in LEFT_OUT:
            pytest.skip(f"--without {language}")
        if language not in results:
            results[language] = run_program(language, tmp_path_factory.mktemp(language))
        return results[language]

    return ask


@pytest.mark.parametrize("language", PROGRAMS)
def test_shown_is_what_lies_in_examples(language):
    (shown,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shown == (ROOT / PROGRAMS[language]).read_text()


@pytest.mark.parametrize("language", PROGRAMS)
def test_programs_print_the_same_number(language, printed):
    # The same library on the same numbers: the same bits, in as many digits as each language prints for a float32.
    assert np.float32(printed(language)) == np.float32(printed("c"))


def test_the_number_is_right(printed):
    n, d = 1000, 64
    q, k, v = (subquad.fill_uniform((n, d), seed=1, stream=i, low=-1, high=1, dtype="float64") for i in range(3))
    weights = np.exp(k @ q[-1] / np.sqrt(d))
    # roundoff: a logit's error moves its weight by as much, relatively, and numerator and denominator at most once each; then n terms
    # of each sum, every one at most |v|_max = 1 times its weight.
    eps = np.finfo(np.float32).eps / 2
    logit_error = (d + 2) * eps * (np.abs(k) @ np.abs(q[-1])).max() / np.sqrt(d)
    roundoff = 2 * (logit_error + (n + 2) * eps)
    assert abs(float(printed("python")) - weights @ v[:, -1] / weights.sum()) <= roundoff


def test_demo():
    text = run(
        sys.executable, "-P", ROOT / "examples/python/demo_exact.py", "--sizes", "5", "64", "--heads", "2", "--repeats", "1"
    )
    assert len(re.findall(r"^ *(?:5|64) +\d", text, re.MULTILINE)) == 2
