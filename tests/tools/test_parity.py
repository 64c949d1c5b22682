"""The table of names in four languages has no empty cell, and says what the sources of the packages say."""

import copy

import capi_tables
import emit_parity
import header
import pytest
from conftest import ROOT
from parity_check import wrong_cells

CELLS = emit_parity.load(ROOT / "capi/tables/parity.toml")
FUNCTIONS = [function.name for function in header.parse((ROOT / "capi/subquad.h").read_text()).functions]
OPTIONS = [option.name for option in capi_tables.load(ROOT / "capi/tables").options]


@pytest.mark.parametrize(("kind", "expected"), [("functions", FUNCTIONS), ("options", OPTIONS)])
def test_the_rows_are_those_of_the_header(kind, expected):
    assert sorted(CELLS[kind]) == sorted(expected)


def test_the_page_has_no_empty_cell():
    page = (ROOT / "docs/parity.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `subquad_") or line.startswith("| `SUBQUAD_OPTION_")]
    assert len(rows) == len(FUNCTIONS) + len(OPTIONS)
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 1 + len(emit_parity.LANGUAGES), row
        assert all(cells), f"an empty cell: {row}"


def test_a_function_without_a_row_has_empty_cells():
    parsed = header.parse((ROOT / "capi/subquad.h").read_text())
    cells = {"functions": {}, "options": CELLS["options"]}
    assert f"| `{FUNCTIONS[0]}` |  |  |  |" in emit_parity.emit(parsed, capi_tables.load(ROOT / "capi/tables"), cells)


def test_cells_say_what_the_sources_say():
    assert wrong_cells(CELLS) == []


@pytest.mark.parametrize("language", emit_parity.LANGUAGES)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("subquad_attention", "subquad_leverage_scores"),
        ("subquad_sparsify", "subquad_sparsify_pair"),
        ("subquad_conv_basis_multiply", "subquad_conv_basis_apply"),
    ],
)
def test_cells_that_changed_places_are_found(language, one, other):
    cells = copy.deepcopy(CELLS)
    rows = cells["functions"]
    rows[one][language], rows[other][language] = rows[other][language], rows[one][language]
    assert len(wrong_cells(cells)) == 2


WRONG = [
    ("functions", "subquad_attention", "python", "fill_uniform"),
    ("functions", "subquad_attention", "julia", "fill_uniform!"),
    ("functions", "subquad_attention", "rust", "fill_uniform"),
    ("functions", "subquad_attention", "rust", "Report::run"),
    ("functions", "subquad_attention", "rust", "Attention::forward"),
    ("functions", "subquad_attention", "python", "attention, leverage_scores"),
    ("functions", "subquad_context_set_threads", "python", "attention(workers=)"),
    ("functions", "subquad_fill_uniform", "python", "inside: x"),
    ("functions", "subquad_fill_uniform", "python", "inside:    "),
    ("functions", "subquad_fill_uniform", "python", "inside: `_fill.py`, for tests"),
    ("functions", "subquad_attention", "julia", "inside: `attention.jl`, for the length of a call"),
    ("functions", "subquad_options_create", "python", "inside: for the length of a call"),
    ("functions", "subquad_options_create", "python", "inside: `_fill.py`, for the length of a call"),
    ("functions", "subquad_fill_uniform", "rust", "n/a: numbers for tests are made elsewhere"),
    ("functions", "subquad_options_reset", "python", "n/a: not needed"),
    ("functions", "subquad_options_reset", "rust", "Attention::set_int"),
    ("options", "TOL", "python", "fill_uniform(tol=)"),
    ("options", "TOL", "julia", "fill_uniform!(tol=)"),
    ("options", "TOL", "python", "attention(seed=)"),
    ("options", "TOL", "julia", "attention(seed=)"),
    ("options", "METHOD", "python", "sparsify(method=)"),
    ("options", "METHOD", "julia", "sparsify(method=)"),
    ("options", "SPARSIFY_SCORES", "julia", "sparsify(method=)"),
    ("options", "TOL", "python", "attention"),
    ("options", "TOL", "rust", "Attention::seed"),
    ("options", "TOL", "rust", "Sparsify::tol"),
    *(("options", "TOL", language, "n/a: no such thing in this language") for language in emit_parity.LANGUAGES),
    *(("options", "TOL", language, "n/a: no such thing") for language in emit_parity.LANGUAGES),
    ("options", "TOL", "julia", "inside: `options.jl`, keyword arguments"),
]


@pytest.mark.parametrize(("kind", "row", "language", "cell"), WRONG)
def test_a_wrong_cell_is_found(kind, row, language, cell):
    cells = copy.deepcopy(CELLS)
    cells[kind][row][language] = cell
    assert [line.partition(":")[0] for line in wrong_cells(cells)] == [f"{row} in {language}"]


def test_reasons_are_few():
    cells = copy.deepcopy(CELLS)
    for row in cells["functions"].values():
        row["python"] = "n/a: the package does without it"
    assert f"python: {len(FUNCTIONS)} functions of {len(FUNCTIONS)} are not there" in wrong_cells(cells)
