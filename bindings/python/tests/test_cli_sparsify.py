"""subquad sparsify: dense and sparse matrices in, columns with weights or the matrix of them out."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import subquad
from cli_program import names
from subquad._cli import main

N, D, COLUMNS = 6, 400, 50


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dense(dtype=np.float64):
    return subquad.fill_uniform((N, D), seed=4, stream=0, low=-0.1, high=0.1, dtype=dtype)


def mostly_zeros():
    x = dense()
    return scipy.sparse.csc_array(np.where(abs(x) > 0.07, x, 0))


def market(matrix):
    """The bytes of a .mtx file; SciPy would append that ending to another one."""
    file = io.BytesIO()
    scipy.io.mmwrite(file, matrix)
    return file.getvalue()


WRITERS = {
    "x.npy": lambda name: np.save(name, dense()),
    "x.npz": lambda name: np.savez(name, x=dense()),
    "single.npy": lambda name: np.save(name, dense(np.float32)),
    "dense.mtx": lambda name: scipy.io.mmwrite(name, dense()),
    "csc.npz": lambda name: scipy.sparse.save_npz(name, mostly_zeros()),
    "csr.npz": lambda name: scipy.sparse.save_npz(name, mostly_zeros().tocsr()),
    "coo.npz": lambda name: scipy.sparse.save_npz(name, mostly_zeros().tocoo()),
    "sparse.MTX": lambda name: Path(name).write_bytes(market(mostly_zeros())),
}
SPARSE = ["csc.npz", "csr.npz", "coo.npz", "sparse.MTX"]


def expected(name, **settings):
    x = mostly_zeros() if name in SPARSE else dense(np.float32 if name == "single.npy" else np.float64)
    x = x.tocsr() if name == "csr.npz" else x
    return subquad.sparsify(x, **settings)


@pytest.mark.parametrize("name", WRITERS)
def test_columns_weights_and_certificate(name):
    WRITERS[name](name)
    assert main(["sparsify", name, "-o", "c.npz", "--columns", str(COLUMNS), "--seed", "3"]) == 0
    y = expected(name, columns=COLUMNS, seed=3)
    with np.load("c.npz") as archive:
        assert sorted(archive) == ["certificate", "columns", "epsilon", "weights"]
        assert (archive["columns"] == y.indices).all()
        assert (archive["weights"] == y.weights).all()
        assert (archive["epsilon"], archive["certificate"]) == (y.epsilon, y.certificate)
    assert names() == sorted([name, "c.npz"])


@pytest.mark.filterwarnings("ignore:The default value for `spmatrix`:DeprecationWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_the_matrix_itself(name):
    """Numbers are written with as many digits as it takes."""
    WRITERS[name](name)
    assert main(["sparsify", name, "-o", "y.mtx", "--columns", str(COLUMNS)]) == 0
    y, written = expected(name, columns=COLUMNS).y, scipy.io.mmread("y.mtx")
    assert scipy.sparse.issparse(written) == (name in SPARSE)
    as_array = [matrix.toarray() if scipy.sparse.issparse(matrix) else matrix for matrix in (written, y)]
    assert (as_array[0].astype(y.dtype) == as_array[1]).all()


def test_whole_numbers_and_repeated_entries():
    """Matrix Market allows both; sums of entries at one place are what the matrix has there."""
    lines = [f"{row} {column} {row * column % 7 - 8}" for row in range(1, N + 1) for column in range(1, D + 1)]
    header = ["%%MatrixMarket matrix coordinate integer general", f"{N} {D} {2 * len(lines)}"]
    Path("x.mtx").write_text("\n".join([*header, *lines, *lines]))
    assert main(["sparsify", "x.mtx", "-o", "c.npz", "--columns", "30"]) == 0
    x = np.array([[2.0 * (row * column % 7 - 8) for column in range(1, D + 1)] for row in range(1, N + 1)])
    y = subquad.sparsify(scipy.sparse.csc_array(x), columns=30)
    with np.load("c.npz") as archive:
        assert (archive["columns"] == y.indices).all()
        assert (archive["weights"] == y.weights).all()


def test_a_factor_has_no_columns():
    WRITERS["x.npy"]("x.npy")
    assert main(["sparsify", "x.npy", "-o", "f.npz", "--method", "gram", "--certify", "none"]) == 0
    with np.load("f.npz") as archive:
        assert sorted(archive) == ["y"]
        assert (archive["y"] == subquad.sparsify(dense(), method="gram").y).all()


def test_one_document(capsys):
    WRITERS["csc.npz"]("csc.npz")
    line = ["--method", "deterministic", "--eps", "0.6", "--certify", "exact", "--delta", "0.1", "--threads", "1", "--json"]
    assert main(["sparsify", "csc.npz", "-o", "c.npz", *line]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    document = json.loads(printed.out)
    y = expected("csc.npz", method="deterministic", eps=0.6, certify="exact", delta=0.1)
    assert (document["output"], document["shape"], document["of"]) == ("c.npz", list(y.shape), [N, D])
    report = document["report"]
    assert (report["epsilon"], report["certificate"], report["threads"]) == (y.epsilon, "exact", 1)
    assert report["epsilon"] <= 0.6


def test_without_scipy(capsys, monkeypatch):
    """Dense files need none; the others say what to install."""
    for name in ("x.npy", "dense.mtx", "csc.npz"):
        WRITERS[name](name)
    for module in ("scipy.io", "scipy.sparse"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["sparsify", "x.npy", "-o", "c.npz", "--columns", "9"]) == 0
    capsys.readouterr()
    for line in (["dense.mtx", "-o", "c.npz"], ["csc.npz", "-o", "c.npz"], ["x.npy", "-o", "y.mtx"]):
        assert main(["sparsify", *line, "--columns", "9"]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "pip install 'subquad[cli]'" in said
    assert names() == ["c.npz", "csc.npz", "dense.mtx", "x.npy"]
