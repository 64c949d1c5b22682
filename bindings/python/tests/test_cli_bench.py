"""subquad bench: what it times and measures, on made-up heads and on the user's own."""

import json

import numpy as np
import pytest
import subquad
from cli_program import names, write_problem
from subquad._cli import main
from subquad._cli.made_up import HEAVY_KEYS, KINDS, NEEDLES, heads


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def document(capsys, *line):
    assert main(["bench", *map(str, line), "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return json.loads(printed.out)


def worst_error(o, exact):
    """By definition, in longdouble."""
    rows = (-1, *exact.shape[-2:])
    o, exact = (array.reshape(rows).astype(np.longdouble) for array in (o, exact))
    return float(np.sqrt(((o - exact) ** 2).sum(axis=(1, 2)) / (exact**2).sum(axis=(1, 2))).max())


def check_row(row, o, exact):
    """roundoff: two norms of `size` float32 products each, half a unit per product and sum, and differences of rounded outputs."""
    size, unit = exact[0].size, np.finfo(np.float32).eps / 2
    expected = worst_error(o, exact)
    assert abs(row["error"] - expected) <= 2 * size * unit * expected + unit


def test_made_up_heads(capsys):
    made = document(
        capsys, "--sizes", "300,600", "--dimension", 16, "--tol", "0.2,0.05", "--bases", 4, "--repeats", 2, "--seed", 3
    )
    assert {key: made[key] for key in ("seed", "repeats")} == {"seed": 3, "repeats": 2}
    assert made["data"].startswith("made up: local, heavy, needles")
    assert [(row["n"], row["method"]) for row in made["rows"]] == [
        (n, method) for n in (300, 600) for method in ("exact", "tol 0.2", "tol 0.05", "conv basis, 4")
    ]
    for n in (300, 600):
        rows = {row["method"]: row for row in made["rows"] if row["n"] == n}
        q, k, v = heads(n, 16, 3)
        exact = subquad.attention(q, k, v, causal=True)
        check_row(rows["exact"], exact, exact)
        check_row(rows["tol 0.2"], subquad.attention(q, k, v, causal=True, tol=0.2, seed=3), exact)
        check_row(rows["conv basis, 4"], subquad.attention(q, k, v, causal=True, method="conv_basis", bases=4, seed=3), exact)
        assert rows["exact"]["error"] == 0
        for row in rows.values():
            assert row["speed_up"] == rows["exact"]["seconds"] / row["seconds"]


@pytest.mark.parametrize("files", [["q.npy", "k.npy", "v.npy"], ["qkv.npz"]])
def test_your_own(capsys, files):
    """Grouped heads; sizes are first tokens; nothing is written."""
    q, k, v = write_problem(n=200)
    np.savez("qkv.npz", q=q, k=k, v=v)
    before = names()
    made = document(capsys, *files, "--sizes", "120,200", "--bases", 3, "--repeats", 1, "--tol", "0.1", "--threads", 1)
    assert made["data"] == ", ".join(files)
    assert made["threads"] == 1
    for row in made["rows"]:
        if row["method"] == "conv basis, 3":
            first = [array[..., : row["n"], :] for array in (q, k, v)]
            exact = subquad.attention(*first, causal=True)
            check_row(row, subquad.attention(*first, causal=True, method="conv_basis", bases=3), exact)
    assert [row["n"] for row in made["rows"]] == [120] * 3 + [200] * 3
    assert names() == before


def test_all_tokens_unless_told_and_no_basis_where_none_is_wanted(capsys):
    write_problem(n=90)
    made = document(capsys, "q.npy", "k.npy", "v.npy", "--bases", 0, "--repeats", 1, "--tol", "0.5")
    assert [(row["n"], row["method"]) for row in made["rows"]] == [(90, "exact"), (90, "tol 0.5")]


def test_a_head_of_zeros_has_no_error(capsys):
    for name in "qkv":
        np.save(f"{name}.npy", np.zeros((50, 4), np.float32))
    made = document(capsys, "q.npy", "k.npy", "v.npy", "--repeats", 1)
    assert {row["error"] for row in made["rows"]} == {0}


def test_a_table_for_people(capsys):
    assert main(["bench", "--sizes", "64,100", "--repeats", "1", "--tol", "0.1", "--bases", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    top = next(i for i, line in enumerate(lines) if "speed-up" in line)
    assert lines[top].split() == ["n", "method", "time", "(ms)", "error", "speed-up"]
    assert [line.split()[0] for line in lines[top + 1 :]] == ["64", "64", "100", "100"]
    assert len({len(line) for line in lines[top:]}) == 1  # numbers stand below each other


@pytest.mark.parametrize("n", [1, 2, 5, 1000])
def test_heads_are_what_they_are_called(n):
    """Peaked: the heavy head's heaviest keys, and the needles' keys, take most of a row where there is room for them."""
    q, k, v = heads(n, 32, 1)
    assert q.shape == k.shape == v.shape == (len(KINDS), n, 32)
    assert {array.dtype for array in (q, k, v)} == {np.dtype(np.float32)}
    if n < 1000:
        return
    logits = np.einsum("hid,hjd->hij", q, k, dtype=np.float64) / 32**0.5
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    lags = np.abs(np.arange(n)[:, None] - np.arange(n))
    assert (weights[0] * (lags <= 32)).sum(axis=-1).mean() > 0.5
    assert np.sort(weights[1].mean(axis=0))[-HEAVY_KEYS:].sum() > 0.5
    far = (weights[2] * (lags > 32)).max(axis=-1)
    assert NEEDLES // 2 <= (far > 0.5).sum() <= NEEDLES
