"""`subquad attention`: softmax attention from files to files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from .._constants import Option
from .._forward import attention
from .failures import CommandError, Exit
from .printing import pairs, show
from .progress import bar
from .reading import attention_files, read_attention
from .settings import add_options, add_threads, chosen, flag
from .writing import replacing, target

SUMMARY = "softmax attention of queries, keys and values: exact, or to a tolerance"
DESCRIPTION = """\
  o = softmax(scale Q K') V,   lse = log of the rows' sums of exp(scale Q K')

over all keys or, with --causal, those that are not after the query.

Q [batch, H_q, n_q, d], K [batch, H_kv, n_k, d] and V [batch, H_kv, n_k, d_v] are .npy files of float32 or float64, all alike; or arrays
q, k and v of one .npz file. The batch, or batch and heads, may be left out in all of them. H_q is a multiple of H_kv. Files .npy are
mapped into memory: nothing is copied.

Without --tol, --budget or --method attention is exact. With one of the first two, each head gets what is estimated to meet it at the
least cost; errors are relative, |o~ - o|_F / |o|_F of each head, and the estimates, which are no bounds, are printed."""
EXAMPLES = """\
  subquad attention q.npy k.npy v.npy -o o.npy --causal
  subquad attention qkv.npz -o o.npz --causal --tol 0.1 --report report.json      (o.npz holds o and lse)
  subquad attention q.npy k.npy v.npy -o o.npy --budget 256 --seed 7 --threads 1 --json
  subquad attention q.npy k.npy v.npy -o o.npy --causal --method conv_basis --bases 64"""

_ALONE = (Option.TOL, Option.BUDGET)  # one or the other
_MASK = (Option.CAUSAL, Option.CAUSAL_OFFSET, Option.SCALE)
_AUTO = (Option.ESTIMATE, Option.PARTS, Option.STRICT_CAUSAL, Option.SEED)
_METHOD = (Option.METHOD, Option.BASES, Option.CONV_WINDOW, Option.CONV_DELTA, Option.CONV_EPS)
_OPTIONS = (*_MASK, *_ALONE, *_AUTO, *_METHOD, Option.CHECK_FINITE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="Q.npy K.npy V.npy, or one .npz file with q, k and v")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="Where o goes: .npy, or .npz with o and lse. Required."
    )
    parser.add_argument("--lse", type=Path, metavar="FILE", help="Where lse goes, [batch, H_q, n_q]: .npy.")
    parser.add_argument("--report", type=Path, metavar="FILE", help="Where the whole report goes, as JSON.")
    add_options(parser.add_argument_group("logits and mask"), *_MASK)
    approximation = parser.add_argument_group("approximation")
    add_options(approximation.add_mutually_exclusive_group(), *_ALONE)
    add_options(approximation, *_AUTO)
    add_options(parser.add_argument_group("method"), *_METHOD)
    running = parser.add_argument_group("running")
    add_options(running, Option.CHECK_FINITE)
    add_threads(running)


def run(arguments: argparse.Namespace) -> None:
    if arguments.causal_offset is not None and not arguments.causal:
        raise CommandError("argument --causal-offset: needs --causal", Exit.USAGE)
    inputs = attention_files(arguments.files)
    arguments.inputs = inputs  # for errors to name
    given = {name: path for name in ("output", "lse", "report") if (path := getattr(arguments, name)) is not None}
    with replacing(_places(given, list(inputs.values()))) as files:
        with bar("attention"):
            settings = chosen(arguments, *_OPTIONS)
            o, lse, report = attention(**read_attention(inputs), **settings, return_lse=True, return_report=True)
        if files["output"].kind == ".npz":
            files["output"].npz({"o": o, "lse": lse})
        else:
            files["output"].npy(o)
        if "lse" in files:
            files["lse"].npy(lse)
        if "report" in files:
            files["report"].json(report)
    made = {name: str(path) for name, path in given.items()} | {"shape": o.shape, "dtype": str(o.dtype)}
    show(made | {"report": dict(report)}, f"{pairs(made)}\n\n{report}", arguments.json)


def _places(given: Mapping[str, Path], inputs: Sequence[Path]) -> dict[str, Path]:
    """Where the files go that were asked for."""
    endings = {"output": [".npy", ".npz"], "lse": [".npy"], "report": []}
    places: dict[str, Path] = {}
    for name, path in given.items():
        places[name] = target(flag(name), path, endings[name], [*inputs, *places.values()])
    return places
