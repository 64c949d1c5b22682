"""`subquad bench`: time beside error, for the methods of attention."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import FloatArray
from .._constants import Option
from .._forward import attention
from .._report import info
from .failures import CommandError
from .made_up import KINDS, heads
from .printing import pairs, show, table
from .progress import bar
from .reading import attention_files, read_attention
from .settings import add_threads, number_of, several, whole

SUMMARY = "time, error against exact attention and speed-up, on your data or made-up heads"
DESCRIPTION = f"""\
Causal attention, exact; to each tolerance; and by a fitted conv basis, which suits logits whose columns, as functions of the lag, change
at few places only. Whole calls are timed, choosing included, in turns: all methods once, which is not counted, then all again. A time is
the median in milliseconds; an error is |o~ - o|_F / |o|_F of the worst head, measured, not estimated; speed-up is exact attention's time
over the method's.

Without files, {len(KINDS)} heads with peaked weights are made up: {", ".join(KINDS)}. Yours are what counts: give q, k and v, with as many
queries as keys, and the first n tokens of them are taken for each size n."""
EXAMPLES = """\
  subquad bench
  subquad bench --sizes 2048,8192,32768 --tol 0.2,0.1,0.05 --repeats 3
  subquad bench q.npy k.npy v.npy --bases 0 --json"""

DEFAULT_SIZES = (1024, 2048, 4096)
UNCOUNTED = 1  # turns in which threads start and memory is taken for the first time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="Q.npy K.npy V.npy, or one .npz file with q, k and v."
    )
    parser.add_argument(
        "--sizes", type=several(whole(1)), metavar="INT,..", help="Tokens. Default: 1024,2048,4096; all that the files have."
    )
    parser.add_argument(
        "--dimension", type=_even, default=64, metavar="INT", help="d of made-up heads, even. Default: %(default)s."
    )
    parser.add_argument(
        "--tol",
        type=several(number_of(Option.TOL)),
        default=[0.1, 0.05],
        metavar="REAL,..",
        help="Tolerances. Default: 0.1,0.05.",
    )
    parser.add_argument(
        "--bases", type=whole(0), default=16, metavar="INT", help="Of the conv basis; 0: none. Default: %(default)s."
    )
    parser.add_argument("--repeats", type=whole(1), default=5, metavar="INT", help="Runs of each method. Default: %(default)s.")
    parser.add_argument(
        "--seed", type=number_of(Option.SEED), default=0, metavar="INT", help="Of made-up heads and of what is sampled."
    )
    add_threads(parser)


def run(arguments: argparse.Namespace) -> None:
    problems = _from_files(arguments) if arguments.files else _made_up(arguments)
    methods = _methods(arguments)
    rows: list[dict[str, Any]] = []
    with bar("bench", len(problems) * (UNCOUNTED + arguments.repeats) * len(methods)) as step:
        for n, problem in problems.items():
            rows += _measure(n, problem(), methods, arguments.repeats, step)
    machine = info()
    document = {name: machine[name] for name in ("version", "simd_target")} | {
        "threads": arguments.threads or machine["threads"],
        "data": ", ".join(map(str, arguments.files)) or f"made up: {', '.join(KINDS)}; d = {arguments.dimension}",
        "seed": arguments.seed,
        "repeats": arguments.repeats,
    }
    show(document | {"rows": rows}, f"{pairs(document)}\n\n{table([_cells(row) for row in rows])}", arguments.json)


def _even(text: str) -> int:
    value = whole(2)(text)
    if value % 2:
        raise argparse.ArgumentTypeError(f"{value} is odd")
    return value


def _made_up(arguments: argparse.Namespace) -> dict[int, Callable[[], Sequence[FloatArray]]]:
    """What makes q, k and v, by size."""
    return {n: partial(heads, n, arguments.dimension, arguments.seed) for n in arguments.sizes or DEFAULT_SIZES}


def _from_files(arguments: argparse.Namespace) -> dict[int, Callable[[], Sequence[FloatArray]]]:
    """What cuts the first tokens out of the files' arrays, by size."""
    arguments.inputs = attention_files(arguments.files)  # for errors to name
    arrays = read_attention(arguments.inputs)
    for name, array in arrays.items():
        if array.ndim < 2:
            raise CommandError(f"{arguments.inputs[name]}: {name} has shape {array.shape}, not two dimensions or more")
    lengths = {name: array.shape[-2] for name, array in arrays.items()}
    n = lengths["q"]
    if n != lengths["k"]:
        raise CommandError(
            f"{arguments.inputs['q']}: q has {n} tokens and k {lengths['k']}; the bench needs as many queries as keys"
        )
    for size in arguments.sizes or []:
        if size > n:
            raise CommandError(f"argument --sizes: {size} tokens are more than the {n} of {arguments.inputs['q']}")
    return {size: partial(_first_tokens, list(arrays.values()), size) for size in arguments.sizes or [n]}


def _first_tokens(arrays: Sequence[FloatArray], n: int) -> list[FloatArray]:
    return [array[..., :n, :] for array in arrays]


def _methods(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Keyword arguments by the names of the table."""
    methods: dict[str, dict[str, Any]] = {"exact": {}}
    methods |= {f"tol {tol:g}": {"tol": tol, "seed": arguments.seed} for tol in arguments.tol}
    if arguments.bases:
        methods[f"conv basis, {arguments.bases}"] = {"method": "conv_basis", "bases": arguments.bases, "seed": arguments.seed}
    return {name: {"causal": True, "threads": arguments.threads} | settings for name, settings in methods.items()}


def _measure(
    n: int, arrays: Sequence[FloatArray], methods: Mapping[str, Mapping[str, Any]], repeats: int, step: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """A row of the table for each method."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    outputs: dict[str, FloatArray] = {}
    for turn in range(UNCOUNTED + repeats):
        for name, settings in methods.items():
            began = time.perf_counter()
            outputs[name] = attention(*arrays, **settings)
            if turn >= UNCOUNTED:
                seconds[name].append(time.perf_counter() - began)
            step()
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, o in outputs.items():
        error, speed_up = _worst_error(o, outputs["exact"]), medians["exact"] / medians[name]
        yield {"n": n, "method": name, "seconds": medians[name], "error": error, "speed_up": speed_up}


def _worst_error(o: FloatArray, exact: FloatArray) -> float:
    """The largest |o~ - o|_F / |o|_F over the heads; 0 for a head whose exact output is 0."""
    if exact.size == 0:
        return 0.0
    rows = exact.shape[-2:]
    worst = 0.0
    for approximate, true in zip(o.reshape(-1, *rows), exact.reshape(-1, *rows), strict=True):
        norm = float(np.linalg.norm(true))
        if norm > 0:
            worst = max(worst, float(np.linalg.norm(approximate - true)) / norm)
    return worst


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "n": str(row["n"]),
        "method": row["method"],
        "time (ms)": f"{1000 * row['seconds']:.1f}",
        "error": f"{row['error']:.4f}",
        "speed-up": f"{row['speed_up']:.2f}",
    }
