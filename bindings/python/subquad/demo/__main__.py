"""Adaptive attention on SmolLM2-135M: perplexity, time, and errors estimated and true, on real text; a table, and a report with pictures.

Reads a text twice, with exact attention and with every head approximated to tol, then measures error against time at other tolerances,
and time against length on the model's own queries and keys.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import subquad

from . import engine, frontier, growth, report, table, texts, whole_model
from .measured import Measured
from .needs import needed
from .tokenizer import Tokenizer, read_tokenizer
from .weights import Weights, model_file, read_weights

# Every third layer goes into the frontier, and lengths beyond the model's are measured on heads of the first layers, for time's sake.
FRONTIER_STRIDE = 3
GROWTH_LAYERS = 12
# Fewer tokens say nothing about attention.
LEAST_TOKENS = 256
# No token of real text is longer on average.
CHARACTERS_PER_TOKEN = 16


def main() -> None:
    arguments = _arguments()
    start = time.perf_counter()
    reader = needed("gguf").GGUFReader(model_file())
    weights, tokenizer = read_weights(reader), read_tokenizer(reader)
    measured = run(weights, tokenizer, arguments)
    print()
    print(table.aligned(table.summary(measured)))
    print(f"{100 * table.within(measured, 1.25):.1f} % of the heads have a true error of at most 1.25 tol.")
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(report.page(measured, machine()), encoding="utf-8")
    print()
    print(table.aligned(table.growth(measured)))
    print(f"pictures: {arguments.report} ({time.perf_counter() - start:.0f} s in all)")


def run(weights: Weights, tokenizer: Tokenizer, arguments: argparse.Namespace) -> Measured:
    """All measurements, with a progress bar for each."""
    bar = needed("tqdm").tqdm
    text = texts.standard_library() if arguments.text is None else arguments.text.read_text(encoding="utf-8", errors="replace")
    tokens = tokenizer.encode(text[: CHARACTERS_PER_TOKEN * arguments.tokens])[: arguments.tokens]
    if len(tokens) < LEAST_TOKENS:
        raise SystemExit(f"{arguments.text}: has {len(tokens)} tokens; at least {LEAST_TOKENS} are needed")
    source = "the sources of Python's standard library" if arguments.text is None else arguments.text.name
    measured = Measured(source, len(tokens), arguments.tol)

    layers = range(0, weights.shape.layers, FRONTIER_STRIDE)
    with bar(total=2 * weights.shape.layers, desc=f"reading {len(tokens)} tokens twice", unit="layer") as progress:
        kept = whole_model.measure(weights, tokens, measured, layers, progress.update)
    with bar(total=len(list(frontier.contenders())), desc="error against time", unit="setting") as progress:
        measured.frontier = frontier.trace(kept.values(), progress.update)

    # A text may be shorter than this; then it goes on with Python's.
    text = text[: CHARACTERS_PER_TOKEN * arguments.longest] + texts.standard_library()[: CHARACTERS_PER_TOKEN * arguments.longest]
    tokens = tokenizer.encode(text)[: arguments.longest]
    with bar(total=-(-len(tokens) // growth.PIECE), desc=f"reading {len(tokens)} tokens in pieces", unit="piece") as progress:
        measured.growth_heads = growth.typical_heads(measured.heads, GROWTH_LAYERS)
        heads = growth.long_heads(weights, tokens, measured.growth_heads, progress.update)
    with bar(total=len(growth.lengths(len(tokens))), desc="time against length", unit="length") as progress:
        measured.growth = list(growth.measure(heads, arguments.tol, progress.update))
    return measured


def machine() -> dict[str, str]:
    """On what it was measured."""
    info = subquad.info()
    lines = {name: str(info[name]) for name in ("version", "simd_target", "threads", "blas")}
    torch = {"torch": needed("torch").__version__} if engine.has_torch() else {}
    return lines | torch | {"Python": platform.python_version(), "system": platform.platform()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="subquad demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, help="a file to read (default: sources of Python's standard library)")
    parser.add_argument("--tokens", type=int, default=4096, help="how many tokens of it (default %(default)s)")
    parser.add_argument("--tol", type=float, default=0.1, help="relative error allowed for each head (default %(default)s)")
    parser.add_argument("--longest", type=int, default=131072, help="time is measured up to this length (default %(default)s)")
    parser.add_argument("--report", type=Path, default=Path("demo/report.html"), help="where it goes (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.tokens < LEAST_TOKENS:
        parser.error(f"--tokens {arguments.tokens}: at least {LEAST_TOKENS} are needed")
    if not arguments.tol > 0:
        parser.error(f"--tol {arguments.tol:g}: must be above 0")
    if arguments.longest < growth.PIECE:
        parser.error(f"--longest {arguments.longest}: at least {growth.PIECE} is needed")
    return arguments


if __name__ == "__main__":
    main()
