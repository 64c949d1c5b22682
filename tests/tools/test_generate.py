"""Generated files are those of the tables and the header, and the check for it can fail."""

import shutil

import capi_tables
import emit_header
import generate
import header
import pytest
import versions


def test_the_tree_is_up_to_date(root, capsys):
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


@pytest.fixture
def copy(root, tmp_path):
    """A small tree with everything that the generator reads, and its output."""
    shutil.copytree(root / "capi/tables", tmp_path / "capi/tables")
    shutil.copy(root / "capi/subquad.h", tmp_path / "capi/subquad.h")
    assert generate.main(["--root", str(tmp_path)]) == 0
    assert generate.main(["--root", str(tmp_path), "--check"]) == 0
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def stale(copy, capsys):
    capsys.readouterr()
    assert generate.main(["--root", str(copy), "--check"]) == 1
    return {line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("stale: ")}


def test_an_edited_output_is_stale(copy, capsys):
    edit(copy / "bindings/python/subquad/_constants.py", "OK = 0", "OK = 1")
    assert stale(copy, capsys) == {"bindings/python/subquad/_constants.py"}


def test_a_missing_output_is_stale(copy, capsys):
    (copy / "capi/generated/symbols.txt").unlink()
    assert stale(copy, capsys) == {"capi/generated/symbols.txt"}


def test_a_changed_message_reaches_every_language(copy, capsys):
    edit(copy / "capi/tables/status.toml", '"memory could not be allocated"', '"no memory"')
    assert stale(copy, capsys) == {
        "capi/subquad.h",
        "capi/generated/tables.hpp",
        "core/base/status.hpp",
        "tests/capi/generated_constants.h",
        "bindings/python/subquad/_constants.py",
        "bindings/julia/src/generated.jl",
        "bindings/rust/subquad-sys/src/generated.rs",
    }


def test_a_changed_prototype_reaches_the_bindings(copy, capsys):
    edit(copy / "capi/subquad.h", "const char* subquad_version_string(void)", "const char* subquad_version_text(void)")
    assert stale(copy, capsys) == {
        "capi/generated/symbols.txt",
        "tests/capi/generated_functions.h",
        "docs/parity.md",
        "bindings/julia/src/generated.jl",
        "bindings/rust/subquad-sys/src/generated.rs",
    }


@pytest.mark.parametrize(
    ("table", "old", "new", "reason"),
    [
        ("status", "code = 11\n", "code = 10\n", "share a number"),
        ("status", "code = 11\n", "code = 9\n", "order of their numbers"),
        ("status", "code = 90\n", "code = 3000000000\n", "no C int"),
        ("dtypes", '"FLOAT64"', '"FLOAT32"', "share a name"),
        ("types", '"int64_t"', '"a */ b"', "one line of ASCII"),
        ("options", "highest = 1e300", "highest = inf", "must be finite"),
        ("options", "default = 0\n", "default = 0.5\n", "not of type int"),
        ("options", 'type = "bool"\n', 'type = "bool"\nlowest = 0\n', "takes no lowest"),
        ("options", "default = 0\nlowest = -", "default = -9\nlowest = ", "outside"),
        ("report", '"float"', '"bool"', "not int, float or string"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(copy, table, old, new, reason):
    edit(copy / f"capi/tables/{table}.toml", old, new)
    with pytest.raises(capi_tables.TableError, match=reason):
        generate.main(["--root", str(copy)])


def test_a_missing_region_is_refused(copy):
    edit(copy / "capi/subquad.h", "generated from capi/tables/types.toml: begin", "gone")
    with pytest.raises(ValueError, match="types"):
        generate.main(["--root", str(copy)])


def test_every_function_of_the_header_states_its_contract(root):
    parsed = header.parse((root / "capi/subquad.h").read_text())
    assert parsed.functions
    for function in parsed.functions:
        words = [line.split(" ", 1)[0] for line in function.doc]
        labels = [word for word in words if word in ("Owns:", "Errors:", "Threads:", "Since:")]
        assert labels == ["Owns:", "Errors:", "Threads:", "Since:"], f"{function.name}: {labels}"
        assert function.doc[0].strip(), f"{function.name} does not say what it does"
    for item in [*parsed.structs, *parsed.aliases, *parsed.callbacks]:
        assert item.doc, f"{item.name} has no comment"


def test_numeric_macros_and_enumerators_are_read_in_the_order_of_the_header():
    text = '#define SUBQUAD_A 3\nenum { SUBQUAD_B = -2, };\n#define SUBQUAD_C 0\n#define SUBQUAD_NAME "x"\n#define SUBQUAD_H\n'
    assert list(header.parse(text).constants.items()) == [("SUBQUAD_A", 3), ("SUBQUAD_B", -2), ("SUBQUAD_C", 0)]


@pytest.mark.parametrize(
    ("emit", "before"),
    [
        (
            versions.cmake,
            "cmake_minimum_required(VERSION 3.20)\nproject(subquad VERSION 0.0.9 LANGUAGES C)\nset(SUBQUAD_SOVERSION 9)\n",
        ),
        (versions.cmake, "project(subquad\n  VERSION 0.0.9\n  LANGUAGES C CXX)\nset(SUBQUAD_SOVERSION 9) # both\n"),
        (versions.manifest, '[build-system]\nversion = "3"\n[project]\nversion = "0.0.9"\n[tool.x]\nversion = "4"\n'),
        (versions.manifest, 'name = "Subquad"\nversion = "0.0.9"\n\n[compat]\njulia = "1.5"\n'),
        (
            versions.manifest,
            '[workspace.package]\nversion = "0.0.9"\n[workspace.dependencies]\nsubquad-sys = { path = "x", version = "=0.0.9" }\n',
        ),
    ],
)
def test_version_lines_follow_the_table_and_others_stay(emit, before):
    expected = before.replace("0.0.9", "1.2.3").replace("SOVERSION 9", "SOVERSION 4")
    assert emit(before, capi_tables.Version(1, 2, 3, 4)) == expected


@pytest.mark.parametrize("emit", [versions.cmake, versions.manifest])
def test_a_file_without_its_version_line_is_refused(emit):
    with pytest.raises(versions.VersionError):
        emit("name = 1\n", capi_tables.Version(1, 2, 3, 4))


def test_every_version_file_of_the_tree_follows_the_table(root):
    other = versions.outputs(root, capi_tables.Version(98, 76, 54, 32))
    assert len(other) == 4
    for path, text in other.items():
        assert "98.76.54" in text, path


@pytest.mark.parametrize(("length", "above"), [(20, False), (emit_header.WIDTH - 10, True)])
def test_a_comment_too_wide_for_its_line_moves_above_the_enumerator(copy, length, above):
    edit(copy / "capi/tables/types.toml", "0 or 1", "x" * length)
    assert generate.main(["--root", str(copy)]) == 0
    lines = (copy / "capi/subquad.h").read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if "x" * length in line)
    assert len(lines[at]) <= emit_header.WIDTH
    assert "SUBQUAD_TYPE_BOOL" in lines[at + above]
    assert ("SUBQUAD_TYPE_BOOL" in lines[at]) is not above
