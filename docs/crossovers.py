"""Where one method becomes faster than another: the tables of docs/choosing.md.

Processor time of one thread, medians of alternating calls, float32, d = 64 where there is a d; so what neighbours on the machine do
matters little. Heads of the first table are made up, by examples/python/adaptive.py: of a model's own, see scripts/demo and
`bench/run real_heads`. Problems of the second have a conv basis of k pieces; those of the third are random.

usage: .venv/bin/python -P docs/crossovers.py [tol] [conv] [sparsify]
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import subquad

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5
CHANNELS = 64


def main() -> None:
    tables = {"tol": tolerance_rows, "conv": conv_rows, "sparsify": sparsify_rows}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(tables)}; all unless given")
    chosen = parser.parse_args().tables or list(tables)
    for name in chosen:
        if name not in tables:
            parser.error(f"no table {name}; there are {', '.join(tables)}")
    info = subquad.info()
    print(f"subquad {info['version']}, SIMD target {info['simd_target']}, one thread")
    for name in chosen:
        print(f"\n{name}\n")
        for i, row in enumerate(tables[name]()):
            lines = [row, ["---"] * len(row)] if i == 0 else [row]
            print("\n".join(f"| {' | '.join(line)} |" for line in lines), flush=True)


def seconds(*calls: Callable[[], object]) -> list[float]:
    """Median seconds of each call; they take turns, after a first call that does not count."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS + 1):
        for call, mine in zip(calls, taken, strict=True):
            start = time.thread_time()
            call()
            mine.append(time.thread_time() - start)
    return [statistics.median(mine[1:]) for mine in taken]


def tolerance_rows() -> Iterator[list[str]]:
    """Exact attention over attention to a tolerance, by length and by kind of head."""
    heads = example("adaptive")
    kinds = [heads.local, heads.heavy, heads.needles, heads.diffuse]
    yield ["n", "tol", *(kind.__name__ for kind in kinds)]
    for n in (1024, 2048, 4096, 8192, 16384):
        for tol in (0.1, 0.05):
            row = [str(n), f"{tol:g}"]
            for kind in kinds:
                rng = np.random.default_rng(4)
                q, k = (x.astype(np.float32) for x in kind(n, rng))
                v = rng.standard_normal((n, CHANNELS), np.float32)
                attention = partial(subquad.attention, q, k, v, causal=True, threads=1)
                exact, auto = seconds(attention, partial(attention, tol=tol))
                row.append(f"{exact / auto:.1f}")
            yield row


def conv_rows() -> Iterator[list[str]]:
    """Exact attention over that with a basis: alone, with recovery, and with a fit."""
    yield ["n", "k", "exact ms", "exact / apply", "exact / (recover + apply)", "exact / (fit + apply)"]
    for n in (128, 256, 512, 1024, 2048, 4096):
        for k in (4, 16, 64):
            if k > n // 16:
                continue
            q, keys, v = pieces(n, k)
            recovery = partial(subquad.conv_basis_recover, q, keys, bases=k, window=8, delta=0.05, threads=1)
            exact, apply, recover, fit = seconds(
                partial(subquad.attention, q, keys, v, causal=True, threads=1),
                partial(recovery().apply, v, threads=1),
                recovery,
                partial(subquad.conv_basis_fit, q, keys, bases=k, threads=1),
            )
            whole = (apply, recover + apply, fit + apply)
            yield [str(n), str(k), f"{exact * 1e3:.2f}", *(f"{exact / of:.1f}" for of in whole)]


def pieces(n: int, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Equal queries, keys that change k - 1 times, both turned by rotary positions; and values."""
    rng = np.random.default_rng(k)
    angles = np.arange(n)[:, None] * np.geomspace(1, 1e-3, CHANNELS // 2)
    turned = np.exp(1j * angles)
    query = rng.standard_normal(CHANNELS // 2) + 1j * rng.standard_normal(CHANNELS // 2)
    keys = rng.standard_normal((k, CHANNELS // 2)) + 1j * rng.standard_normal((k, CHANNELS // 2))
    parts = [turned * query, turned * keys[np.arange(n) * k // n]]
    q, key = (np.concatenate([x.real, x.imag], axis=1).astype(np.float32) for x in parts)
    return q, key, rng.standard_normal((n, CHANNELS), np.float32)


def sparsify_rows() -> Iterator[list[str]]:
    """What a sparsifier of an n x d matrix costs, and after how many calls of attention it has paid."""
    yield ["n", "d", "method", "columns", "e", "sparsify ms", "its attention ms", "exact attention ms", "pays after"]
    for n, d in ((64, 20_000), (64, 200_000), (256, 20_000), (256, 100_000)):
        rng = np.random.default_rng(1)
        x = rng.standard_normal((n, d), np.float32) / np.float32(d**0.5)
        v = rng.standard_normal((n, CHANNELS), np.float32)
        for method, columns in (("leverage", 8 * n), ("deterministic", 8 * n), ("gram", None)):
            making = partial(subquad.sparsify, x, method=method, columns=columns, threads=1)
            made = making()
            sparsify, its, exact = seconds(
                making, partial(made.attention, v, threads=1), partial(subquad.attention, x, x, v, scale=1.0, threads=1)
            )
            calls = f"{sparsify / (exact - its):.1f} calls" if exact > its else "never"
            yield [
                str(n),
                str(d),
                method,
                str(made.shape[1]),
                f"{made.epsilon:.2g}",
                *(f"{of * 1e3:.2f}" for of in (sparsify, its, exact)),
                calls,
            ]


def example(name: str) -> ModuleType:
    """A program of examples/python as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/python/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
