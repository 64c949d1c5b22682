"""What holds of every picture: where it is drawn, that nothing else changes, and that its examples run."""

import doctest
import gc
import importlib
import io
import pkgutil
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest
import subquad
from plot_made_up import apart, laid_out, report
from sparsify_reference import generic

pytest.importorskip("matplotlib", reason="the extra subquad[plot] is not installed")

import matplotlib
from matplotlib.figure import Figure
from subquad import plot

X = generic(6, 300)

PICTURES = {
    "budget_map": lambda **where: plot.budget_map([report(), report()], **where),
    "frontier": lambda **where: plot.frontier([0.1, 0.2], [[0.2, 0.3], [0.1, 0.2]], ["a", "b"], exact=1.0, tol=0.1, **where),
    "calibration": lambda **where: plot.calibration(report(), np.full(6, 0.05), tol=0.1, **where),
    "spectrum": lambda **where: plot.spectrum(subquad.sparsify(X, columns=30), X, **where),
    "columns": lambda **where: plot.columns(subquad.sparsify(X, columns=30), **where),
    "columns among all": lambda **where: plot.columns(subquad.sparsify(X, columns=30), subquad.leverage_scores(X), **where),
}


@pytest.fixture(params=PICTURES.values(), ids=PICTURES)
def draw(request):
    return request.param


def python(script):
    return subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(plot.__path__)])
def test_examples(name):
    assert doctest.testmod(importlib.import_module(f"subquad.plot.{name}")).failed == 0


def test_every_function_has_an_example():
    finder = doctest.DocTestFinder()
    assert all(any(test.examples for test in finder.find(getattr(plot, name))) for name in plot.__all__)


def test_on_axes_of_ones_own(draw):
    figure = Figure()
    first, second = figure.subplots(1, 2)
    assert draw(ax=second) is second
    assert second.has_data()
    assert not first.has_data()


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_saved(draw, kind):
    file = io.BytesIO()
    draw().figure.savefig(file, format=kind)
    assert len(file.getvalue()) > 1000


def test_on_part_of_a_figure(draw):
    """And small: words may leave little room, but nothing warns or fails."""
    parts = Figure(figsize=(7, 3), layout="constrained").subfigures(1, 2)
    draw(ax=parts[1].subplots()).figure.figure.savefig(io.BytesIO(), format="png")


def test_words_do_not_overlap(draw):
    ax = laid_out(draw())
    for axis in (ax.xaxis, ax.yaxis):
        assert axis.label.get_text()
        low, high = axis.get_view_interval()
        assert apart([axis.label, *(tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)])
    assert apart([ax.xaxis.label, ax.yaxis.label, *ax.get_legend().get_texts()])


def test_figures_go_with_their_last_reference(draw):
    ax = draw()
    gone = weakref.ref(ax.figure)
    del ax
    gc.collect()
    assert gone() is None


def test_settings_stay_as_they_were(draw):
    before = dict(matplotlib.rcParams)
    draw().figure.savefig(io.BytesIO())
    assert dict(matplotlib.rcParams) == before


def test_the_users_settings_hold(draw):
    with matplotlib.rc_context({"font.size": 7, "axes.facecolor": "black"}):
        ax = draw()
    assert ax.xaxis.label.get_fontsize() == 7
    assert ax.get_facecolor() == (0, 0, 0, 1)


def test_no_window_and_no_pyplot():
    done = python(
        """
        import sys, subquad, subquad.plot
        print("matplotlib" in sys.modules)
        x = subquad.fill_uniform((4, 90), seed=1, stream=0, low=-1, high=1, dtype="float64")
        subquad.plot.spectrum(subquad.sparsify(x, columns=9), x).figure.savefig("/dev/null", format="png")
        print("matplotlib.pyplot" in sys.modules, "sklearn" in sys.modules)
        """
    )
    assert (done.stderr, done.stdout.split()) == ("", ["False", "False", "False"])


def test_missing_matplotlib_is_named():
    done = python(
        """
        import sys
        sys.modules["matplotlib"] = None
        import subquad.plot
        try:
            subquad.plot.frontier([1], [1])
        except ModuleNotFoundError as missing:
            print(missing)
        """
    )
    assert done.stderr == ""
    assert "pip install 'subquad[plot]'" in done.stdout
