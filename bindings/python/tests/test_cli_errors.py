"""A user's mistake: one line that names it, an exit code, nothing written, nothing lost."""

import json
import os
import re
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import subquad
from cli_program import PROGRAM, names, run, start, write_problem
from subquad._cli import main
from subquad._cli.failures import MEANINGS, Exit

FAILED, USAGE = Exit.FAILED, Exit.USAGE
ATTENTION = "attention q.npy k.npy v.npy -o o.npy"
OLD = b"what was here before"

#: File, and what it holds that no command takes.
BAD_FILES = {
    "short.npy": lambda q: q[:, :9],
    "complex.npy": lambda q: q.astype(np.complex64),
    "whole.npy": lambda q: q.astype(np.int64),
    "double.npy": lambda q: q.astype(np.float64),
    "swapped.npy": lambda q: q.astype(">f4"),
    "line.npy": lambda q: q[0, 0],
    "nan.npy": lambda q: np.where(np.arange(q.shape[-1]) == 2, np.nan, q).astype(q.dtype),
    "text.npy": b"hello",
    "empty.npy": b"",
    "text.npz": b"hello",
    "text.mtx": b"hello",
    "header.mtx": b"%%MatrixMarket matrix coordinate real general\n3 3 1\n5 5 1.0\n",
    "words.mtx": b"%%MatrixMarket matrix coordinate real general\n3 3 1\n1 1 many\n",
}

CASES = [
    ("", USAGE, "COMMAND"),
    ("frobnicate", USAGE, "frobnicate"),
    ("info --xml", USAGE, "--xml"),
    ("attention q.npy k.npy v.npy", USAGE, "-o/--output"),
    ("attention q.npy k.npy -o o.npy", USAGE, "2 files"),
    ("attention q.npy -o o.npy", USAGE, r"q.npy does not end in .npz"),
    ("attention q.npy k.mtx v.npy -o o.npy", USAGE, r"k.mtx does not end in .npy"),
    ("attention q.npy k.npy v.npy -o o.txt", USAGE, r"o.txt does not end in .npy or .npz"),
    ("attention q.npy k.npy v.npy -o v.npy", USAGE, "--output: v.npy is an input"),
    ("attention q.npy k.npy v.npy -o link.npy", USAGE, "--output: link.npy is an input"),
    ("attention q.npy k.npy v.npy -o hard.npy", USAGE, "--output: hard.npy is an input"),
    ("attention q.npy k.npy v.npy -o folder.npy", USAGE, "folder.npy exists and is not a file"),
    (f"{ATTENTION} --lse ./o.npy", USAGE, r"--lse: o.npy is an input or another output"),
    (f"{ATTENTION} --report o.npy", USAGE, "--report: o.npy"),
    (f"{ATTENTION} --lse l.txt", USAGE, "l.txt"),
    (f"{ATTENTION} --tol 2", USAGE, r"--tol: 2.0 is not in \[0, 1\]"),
    (f"{ATTENTION} --tol nan", USAGE, "--tol: nan"),
    (f"{ATTENTION} --tol much", USAGE, "--tol: 'much' is not a number"),
    (f"{ATTENTION} --budget -1", USAGE, "--budget: -1.0"),
    (f"{ATTENTION} --tol 0.1 --budget 5", USAGE, "--budget: not allowed with argument --tol"),
    (f"{ATTENTION} --seed 1.5", USAGE, "--seed: '1.5' is not a whole number"),
    (f"{ATTENTION} --threads 0", USAGE, r"--threads: 0 is not in \[1, 1024\]"),
    (f"{ATTENTION} --threads 5000", USAGE, r"--threads: 5000 is not in \[1, 1024\]"),
    (f"{ATTENTION} --method magic", USAGE, "--method: 'magic' is not one of exact"),
    (f"{ATTENTION} --parts heavy,light", USAGE, "--parts: 'light' is not one of heavy"),
    (f"{ATTENTION} --method auto", FAILED, "tol"),
    (f"{ATTENTION} --method conv_basis --bases 3", FAILED, "causal"),
    (f"{ATTENTION} --causal --method conv_basis --bases 3 --window 4", FAILED, "delta"),
    ("attention q.npy missing.npy v.npy -o o.npy", FAILED, "missing.npy cannot be read: No such file"),
    ("attention q.npy folder.npy v.npy -o o.npy", FAILED, "folder.npy cannot be read: Is a directory"),
    ("attention q.npy k.npy v.npy -o missing/o.npy", FAILED, "missing/o.npy cannot be written: No such file"),
    ("attention q.npy k.npy v.npy -o q.npy/o.npy", FAILED, "q.npy/o.npy cannot be written: Not a directory"),
    ("attention q.npy k.npy v.npy -o /proc/o.npy", FAILED, "/proc/o.npy cannot be written"),
    ("attention q.npy short.npy v.npy -o o.npy", FAILED, r"short.npy, v: v.npy"),
    ("attention short.npy k.npy v.npy -o o.npy --causal", FAILED, "--causal-offset is unset"),
    ("attention complex.npy k.npy v.npy -o o.npy", FAILED, "q is complex64.*complex.npy"),
    ("attention whole.npy k.npy v.npy -o o.npy", FAILED, "q is int64.*whole.npy"),
    ("attention double.npy k.npy v.npy -o o.npy", FAILED, "k is float32, not float64.*double.npy"),
    ("attention swapped.npy k.npy v.npy -o o.npy", FAILED, "q is >f4.*swapped.npy"),
    ("attention line.npy k.npy v.npy -o o.npy", FAILED, "1 dimensions.*line.npy"),
    ("attention nan.npy k.npy v.npy -o o.npy", FAILED, r"q\[0, 0, 2\] is nan.*nan.npy"),
    ("attention objects.npy k.npy v.npy -o o.npy", FAILED, "objects.npy cannot be read as a .npy file: .*objects"),
    ("attention text.npy k.npy v.npy -o o.npy", FAILED, "text.npy cannot be read as a .npy file"),
    ("attention empty.npy k.npy v.npy -o o.npy", FAILED, "empty.npy cannot be read as a .npy file"),
    ("attention cut.npy k.npy v.npy -o o.npy", FAILED, "cut.npy cannot be read as a .npy file"),
    ("attention text.npz -o o.npy", FAILED, "text.npz cannot be read as a .npz file"),
    ("attention cut.npz -o o.npy", FAILED, "cut.npz cannot be read as a .npz file"),
    ("attention damaged.npz -o o.npy", FAILED, "damaged.npz cannot be read as a .npz file"),
    ("attention objects.npz -o o.npy", FAILED, "objects.npz cannot be read as a .npz file: .*[Oo]bject"),
    ("attention others.npz -o o.npy", FAILED, "others.npz has no array k; it has q, x"),
    ("sparsify x.npy -o c.npz --columns 3 --eps 0.5", USAGE, "--eps: not allowed with argument --columns"),
    ("sparsify x.npy -o c.npz --columns 0", USAGE, r"--columns: 0 is not in \[1, "),
    ("sparsify x.npy -o c.npz --eps 1", USAGE, "--eps: 1.0 is not in"),
    ("sparsify x.npy -o c.npy --columns 3", USAGE, "c.npy does not end in .npz or .mtx"),
    ("sparsify x.csv -o c.npz --columns 3", USAGE, "x.csv does not end in .npy or .npz or .mtx"),
    ("sparsify x.npy -o c.npz", FAILED, "columns and eps are unset"),
    ("sparsify x.npy -o c.npz --columns 2 --method deterministic", FAILED, "columns is 2"),
    ("sparsify q.npy -o c.npz --columns 3", FAILED, "3 dimensions.*q.npy"),
    ("sparsify nan.mtx -o c.npz --columns 3", FAILED, "nan.*nan.mtx"),
    ("sparsify complex.mtx -o c.npz --columns 3", FAILED, "complex128.*complex.mtx"),
    ("sparsify missing.mtx -o c.npz --columns 3", FAILED, "missing.mtx cannot be read: No such file"),
    ("sparsify text.mtx -o c.npz --columns 3", FAILED, "text.mtx cannot be read as a .mtx file"),
    ("sparsify header.mtx -o c.npz --columns 3", FAILED, "header.mtx cannot be read as a .mtx file"),
    ("sparsify words.mtx -o c.npz --columns 3", FAILED, "words.mtx cannot be read as a .mtx file"),
    ("sparsify others.npz -o c.npz --columns 3", FAILED, "others.npz"),
    ("bench --sizes 1,two", USAGE, "--sizes: 'two' is not a whole number"),
    ("bench --sizes 0", USAGE, "--sizes: 0 is not at least 1"),
    ("bench --tol 0.1,3", USAGE, "--tol: 3.0"),
    ("bench --dimension 7", USAGE, "--dimension: 7 is odd"),
    ("bench --repeats 0", USAGE, "--repeats: 0"),
    ("bench q.npy k.npy", USAGE, "2 files"),
    ("bench q.npy short.npy short.npy", FAILED, "q has 60 tokens and k 9"),
    ("bench q.npy k.npy v.npy --sizes 61", FAILED, "--sizes: 61 tokens are more than the 60 of q.npy"),
    ("bench line.npy k.npy v.npy", FAILED, r"line.npy: q has shape \(8,\)"),
    ("demo --tokens 3", USAGE, "--tokens 3"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good files and bad ones."""
    folder, before = tmp_path_factory.mktemp("files"), Path.cwd()
    os.chdir(folder)
    q, k, v = write_problem()
    for name, content in BAD_FILES.items():
        if isinstance(content, bytes):
            Path(name).write_bytes(content)
        else:
            np.save(name, content(q))
    np.save("objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    Path("cut.npy").write_bytes(Path("q.npy").read_bytes()[:300])
    np.savez("whole.npz", q=q, k=k, v=v)
    archive = Path("whole.npz").read_bytes()
    Path("cut.npz").write_bytes(archive[: len(archive) // 2])
    Path("damaged.npz").write_bytes(archive[:200] + bytes([archive[200] ^ 255]) + archive[201:])
    np.savez("objects.npz", q=np.array([{}], dtype=object), k=k, v=v)
    np.savez("others.npz", q=q, x=q)
    x = subquad.fill_uniform((4, 50), seed=1, stream=0, low=-0.2, high=0.2, dtype="float64")
    np.save("x.npy", x)
    scipy.io.mmwrite("complex.mtx", x + 1j)
    x[1, 2] = np.nan
    scipy.io.mmwrite("nan.mtx", x)
    Path("link.npy").symlink_to("k.npy")
    Path("hard.npy").hardlink_to("k.npy")
    Path("folder.npy").mkdir()
    for name in ("o.npy", "c.npz", "y.mtx"):
        Path(name).write_bytes(OLD)
    os.chdir(before)
    return folder


@pytest.mark.parametrize(("line", "code", "words"), CASES, ids=[line or "nothing" for line, _, _ in CASES])
def test_mistakes(folder, capsys, monkeypatch, line, code, words):
    monkeypatch.chdir(folder)
    before = names()
    assert main(line.split()) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    *usage, said = printed.err.splitlines()  # the demo's own parser says how it is used first
    assert not usage or line.startswith("demo")
    command = next((f"subquad {word}" for word in line.split()[:1] if word in "info attention sparsify bench demo"), "subquad")
    assert said.startswith((f"{command}: error: ", "subquad demo: error: "))
    assert re.search(words, said), said
    assert names() == before
    assert Path("o.npy").read_bytes() == Path("c.npz").read_bytes() == OLD


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        (ATTENTION, 3000),
        ("attention q.npy k.npy v.npy -o c.npz", 3000),
        (f"{ATTENTION} --report r.json", 100),
        ("sparsify x.npy -o c.npz --columns 20", 500),
        ("sparsify x.npy -o y.mtx --columns 20", 500),
    ],
)
def test_a_full_disk(folder, monkeypatch, line, limit):
    """A limit on the size of files stops writing in the middle, as a full disk does."""
    monkeypatch.chdir(folder)
    before = names()
    stopped = run(*line.split(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert stopped[:2] == (FAILED, "")
    assert "cannot be written: File too large" in stopped[2]
    assert stopped[2].count("\n") == 1
    assert names() == before
    assert {Path(name).read_bytes() for name in ("o.npy", "c.npz", "y.mtx")} == {OLD}


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("line", [["info"], ["info", "--json"], ["bench", "--sizes", "50", "--repeats", "1"]])
def test_a_reader_that_went_away(line, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    assert run(*line, stdout=writing, env=environment) == (Exit.NO_READER, None, "")
    os.close(writing)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_is_full(unbuffered):
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        code, _, said = run("info", stdout=full, env=environment)
    assert (code, said) == (FAILED, "subquad info: error: standard output cannot be written: No space left on device\n")


def test_files_are_written_though_nobody_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_problem()
    with Path("/dev/full").open("w") as full:
        assert run(*ATTENTION.split(), stdout=full)[0] == FAILED
    assert np.load("o.npy").shape == (4, 60, 8)


def test_memory_runs_out(tmp_path, monkeypatch):
    """An output of 64 GiB does not fit into 4."""
    monkeypatch.chdir(tmp_path)
    for name, shape in {"q": (2**22, 1), "k": (1, 1), "v": (1, 2**12)}.items():
        np.save(f"{name}.npy", np.zeros(shape, np.float32))
    limit = 2**32
    code, printed, said = run(*ATTENTION.split(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert (code, printed, said.count("\n")) == (FAILED, "", 1)
    assert "could not be allocated" in said
    assert names() == ["k.npy", "q.npy", "v.npy"]


def test_no_document_beside_an_error(folder, monkeypatch):
    monkeypatch.chdir(folder)
    code, printed, said = run("attention", "q.npy", "missing.npy", "v.npy", "-o", "o.npy", "--json")
    assert (code, printed) == (FAILED, "")
    assert said == "subquad attention: error: missing.npy cannot be read: No such file or directory\n"


def test_names_of_files_may_hold_any_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_problem()
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    line = ["attention", "q.npy", "k.npy", "v.npy", "-o"]
    code, printed, said = run(*line, "caf\u00e9.npy", env=environment)
    assert (code, said) == (0, "")
    assert "caf" in printed
    name = os.fsdecode(b"\xff.npy")
    code, printed, said = run(*line, name, "--json", env=environment)
    assert (code, said, json.loads(printed)["output"]) == (0, "", name)


def test_closed_streams(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM, "info"], check=False).returncode == 0
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *PROGRAM, "info", "--no"], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (USAGE, b"")


def test_every_code_has_a_meaning():
    assert list(MEANINGS) == list(Exit)
    with start("--help") as child:
        text = child.stdout.read()
    for code, meaning in MEANINGS.items():
        assert f"{code:3}  {meaning}" in text
