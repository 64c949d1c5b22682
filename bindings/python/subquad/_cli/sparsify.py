"""`subquad sparsify`: few columns of a matrix that stand for all."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._constants import Option
from .._sparsifier import Sparsifier
from .._sparsify import sparsify
from .printing import pairs, show
from .progress import bar
from .reading import endings_among, read_matrix
from .settings import add_options, add_threads, chosen
from .writing import replacing, target

SUMMARY = "few columns of a matrix, with weights, that stand for all in softmax attention"
DESCRIPTION = """\
  Y[:, j] = sqrt(weights[j]) X[:, columns[j]],
  (1-e) X X' <= Y Y' <= (1+e) X X'   with e measured: the certificate.

X [n, d], usually d >> n, of float32 or float64, is dense from .npy or from array x of .npz; sparse from .npz as
scipy.sparse.save_npz writes it; or either from .mtx (Matrix Market). Every entry of softmax(scale X X') is then within a factor
exp(2 e |scale| r) of what Y gives, r being the largest squared norm of a row of X.

OUT.npz holds columns (from 0, increasing), weights, epsilon (e) and certificate ("exact", or "estimate": e may be more); for
method gram, which chooses no columns, y. OUT.mtx is the matrix Y, sparse where X is. Files .mtx and sparse matrices need SciPy:
pip install 'subquad[cli]'."""
EXAMPLES = """\
  subquad sparsify x.npy -o chosen.npz --columns 500 --seed 7
  subquad sparsify x.mtx -o y.mtx --method deterministic --eps 0.3
  subquad sparsify x.npz -o chosen.npz --columns 200 --certify exact --json"""

_SIZE = (Option.SPARSIFY_COLUMNS, Option.SPARSIFY_EPS)  # one or the other
_HOW = (Option.SPARSIFY_METHOD, Option.SPARSIFY_DELTA, Option.SPARSIFY_CERTIFY, Option.SEED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="X: .npy, .npz or .mtx")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="Where it goes: .npz or .mtx. Required.")
    choosing = parser.add_argument_group("choosing")
    add_options(choosing.add_mutually_exclusive_group(), *_SIZE)
    add_options(choosing, *_HOW)
    running = parser.add_argument_group("running")
    add_options(running, Option.CHECK_FINITE)
    add_threads(running)


def run(arguments: argparse.Namespace) -> None:
    endings_among([arguments.file], [".npy", ".npz", ".mtx"])
    arguments.inputs = {"x": arguments.file}  # for errors to name
    place = target("--output", arguments.output, [".npz", ".mtx"], [arguments.file])
    with replacing({"output": place}) as files:
        x = read_matrix(arguments.file)
        with bar("sparsify"):
            y = sparsify(x, **chosen(arguments, *_SIZE, *_HOW, Option.CHECK_FINITE))
        if files["output"].kind == ".mtx":
            files["output"].mtx(y.y)
        else:
            files["output"].npz(_arrays(y))
    made = {"output": str(arguments.output), "shape": y.shape, "of": tuple(map(int, x.shape)), "dtype": str(y.dtype)}
    show(made | {"report": dict(y.report)}, f"{pairs(made)}\n\n{y.report}", arguments.json)


def _arrays(y: Sparsifier) -> dict[str, Any]:
    """What a .npz file holds of a sparsifier."""
    chosen_columns = {"y": y.y} if y.method == "gram" else {"columns": y.indices, "weights": y.weights}
    return chosen_columns | ({} if y.certificate is None else {"epsilon": y.epsilon, "certificate": y.certificate})
