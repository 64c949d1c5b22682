"""The library runs on every x86-64 processor: what needs more is chosen at run time."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import baseline
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SUBQUAD_BUILD", ROOT / "build/release"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="about the instructions of x86-64")
def test_the_library_keeps_to_the_baseline():
    command = [sys.executable, ROOT / "scripts/lib/baseline.py", BUILD / "libsubquad.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


SSE4 = ["pshufb %xmm0,%xmm1", "roundsd $0x9,%xmm0,%xmm0", "popcnt %rax,%rax", "pmulld %xmm1,%xmm0", "pminsd %xmm1,%xmm0"]
AVX = ["vaddps %ymm0,%ymm1,%ymm2", "vzeroupper", "andn   %rax,%rbx,%rcx", "shlx   %rax,%rbx,%rcx", "kmovw  %k1,%eax"]


@pytest.mark.parametrize("instruction", SSE4 + AVX)
def test_what_is_beyond_the_baseline(instruction):
    def listing(function):
        return f"0000000000001000 <{function}>:\n    1000:\t{instruction}\n    1004:\tret\n"

    assert baseline.offences(listing("subquad::run(int)")) == {"subquad::run(int)": instruction}
    assert baseline.offences(listing("subquad::N_AVX2::run(int)")) == {}
    assert (baseline.offences(listing("subquad::N_SSE4::run(int)")) == {}) == (instruction in SSE4)


@pytest.mark.parametrize(
    "instruction", ["addps  %xmm1,%xmm0", "pminsw %xmm1,%xmm0", "pextrw $0x1,%xmm0,%eax", "and    %eax,%ebx"]
)
def test_what_every_processor_has(instruction):
    assert baseline.offences(f"0000000000001000 <f>:\n    1000:\t{instruction}\n") == {}
