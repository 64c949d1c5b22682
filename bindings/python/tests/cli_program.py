"""The command line in tests: small files to work on, and the program as a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from reference import inputs

PROGRAM = [sys.executable, "-P", "-m", "subquad"]


def write_problem(n=60, d=8, heads=(4,), kv_heads=(2,), dtype=np.float32):
    """q.npy, k.npy and v.npy in the folder; the arrays."""
    arrays = inputs(n, n, d=d, d_v=d, heads=heads, kv_heads=kv_heads, dtype=dtype)
    for name, array in zip("qkv", arrays, strict=True):
        np.save(f"{name}.npy", array)
    return arrays


def heed_signals():
    """In a child: the job of a shell in the background, as the tests themselves may be, would ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(*words, **settings):
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": heed_signals} | settings
    return subprocess.Popen([*PROGRAM, *map(str, words)], **settings)


def run(*words, **settings):
    """(exit code, standard output, standard error) of a process that has ended."""
    with start(*words, **settings) as child:
        output, errors = child.communicate(timeout=120)
    return child.returncode, output, errors


def wait_for_work(child, seconds):
    """Until the process has computed for so long."""
    while _computed(child.pid) < seconds:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)


def _computed(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def names():
    """What the folder holds, hidden files too."""
    return sorted(path.name for path in Path().iterdir())
