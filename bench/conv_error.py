"""Error of attention with a conv basis against the number of bases, on structured and on random queries and keys; a table and a plot.

Structured: a constant query, keys constant on 16 pieces plus noise that moves each logit by eps, by recovery and by a fit; and keys that
drift, two turns over the sequence, which no number of bases holds exactly, by a fit. Random: entries of q and k independent and normal,
the logits' standard deviation given, by a fit. n = 4096, d = 64, float64, so that what is seen is the method's error. Errors are
relative to the largest value: the largest over rows and columns, and the root mean square.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import subquad
from common import print_header, print_table
from conv_common import exact_rows, sampled_rows

SEED = 1
N, D, PIECES, WINDOW = 4096, 64, 16, 32
BASES = (1, 4, 8, 12, 16, 32)
MOST = (1, 4, 16, 64, 256)
NOISES = (0.0, 0.001, 0.05)
DEVIATIONS = (0.25, 1.0, 3.0)
PLOT = Path(__file__).resolve().parents[1] / "docs/math/conv_error.svg"
# Apart in lightness as well as in hue, and by marker and dash: told apart without colour vision.
LOOKS = (("#000000", "o", "-"), ("#0072b2", "s", "--"), ("#e69f00", "^", "-."), ("#cc79a7", "D", ":"))


def piecewise(noise: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Queries and keys whose logits are constant on 16 pieces of keys up to the noise, and the least distance of two pieces."""
    random = np.random.default_rng(SEED)
    starts = np.concatenate([[0], np.sort(random.choice(np.arange(1, N - WINDOW), PIECES - 1, replace=False))])
    levels = random.permutation(np.linspace(-6, 6, PIECES))
    segment = np.searchsorted(starts, np.arange(N), side="right") - 1
    q, k = np.zeros((N, D)), np.zeros((N, D))
    q[:, 0], k[:, 0] = np.sqrt(D), levels[segment]
    # The other coordinates: signs that make every logit differ by noise or -noise.
    column = random.integers(1, D, N)
    q[:, 1:] = np.sqrt(D) * random.choice([-1.0, 1.0], (N, D - 1))
    k[np.arange(N), column] = noise
    distance = min(abs(a - b) for r, a in enumerate(np.append(levels, 0.0)) for b in levels[:r])
    return q, k, WINDOW * distance


def drifting() -> tuple[np.ndarray, np.ndarray]:
    """Queries and keys whose logits are 3 sin of the key's place."""
    q, k = np.zeros((N, D)), np.zeros((N, D))
    q[:, 0], k[:, 0] = np.sqrt(D), 3 * np.sin(4 * np.pi * np.arange(N) / N)
    return q, k


def errors(basis: subquad.ConvBasis, v: np.ndarray, rows: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Largest and root mean square error of the output, relative to the largest value."""
    difference = (basis.apply(v)[rows] - reference) / np.abs(v).max()
    return float(np.abs(difference).max()), float(np.sqrt(np.mean(difference**2)))


def row(logits: str, method: str, bases: int, basis: subquad.ConvBasis, found: tuple[float, float], bound: str) -> dict[str, str]:
    report = basis.report
    assert report is not None
    mean = report.get("error_mean")
    return {
        "logits": logits,
        "method": method,
        "k asked": str(bases),
        "k found": str(basis.bases),
        "largest error": f"{found[0]:.1e}",
        "rms error": f"{found[1]:.1e}",
        "estimate of |P~ - P|_1": "-" if mean is None else f"{mean:.1e}",
        "2 tanh(eps)": bound,
    }


def sweep() -> tuple[list[dict[str, str]], dict[str, dict[str, list[tuple[int, float]]]]]:
    """The table, and per panel of the plot its lines: largest errors against the number of bases."""
    v = subquad.fill_uniform((N, D), SEED, 2, -1.0, 1.0, dtype=np.float64)
    rows = sampled_rows(N, 128, SEED)
    table: list[dict[str, str]] = []
    lines: dict[str, dict[str, list[tuple[int, float]]]] = {"recovery": {}, "structured": {}, "random": {}}
    for noise in NOISES:
        q, k, delta = piecewise(noise)
        reference, name = exact_rows(q, k, v, rows), f"16 pieces, eps = {noise:g}"
        for panel, method in (("recovery", "recover"), ("structured", "fit")):
            for bases in BASES:
                if method == "recover":
                    basis = subquad.conv_basis_recover(q, k, bases=bases, window=WINDOW, delta=delta, eps=noise)
                else:
                    basis = subquad.conv_basis_fit(q, k, bases=bases)
                found = errors(basis, v, rows, reference)
                bound = f"{2 * np.tanh(noise):.1e}" if method == "recover" and bases >= PIECES else "-"
                table.append(row(name, method, bases, basis, found, bound))
                lines[panel].setdefault(f"eps = {noise:g}", []).append((bases, found[0]))
    fits = [("keys that drift", "structured", "drift", *drifting())]
    for deviation in DEVIATIONS:
        random = np.random.default_rng(SEED)
        q, k = random.normal(size=(N, D)), random.normal(size=(N, D)) * deviation
        fits.append((f"random, deviation {deviation:g}", "random", f"deviation {deviation:g}", q, k))
    for name, panel, line, q, k in fits:
        reference = exact_rows(q, k, v, rows)
        for bases in MOST:
            basis = subquad.conv_basis_fit(q, k, bases=bases)
            found = errors(basis, v, rows, reference)
            table.append(row(name, "fit", bases, basis, found, "-"))
            lines[panel].setdefault(line, []).append((bases, found[0]))
    return table, lines


def plot(lines: dict[str, dict[str, list[tuple[int, float]]]], path: Path) -> None:
    mpl.use("svg")
    from matplotlib import pyplot

    # Text as text, and no names or dates that change from run to run: a small file whose differences mean something.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "subquad", "font.size": 9})
    figure, panels = pyplot.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
    titles = ("16 pieces, recovery", "16 pieces and drift, fit", "random q and k, fit")
    for axes, panel, title in zip(panels, lines, titles, strict=True):
        for (name, points), (colour, marker, dash) in zip(lines[panel].items(), LOOKS, strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle=dash, markersize=4, label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.set_xticks(MOST, labels=map(str, MOST))
        axes.set_xlabel("bases k asked for")
        axes.set_title(title)
        axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        axes.legend(frameon=False, loc="lower left")
    panels[0].set_ylabel("largest error of O / max|V|")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, default=PLOT, help="where the plot goes (default docs/math/conv_error.svg)")
    arguments = parser.parse_args()
    print_header(SEED)
    print()
    table, lines = sweep()
    print_table(table)
    plot(lines, arguments.plot)


if __name__ == "__main__":
    main()
