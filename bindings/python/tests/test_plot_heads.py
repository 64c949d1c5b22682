"""Pictures of heads: what is drawn is what reports say, and can be read."""

import numpy as np
import pytest
import subquad
from plot_made_up import KINDS, apart, laid_out, report
from reference import inputs
from subquad._constants import Part

pytest.importorskip("matplotlib", reason="the extra subquad[plot] is not installed")

from subquad import plot
from subquad.plot._budget_map import PART_LETTERS


def texts(ax):
    """What the cells of a map say, by layer and head."""
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in ax.texts}


def test_budget_map():
    ax = plot.budget_map([report(), report(*reversed(KINDS))])
    shares = ax.images[0].get_array()
    assert shares.tolist() == [[0.3, 0.2, 0.25, 0.1, 0.6, 1.0], [1.0, 0.6, 0.1, 0.25, 0.2, 0.3]]
    letters = ["", "h", "hsv", "sc", "8", "E"]
    assert texts(ax) == {(0, i): letters[i] for i in range(6)} | {(1, i): letters[5 - i] for i in range(6)}
    key = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [entry[0] for entry in key] == list("hscv8E")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("query head", "layer")
    assert ax.figure.axes[1].get_ylabel() == "share of pairs computed"


def test_the_key_has_what_occurs():
    ax = plot.budget_map(report("window+heavy", "exact"))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["h  heavy columns", "E  exact"]


def test_every_part_has_a_letter():
    reported = {part.name.lower() for part in Part} - {"screening"} | {"screened", "exact"}
    assert set(PART_LETTERS) == reported
    assert len(set(PART_LETTERS.values())) == len(PART_LETTERS)


def test_layers_of_different_heads():
    ax = plot.budget_map([report("window", "exact"), report("screened")])
    shares = ax.images[0].get_array()
    assert shares.mask.tolist() == [[False, False], [False, True]]
    assert shares.compressed().tolist() == [0.3, 1.0, 0.6]


def test_shares_of_ragged_keys():
    """Heads that are exact have all their pairs, also where others have more."""
    assert plot.budget_map(report("window", "exact", pairs=2000)).images[0].get_array().tolist() == [[0.15, 1.0]]
    assert plot.budget_map(report("window", pairs=0)).images[0].get_array().tolist() == [[1.0]]


def test_plans_and_reports_of_calls():
    q, k, v = inputs(300, 300, d=8, d_v=8, heads=(3,), dtype=np.float32)
    made = subquad.plan(q, k, v, tol=0.1, causal=True)
    o, called = subquad.attention(q, k, v, tol=0.1, causal=True, return_report=True)
    maps = [plot.budget_map(given).images[0].get_array().tolist() for given in (made, called, [made], (called,))]
    assert maps == maps[:1] * 4
    errors = np.linalg.norm(o - subquad.attention(q, k, v, causal=True), axis=(1, 2)) / np.linalg.norm(o, axis=(1, 2))
    assert plot.calibration(made, errors).figure is not plot.calibration(called, errors).figure


@pytest.mark.parametrize(("layers", "repeat"), [(1, 1), (6, 1), (12, 2), (32, 5)])
def test_cells_can_be_read(layers, repeat):
    ax = laid_out(plot.budget_map([report(*[kind for kind in KINDS for _ in range(repeat)])] * layers))
    cell = ax.transData.transform([(0, 0), (1, 1)])
    width, height = np.abs(cell[1] - cell[0])
    assert ax.texts
    for text in ax.texts:
        extent = text.get_window_extent()
        assert extent.width <= width
        assert extent.height <= height
    assert apart([ax.xaxis.label, *ax.get_legend().get_texts(), *ax.get_xticklabels()])
    assert apart([ax.yaxis.label, *ax.get_yticklabels()])
    assert max(len(ax.get_xticks()), len(ax.get_yticks())) <= 16


def luminance(colour):
    linear = [value / 12.92 if value <= 0.04 else ((value + 0.055) / 1.055) ** 2.4 for value in colour[:3]]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


def test_letters_stand_out():
    """At least 4.5 to 1, as the Web Content Accessibility Guidelines ask for text."""
    from matplotlib.colors import to_rgb

    ax = plot.budget_map(report())
    for text, share in zip(ax.texts, ax.images[0].get_array()[0], strict=True):
        lighter, darker = sorted((luminance(to_rgb(text.get_color())), luminance(ax.images[0].to_rgba(share))), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_shades_differ_without_colour():
    ax = plot.budget_map(report())
    greys = [luminance(ax.images[0].to_rgba(share)) for share in np.linspace(0, 1, 11)]
    assert (np.diff(greys) < 0).all()


def test_large_maps_have_no_letters():
    ax = plot.budget_map([report(*["window+heavy+selection+conv"] * 100)] * 120)
    assert not ax.texts
    assert ax.get_legend() is None


def test_calibration():
    heads = report()  # estimates 0.04 .. 0.08 and 0, intervals from 0.5 to 1.5 of them
    true = [0.05, 0.02, 0.1, 0.2, 0.001, 1e-7]
    ax = plot.calibration([heads], true, tol=0.1)
    inside, above, equal, *tolerances = ax.lines
    assert inside.get_xdata().tolist() == [0.05, 0.02, 0.001, 1e-4]
    assert inside.get_ydata().tolist() == [0.04, 0.05, 0.08, 1e-4]
    assert (above.get_xdata().tolist(), above.get_ydata().tolist()) == ([0.1, 0.2], [0.06, 0.07])
    assert inside.get_marker() != above.get_marker()
    assert equal.get_xdata().tolist() == equal.get_ydata().tolist()
    assert [list(tolerances[0].get_ydata()), list(tolerances[1].get_xdata())] == [[0.1, 0.1]] * 2
    bars = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    u = 2**-53
    expected = [[0.5 * e, 1.5 * e] for e in (0.04, 0.05, 0.06, 0.07, 0.08)] + [[1e-4, 1e-4]]
    assert np.abs(np.array(bars) / expected - 1).max() <= 4 * u  # roundoff: drawn from differences
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:2] == ["true error within or below its interval: 4", "true error above its interval: 2"]
    assert ax.get_xlabel() == "true error (at least 0.0001)"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert apart([laid_out(ax).xaxis.label, *ax.get_legend().get_texts()])


def test_calibration_of_several_layers():
    reports = [report("window", "screened"), report("window", "window")]
    true = np.array([[0.04, 0.08], [0.03, 0.05]])
    assert plot.calibration(reports, true).lines[0].get_xdata().tolist() == true.ravel().tolist()
    assert plot.calibration(reports, true, floor=0.045).lines[0].get_xdata().tolist() == [0.045, 0.08, 0.045, 0.05]
    assert plot.calibration(reports, true).get_xlabel() == "true error"


@pytest.mark.parametrize(
    ("reports", "name", "words"),
    [
        (None, "ERR_TYPE", "reports is None"),
        ("report", "ERR_TYPE", "reports is 'report'"),
        ([], "ERR_VALUE", "reports is empty"),
        ([report(), {}], "ERR_TYPE", r"reports\[1\] is \{\} of type dict"),
        ([report(), subquad.Report('{"method": "exact", "pairs": 4}')], "ERR_VALUE", r"reports\[1\] says nothing.*'exact'"),
        (subquad.Report("{}"), "ERR_VALUE", "reports says nothing of heads: only"),
    ],
)
def test_bad_reports(reports, name, words):
    for draw in (plot.budget_map, lambda given: plot.calibration(given, [0.1])):
        with pytest.raises(subquad.SubquadError, match=words) as caught:
            draw(reports)
        assert caught.value.name == name


@pytest.mark.parametrize(
    ("true", "settings", "name", "words"),
    [
        ([0.1], {}, "ERR_SHAPE", r"true_errors has shape \(1,\).*6 heads"),
        ([0.1] * 5 + [-1], {}, "ERR_VALUE", r"true_errors\[5\] is -1.0, below 0"),
        ([0.1] * 5 + [np.nan], {}, "ERR_NONFINITE", r"true_errors\[5\] is nan, not finite"),
        (0.1, {}, "ERR_SHAPE", "true_errors has 0 dimensions"),
        ("all", {}, "ERR_TYPE", "true_errors is 'all'"),
        ([0.1] * 6, {"tol": 0}, "ERR_VALUE", "tol is 0"),
        ([0.1] * 6, {"tol": "0.1"}, "ERR_TYPE", "tol is '0.1'"),
        ([0.1] * 6, {"floor": np.inf}, "ERR_VALUE", "floor is inf"),
        ([0.1] * 6, {"ax": "new"}, "ERR_TYPE", "ax is 'new'"),
    ],
)
def test_bad_calibration(true, settings, name, words):
    with pytest.raises(subquad.SubquadError, match=words) as caught:
        plot.calibration(report(), true, **settings)
    assert caught.value.name == name
