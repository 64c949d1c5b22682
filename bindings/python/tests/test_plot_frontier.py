"""Error against time: points, lines, labels."""

import numpy as np
import pytest
import subquad
from plot_made_up import apart, laid_out

pytest.importorskip("matplotlib", reason="the extra subquad[plot] is not installed")

from subquad import plot

TIMES = [0.4, 0.2, 0.1, 0.3]
METHODS = ["auto", "auto", "window", "window"]


def drawn(ax):
    """x, y of every line with a label of its own."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}


def test_one_error_each():
    ax = plot.frontier(TIMES, [0.01, 0.05, 0.3, 0.2], METHODS)
    assert drawn(ax) == {"auto": ([0.2, 0.4], [0.05, 0.01]), "window": ([0.1, 0.3], [0.3, 0.2])}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("seconds", "relative error")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["auto", "window"]


def test_errors_of_heads():
    """Medians filled, quantiles hollow on dashed lines."""
    errors = np.array([[0.01, 0.02, 0.03], [0.1, 0.2, 0.3], [0.5, 0.4, 0.6], [0.2, 0.2, 0.2]])
    ax = plot.frontier(TIMES, errors, METHODS, exact=0.8, tol=0.1)
    lines = drawn(ax)
    assert lines["auto, median head"] == ([0.25, 0.5], [0.2, 0.02])
    assert lines["auto, 95% of the heads"] == ([0.25, 0.5], np.quantile(errors, 0.95, axis=1)[[1, 0]].tolist())
    assert lines["exact attention's time"][0] == [1, 1]
    assert lines["tol 0.1"][1] == [0.1, 0.1]
    assert ax.get_xlabel() == "time / exact attention's"
    looks = {line.get_label(): line for line in ax.lines}
    filled, hollow = looks["auto, median head"], looks["auto, 95% of the heads"]
    assert (filled.get_linestyle(), hollow.get_linestyle()) == ("-", "--")
    assert filled.get_markerfacecolor() != hollow.get_markerfacecolor()


def test_without_methods():
    ax = plot.frontier([0.2, 0.1], [0.1, 0.2])
    assert [list(line.get_xdata()) for line in ax.lines] == [[0.1, 0.2]]
    assert ax.get_legend() is None
    ax = plot.frontier([0.2, 0.1], [[0.1, 0.2], [0.3, 0.4]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["95% of the heads", "median head"]


def test_floor():
    ax = plot.frontier([0.2, 0.1], [0.0, 0.2])
    assert list(ax.lines[0].get_ydata()) == [0.2, 1e-4]
    assert ax.get_ylabel() == "relative error (at least 0.0001)"
    assert list(plot.frontier([0.2, 0.1], [0.0, 0.2], floor=1e-9).lines[0].get_ydata()) == [0.2, 1e-9]


def test_settings_are_written_beside_the_marks():
    ax = plot.frontier(TIMES, [0.01, 0.05, 0.3, 0.2], METHODS, settings=["tol 0.01", "tol 0.1", 64, 128])
    places = {text.get_text(): tuple(text.xy) for text in ax.texts}
    assert places == {"tol 0.01": (0.4, 0.01), "tol 0.1": (0.2, 0.05), "64": (0.1, 0.3), "128": (0.3, 0.2)}
    assert apart(laid_out(ax).texts)
    inside = ax.get_window_extent()
    for text in ax.texts:
        extent = text.get_window_extent()
        assert inside.x0 <= extent.x0 <= extent.x1 <= inside.x1


def test_methods_differ_by_more_than_colour():
    names = [f"method {i}" for i in range(56)]
    ax = plot.frontier(np.arange(1, 57), np.full(56, 0.1), names)
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 56
    assert len({line.get_marker() for line in ax.lines[:8]}) == 8


@pytest.mark.parametrize(
    ("times", "errors", "settings", "name", "words"),
    [
        ([], [], {}, "ERR_VALUE", "times is empty"),
        ([1, 0], [1, 1], {}, "ERR_VALUE", r"times\[1\] is 0, not above 0"),
        ([1, -2], [1, 1], {}, "ERR_VALUE", r"times\[1\] is -2.0, below 0"),
        ([1, np.inf], [1, 1], {}, "ERR_NONFINITE", r"times\[1\] is inf"),
        ([1, 2], [1], {}, "ERR_SHAPE", r"errors has shape \(1,\), not \(2,\)"),
        ([1, 2], [[], []], {}, "ERR_SHAPE", r"errors has shape \(2, 0\)"),
        ([1, 2], [[1, 2], [3, np.nan]], {}, "ERR_NONFINITE", r"errors\[1, 1\] is nan"),
        (None, [1], {}, "ERR_SHAPE", "times has 0 dimensions"),
        ([1, 2], [1, 1], {"methods": "ab"}, "ERR_TYPE", "methods is 'ab'"),
        ([1, 2], [1, 1], {"methods": ["a"]}, "ERR_SHAPE", "methods has 1 entries, not 2"),
        ([1, 2], [1, 1], {"settings": 3}, "ERR_TYPE", "settings is 3"),
        ([1, 2], [1, 1], {"exact": 0}, "ERR_VALUE", "exact is 0"),
        ([1, 2], [1, 1], {"tol": np.nan}, "ERR_VALUE", "tol is nan"),
        ([1, 2], [1, 1], {"ax": 3}, "ERR_TYPE", "ax is 3"),
    ],
)
def test_bad_input(times, errors, settings, name, words):
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        plot.frontier(times, errors, **settings)
    assert caught.value.name == name
