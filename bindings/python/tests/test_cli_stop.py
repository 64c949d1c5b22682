"""Ctrl-C and other ends, each in a process of its own: at once, and nothing half-written."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import subquad
from cli_program import PROGRAM, heed_signals, names, run, start, wait_for_work, write_problem
from subquad._cli.failures import Exit

LIMIT = 0.2  # seconds from the signal to the end of the process, as promised
ATTEMPTS = 3  # the promptest counts: a busy machine may delay any process
OLD = b"what was here before"

LINES = {
    "exact": "attention zeros.npy zeros.npy zeros.npy -o o.npy --lse l.npy --report r.json",
    "adaptive": "attention q.npy q.npy q.npy -o o.npz --causal --budget 4096 --estimate sampled",
    "sparsify": "sparsify x.npy -o c.npz --columns 20000 --method deterministic",
    "reading": "sparsify x.mtx -o y.mtx --columns 1000",
    "bench": "bench --sizes 262144",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Minutes of work, or seconds."""
    folder, before = tmp_path_factory.mktemp("long"), Path.cwd()
    os.chdir(folder)
    np.lib.format.open_memmap("zeros.npy", "w+", np.float32, (2**18, 64))
    q = subquad.fill_uniform((2**17, 64), 1, 0, -1.0, 1.0, "float32")
    np.save("q.npy", q)
    np.save("seconds.npy", q[: 2**15])
    np.save("x.npy", q.T)
    with Path("x.mtx").open("w") as file:
        file.write(f"%%MatrixMarket matrix array real general\n64 {2**17}\n")
        for _ in range(64):
            file.write("0.12345678901234567\n" * 2**17)
    for name in ("o.npy", "c.npz"):
        Path(name).write_bytes(OLD)
    os.chdir(before)
    return folder


def ended(line, number):
    """(seconds from the signal to the end, exit code, what was said)."""
    with start(*line.split()) as child:
        wait_for_work(child, 0.7)  # importing takes less
        sent = time.monotonic()
        child.send_signal(number)
        child.wait()
        return time.monotonic() - sent, child.returncode, child.stderr.read()


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_interrupted(folder, monkeypatch, line):
    monkeypatch.chdir(folder)
    before, delays = names(), []
    while len(delays) < ATTEMPTS and min(delays, default=LIMIT) >= LIMIT:
        delay, code, said = ended(line, signal.SIGINT)
        delays.append(delay)
        assert (code, said) == (Exit.INTERRUPTED, f"subquad {line.split()[0]}: stopped by SIGINT\n")
        assert names() == before
        assert Path("o.npy").read_bytes() == Path("c.npz").read_bytes() == OLD
    assert min(delays) < LIMIT, delays


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_terminated(folder, monkeypatch, number):
    monkeypatch.chdir(folder)
    before = names()
    _, code, said = ended(LINES["exact"], number)
    assert (code, said) == (128 + number, f"subquad attention: stopped by {number.name}\n")
    assert names() == before
    assert Path("o.npy").read_bytes() == OLD


def test_signals_that_were_ignored_before_are_ignored(tmp_path, monkeypatch):
    """As nohup and a shell's background jobs have it."""
    monkeypatch.chdir(tmp_path)
    write_problem(n=3000)
    line = ["attention", "q.npy", "k.npy", "v.npy", "-o", "o.npy"]
    with start(*line, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as child:
        while child.poll() is None:
            child.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        assert (child.returncode, child.stderr.read()) == (0, "")
    assert np.load("o.npy").shape == (4, 3000, 8)


class Terminal:
    """A process whose terminal is ours to read and to type at; standard output is a pipe."""

    def __init__(self, *words):
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        self.child = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=self._take,
        )
        os.close(theirs)
        self.shown = b""

    @staticmethod
    def _take():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        heed_signals()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        os.close(self._ours)

    def look(self):
        """Whether there is more to come; `shown` has what came."""
        try:
            more = os.read(self._ours, 4096)
        except OSError:  # the process, and with it the terminal's other end, is gone
            more = b""
        self.shown += more
        return bool(more)

    def percentages(self, what):
        return [int(found) for found in re.findall(rf"{what} +(\d+)%".encode(), self.shown)]

    def press(self, key):
        os.write(self._ours, key)


def test_progress_and_ctrl_c_on_a_terminal(folder, monkeypatch):
    """Bars move until Ctrl-C, which takes the place of the bar with a line of its own."""
    monkeypatch.chdir(folder)
    before = names()
    with Terminal("attention", *["seconds.npy"] * 3, "-o", "o.npy", "--threads", "1") as terminal:
        while len(set(terminal.percentages("attention"))) < 3:
            assert terminal.look(), terminal.shown
        terminal.press(b"\x03")
        while terminal.look():
            pass
        assert terminal.child.wait() == Exit.INTERRUPTED
    percentages = terminal.percentages("attention")
    assert percentages == sorted(percentages)
    assert percentages[-1] <= 100
    assert terminal.shown.endswith(b"\r\x1b[Ksubquad attention: stopped by SIGINT\r\n")
    assert names() == before
    assert Path("o.npy").read_bytes() == OLD


def test_bars_leave_nothing_behind():
    """Standard output is a pipe and gets the table; the terminal is as empty as it was."""
    with Terminal("bench", "--sizes", "12000", "--repeats", "2", "--threads", "1") as terminal:
        while terminal.look():
            pass
        assert terminal.child.wait() == 0
        table = terminal.child.stdout.read()
    assert b"speed-up" in table
    assert b"%" not in table
    percentages = terminal.percentages("bench")
    assert len(set(percentages)) > 2
    assert percentages == sorted(percentages)
    assert terminal.shown.split(b"\r")[-1].strip() == b""


def test_without_a_terminal_there_is_no_bar():
    code, _, said = run("bench", "--sizes", "4000", "--repeats", "1", "--threads", "1")
    assert (code, said) == (0, "")
