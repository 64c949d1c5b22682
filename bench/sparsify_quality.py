"""e against the number of columns, by four ways to choose them, on made and on real data; a table and a plot.

Deterministic and leverage: this library's. Uniform, and by norm (columns with probabilities p as their squared norms): m draws with
replacement, each with the weight 1 / (m p), by NumPy. All e are exact and measured alike, on the whitened matrix; where chance is in
it, the median of several seeds and the interquartile range. columns: distinct ones, in the median. bound: 2 sqrt(c) / (c + 1), the
deterministic method's promise. An e of 1 or more says that a direction is lost, or more than doubled.

gaussian, 64 x 20000: independent entries. skewed: its columns times log-normal numbers of deviation 1.5. digits, 64 x 1797 of rank 61:
pixels by images. cancer, 30 x 569: measurements by patients, scaled to deviation 1. words, 128 x d: the largest modules of Python's
standard library by the words that two or more of them use, 1 + log of how often, sparse.
"""

import argparse
import re
import sysconfig
from collections import Counter
from pathlib import Path

import matplotlib as mpl
import numpy as np
import scipy.sparse
import sklearn.datasets
import subquad
from common import print_header, print_table, spread
from sparsify_common import measured_epsilon, whitened

SEED = 1
SEEDS = 15
PER_RANK = (1.5, 2, 4, 8, 16)  # columns asked for, over the rank
METHODS = ("deterministic", "leverage", "norm", "uniform")
PLOT = Path(__file__).resolve().parents[1] / "docs/math/sparsify_quality.svg"
# Apart in lightness as well as in hue, and by marker and dash: told apart without colour vision.
LOOKS = (("#000000", "o", "-"), ("#0072b2", "s", "--"), ("#e69f00", "^", "-."), ("#cc79a7", "D", ":"))
WORD = re.compile(r"[A-Za-z]{3,}")

Matrix = np.ndarray | scipy.sparse.csc_array


def words(modules: int) -> scipy.sparse.csc_array:
    """The largest modules by the words that at least two of them use."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"), key=lambda path: (-path.stat().st_size, path.name))
    counts = [Counter(word.lower() for word in WORD.findall(path.read_text("utf-8", "replace"))) for path in files[:modules]]
    used = Counter(word for count in counts for word in count)
    column = {word: j for j, word in enumerate(sorted(word for word in used if used[word] > 1))}
    entries = [
        (1 + np.log(many), i, column[word]) for i, count in enumerate(counts) for word, many in count.items() if word in column
    ]
    values, rows, columns = zip(*entries, strict=True)
    return scipy.sparse.coo_array((values, (rows, columns)), shape=(len(counts), len(column))).tocsc()


def data() -> dict[str, Matrix]:
    random = np.random.default_rng(SEED)
    gaussian = random.standard_normal((64, 20_000))
    cancer = sklearn.datasets.load_breast_cancer().data
    return {
        "gaussian": gaussian,
        "skewed": gaussian * np.exp(1.5 * random.standard_normal(20_000)),
        "digits": np.ascontiguousarray(sklearn.datasets.load_digits().data.T),
        "cancer": np.ascontiguousarray((cancer / cancer.std(axis=0)).T),
        "words": words(128),
    }


def drawn(probabilities: np.ndarray, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """m draws with replacement: distinct columns, and the sums of their weights."""
    draws = np.random.default_rng(seed).choice(len(probabilities), m, p=probabilities)
    indices, counts = np.unique(draws, return_counts=True)
    return indices, counts / (m * probabilities[indices])


def chosen(x: Matrix, norms: np.ndarray, method: str, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights."""
    if method in ("uniform", "norm"):
        return drawn(norms / norms.sum() if method == "norm" else np.full(len(norms), 1 / len(norms)), m, seed)
    y = subquad.sparsify(x, method=method, columns=m, seed=seed, certify=False)
    return y.indices, y.weights


def sweep(seeds: int) -> tuple[list[dict[str, str]], dict[str, dict[str, list[tuple[float, float]]]]]:
    """The table, and per panel of the plot its lines: e against columns."""
    table: list[dict[str, str]] = []
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, x in data().items():
        dense = x if isinstance(x, np.ndarray) else x.toarray()
        v, norms = whitened(dense), np.einsum("ij,ij->j", dense, dense)
        lines[f"{name}, {dense.shape[0]} x {dense.shape[1]}"] = panel = {}
        for method in METHODS:
            for c in PER_RANK:
                m = round(c * len(v))
                runs = [chosen(x, norms, method, m, seed) for seed in range(1 if method == "deterministic" else seeds)]
                found = [measured_epsilon(v, *run) for run in runs]
                median, range_ = spread(found * 2 if len(found) == 1 else found)
                columns = float(np.median([len(indices) for indices, _ in runs]))
                panel.setdefault(method, []).append((columns, median))
                table.append(
                    {
                        "data": name,
                        "n": str(dense.shape[0]),
                        "d": str(dense.shape[1]),
                        "rank": str(len(v)),
                        "method": method,
                        "m asked": str(m),
                        "columns": f"{columns:.0f}",
                        "e": f"{median:.3f}",
                        "IQR": f"{range_:.3f}" if len(found) > 1 else "-",
                        "bound": f"{2 * np.sqrt(c) / (c + 1):.3f}" if method == "deterministic" else "-",
                    }
                )
    return table, lines


def plot(lines: dict[str, dict[str, list[tuple[float, float]]]], path: Path) -> None:
    mpl.use("svg")
    from matplotlib import pyplot

    # Text as text, and no names or dates that change from run to run: a small file whose differences mean something.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "subquad", "font.size": 9})
    figure, grid = pyplot.subplots(2, 3, figsize=(9, 5.6), sharey=True, layout="constrained")
    for axes, (title, panel) in zip(grid.flat, lines.items(), strict=False):
        for (method, points), (colour, marker, dash) in zip(panel.items(), LOOKS, strict=True):
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle=dash, markersize=4, label=method)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_xlabel("distinct columns")
        axes.set_title(title)
        axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    for row in grid:
        row[0].set_ylabel("e")
    last = grid.flat[-1]
    last.axis("off")
    last.legend(*grid.flat[0].get_legend_handles_labels(), frameon=False, loc="center")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three seeds, and no plot")
    parser.add_argument("--plot", type=Path, default=PLOT, help="where the plot goes (default docs/math/sparsify_quality.svg)")
    arguments = parser.parse_args()
    print_header(SEED)
    print()
    table, lines = sweep(3 if arguments.quick else SEEDS)
    print_table(table)
    if not arguments.quick:
        plot(lines, arguments.plot)


if __name__ == "__main__":
    main()
