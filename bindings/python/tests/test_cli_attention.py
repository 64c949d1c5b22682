"""subquad attention: what it reads, computes, writes and prints."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import subquad
from cli_program import names, write_problem
from reference import inputs
from subquad._cli import main
from subquad._cli.reading import read_attention, read_npy

FILES = ["q.npy", "k.npy", "v.npy"]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def report_of(printed):
    """Keys and values of printed text."""
    return dict(line.split(maxsplit=1) for line in printed.splitlines() if len(line.split(maxsplit=1)) == 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [{}, {"heads": (), "kv_heads": ()}], ids=["heads", "one head"])
def test_the_output_is_that_of_the_library(capsys, shape, dtype):
    arrays = write_problem(dtype=dtype, **shape)
    assert main(["attention", *FILES, "-o", "o.npy"]) == 0
    o = np.load("o.npy")
    expected = subquad.attention(*arrays)
    assert (o.dtype, o.shape, o.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    printed = capsys.readouterr()
    assert printed.err == ""
    assert report_of(printed.out)["output"] == "o.npy"
    assert report_of(printed.out)["method"] == "exact"
    assert names() == sorted([*FILES, "o.npy"])


def test_one_archive_in_and_out():
    q, k, v = write_problem()
    np.savez("qkv.npz", q=q, k=k, v=v, other=q)
    assert main(["attention", "qkv.npz", "-o", "O.NPZ", "--causal"]) == 0
    o, lse = subquad.attention(q, k, v, causal=True, return_lse=True)
    with np.load("O.NPZ") as archive:
        assert sorted(archive) == ["lse", "o"]
        assert archive["o"].tobytes() == o.tobytes()
        assert archive["lse"].tobytes() == lse.tobytes()


def test_lse_and_report_and_one_document(capsys):
    q, k, v = write_problem()
    words = ["--lse", "l.npy", "--report", "r.json", "--tol", "0.1", "--seed", "5", "--threads", "1", "--json"]
    assert main(["attention", *FILES, "-o", "o.npy", *words]) == 0
    o, lse, report = subquad.attention(q, k, v, tol=0.1, seed=5, return_lse=True, return_report=True)
    assert np.load("o.npy").tobytes() == o.tobytes()
    assert np.load("l.npy").tobytes() == lse.tobytes()
    document = json.loads(capsys.readouterr().out)
    assert {key: document[key] for key in ("output", "lse", "shape", "dtype")} == {
        "output": "o.npy",
        "lse": "l.npy",
        "shape": list(o.shape),
        "dtype": "float32",
    }
    assert document["report"] == json.loads(Path("r.json").read_text())
    assert {key: document["report"][key] for key in ("method", "parts", "seed", "threads")} == {
        "method": "auto",
        "parts": report["parts"],
        "seed": 5,
        "threads": 1,
    }


def test_every_option_reaches_the_call(monkeypatch):
    write_problem()
    seen = {}

    def call(**settings):
        seen.update(settings)
        return subquad.attention(settings["q"], settings["k"], settings["v"], return_lse=True, return_report=True)

    monkeypatch.setattr("subquad._cli.attention.attention", call)
    line = """--causal --causal-offset 3 --scale -0.5 --tol 0.25 --estimate sampled --parts heavy,conv --strict-causal --seed 9
        --method auto --bases 4 --window 2 --delta 0.5 --eps 0.01 --no-check-finite --threads 2"""
    assert main(["attention", *FILES, "-o", "o.npy", *line.split()]) == 0
    expected = {"causal": True, "causal_offset": 3, "scale": -0.5, "tol": 0.25, "estimate": "sampled", "parts": ["heavy", "conv"]}
    expected |= {"strict_causal": True, "seed": 9, "method": "auto", "bases": 4, "window": 2, "delta": 0.5, "eps": 0.01}
    expected |= {"check_finite": False, "threads": 2, "return_lse": True, "return_report": True}
    assert {key: value for key, value in seen.items() if key not in ("q", "k", "v")} == expected
    seen.clear()
    assert main(["attention", *FILES, "-o", "o.npy", "--budget", "0.5", "--parts", ""]) == 0
    assert (seen["budget"], seen["parts"]) == (0.5, [])
    assert set(seen) == {
        "q",
        "k",
        "v",
        "budget",
        "parts",
        "threads",
        "return_lse",
        "return_report",
    }  # the library's defaults hold


def test_files_are_mapped_and_not_copied():
    write_problem()
    arrays = read_attention({name: Path(f"{name}.npy") for name in "qkv"})
    assert all(isinstance(array, np.memmap) and not array.flags.writeable for array in arrays.values())


def test_layouts_of_files():
    """Column-major arrays, and one file for all three."""
    q, k, v = inputs(40, 40, heads=(3,), dtype=np.float64)
    np.save("q.npy", np.asfortranarray(q))
    assert not read_npy(Path("q.npy")).flags.c_contiguous
    np.save("k.npy", k)
    np.save("v.npy", v)
    assert main(["attention", *FILES, "-o", "o.npy"]) == 0
    assert np.load("o.npy").tobytes() == subquad.attention(q, k, v).tobytes()
    assert main(["attention", "k.npy", "k.npy", "k.npy", "-o", "o.npy"]) == 0
    assert np.load("o.npy").tobytes() == subquad.attention(k, k, k).tobytes()


@pytest.mark.parametrize(("n_q", "n_k"), [(0, 5), (5, 0), (0, 0)])
def test_nothing_to_do(n_q, n_k):
    for name, array in zip("qkv", inputs(n_q, n_k, heads=(2,)), strict=True):
        np.save(f"{name}.npy", array)
    assert main(["attention", *FILES, "-o", "o.npz"]) == 0
    with np.load("o.npz") as archive:
        assert archive["o"].shape == (2, n_q, 3)
        assert (archive["o"] == 0).all()
        assert (archive["lse"] == -np.inf).all()


def test_what_was_there_is_replaced():
    """With its permissions; behind a symbolic link too; and whoever has the old file open keeps it."""
    write_problem()
    old = Path("o.npy")
    old.write_bytes(b"old")
    old.chmod(0o640)
    Path("link.npy").symlink_to("o.npy")
    with old.open("rb") as reader:
        assert main(["attention", *FILES, "-o", "link.npy"]) == 0
        assert reader.read() == b"old"
    assert Path("link.npy").is_symlink()
    assert np.load("o.npy").shape == (4, 60, 8)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert names() == sorted([*FILES, "link.npy", "o.npy"])
