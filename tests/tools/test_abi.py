"""The header serves programs of the present soname, and the check for it can fail."""

import shutil

import check_abi
import pytest


def test_the_header_serves_earlier_programs(capsys):
    assert check_abi.main([]) == 0, capsys.readouterr().out


@pytest.fixture
def copy(root, tmp_path):
    """A small tree with everything that the check reads."""
    shutil.copytree(root / "capi/tables", tmp_path / "capi/tables")
    shutil.copy(root / "capi/subquad.h", tmp_path / "capi/subquad.h")
    shutil.copytree(root / "tests/abi", tmp_path / "tests/abi")
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def check(tree, *arguments):
    return check_abi.main(["--root", str(tree), *arguments])


INCOMPATIBLE = [
    ("a function that is gone", "SUBQUAD_API int64_t subquad_version(void);", ""),
    ("another result", "SUBQUAD_API int64_t subquad_version(void);", "SUBQUAD_API int32_t subquad_version(void);"),
    ("another parameter", "subquad_context* context, int64_t threads)", "subquad_context* context, int32_t threads)"),
    (
        "one parameter more",
        "subquad_context* context, int64_t threads)",
        "subquad_context* context, int64_t threads, int64_t more)",
    ),
    ("another value", "SUBQUAD_ERR_SHAPE = 20,", "SUBQUAD_ERR_SHAPE = 27,"),
    ("an array that is longer", "#define SUBQUAD_MAX_NDIM 4", "#define SUBQUAD_MAX_NDIM 5"),
    ("another field", "  int32_t ndim; ", "  int64_t ndim; "),
    ("a field more", "  int32_t index_base;", "  int32_t flags;\n  int32_t index_base;"),
    ("fields that changed places", "  int64_t rows;\n  int64_t columns;", "  int64_t columns;\n  int64_t rows;"),
    ("another callback", "(*subquad_callback)(void* user, double fraction)", "(*subquad_callback)(void* user, float fraction)"),
    ("another status type", "typedef int32_t subquad_status;", "typedef int64_t subquad_status;"),
    ("parameters of one type that changed places", "uint64_t seed, uint64_t stream", "uint64_t stream, uint64_t seed"),
    ("a parameter that moved among new names", "uint64_t seed, uint64_t stream", "uint64_t stream, uint64_t key"),
    ("a callback's parameters that changed places", "int64_t first, int64_t count", "int64_t count, int64_t first"),
]


@pytest.mark.parametrize(("old", "new"), [pytest.param(old, new, id=name) for name, old, new in INCOMPATIBLE])
def test_an_incompatible_change_needs_another_soname(copy, capsys, old, new):
    edit(copy / "capi/subquad.h", old, new)
    before = (copy / "tests/abi/subquad.txt").read_text()
    assert check(copy) == 1
    assert "would break" in capsys.readouterr().out
    assert check(copy, "--write") == 1
    assert (copy / "tests/abi/subquad.txt").read_text() == before
    edit(copy / "capi/tables/version.toml", "soversion = 0", "soversion = 1")
    assert check(copy) == 1
    assert check(copy, "--write") == 0
    assert check(copy) == 0


TYPES = [
    ("options.toml", 'name = "CONV_WINDOW"\nid = 51\ntype = "int"', 'name = "CONV_WINDOW"\nid = 51\ntype = "float"'),
    ("report.toml", 'name = "PAIRS"\nid = 11\ntype = "int"', 'name = "PAIRS"\nid = 11\ntype = "float"'),
]


@pytest.mark.parametrize(("table", "old", "new"), TYPES)
def test_another_type_of_an_option_or_report_key_needs_another_soname(copy, capsys, table, old, new):
    edit(copy / "capi/tables" / table, old, new)
    assert check(copy, "--write") == 1
    assert "was INT and is FLOAT" in capsys.readouterr().out


def test_the_alignment_of_structs_is_part_of_it(copy):
    edit(copy / "capi/subquad.h", "} subquad_array;", "} __attribute__((aligned(16))) subquad_array;")
    assert check_abi.interface(copy)["struct subquad_array"] == "80 bytes, aligned to 16"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SUBQUAD_API int64_t subquad_version(void);", "SUBQUAD_API __attribute__((ms_abi)) int64_t subquad_version(void);"),
        ('__attribute__((visibility("default")))', '__attribute__((visibility("default"), ms_abi))'),
        ("} subquad_array;", "} __attribute__((aligned(16))) subquad_array;"),
    ],
)
def test_attributes_that_are_not_linkage_are_refused(copy, capsys, old, new):
    edit(copy / "capi/subquad.h", old, new)
    assert check(copy, "--write") == 1
    assert new in capsys.readouterr().out


def test_a_record_that_is_missing_is_not_made_anew(copy, capsys):
    edit(copy / "capi/subquad.h", "SUBQUAD_API int64_t subquad_version(void);", "")
    (copy / "tests/abi/subquad.txt").unlink()
    assert check(copy) == 1
    assert check(copy, "--write") == 1
    assert "subquad.txt is missing" in capsys.readouterr().out
    assert not (copy / "tests/abi/subquad.txt").exists()


def test_the_soname_does_not_go_back(copy, capsys):
    version = copy / "capi/tables/version.toml"
    edit(version, "soversion = 0", "soversion = 1")
    assert check(copy, "--write") == 0
    edit(version, "soversion = 1", "soversion = 0")
    assert check(copy, "--write") == 1
    assert "soversion was 1 and is 0" in capsys.readouterr().out


@pytest.mark.parametrize("number", ["-1", "0.5", "true"])
def test_the_soname_has_an_integer_from_0_up(copy, capsys, number):
    edit(copy / "capi/tables/version.toml", "soversion = 0", f"soversion = {number}")
    assert check(copy, "--write") == 1
    assert "not an integer from 0 up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "SUBQUAD_API int64_t subquad_version(void);",
            "SUBQUAD_API int64_t subquad_version(void);\nSUBQUAD_API void subquad_new(void);",
        ),
        ("SUBQUAD_ERR_SHAPE = 20,", "SUBQUAD_ERR_SHAPE = 20,\n  SUBQUAD_ERR_NEW = 27,"),
    ],
)
def test_an_addition_has_to_be_recorded(copy, capsys, old, new):
    edit(copy / "capi/subquad.h", old, new)
    assert check(copy) == 1
    assert "not recorded: " in capsys.readouterr().out
    assert check(copy, "--write") == 0
    assert check(copy) == 0


def test_another_name_of_a_parameter_is_said_and_recorded(copy, capsys):
    edit(copy / "capi/subquad.h", "int64_t threads)", "int64_t count)")
    assert check(copy) == 1
    assert "renamed: function subquad_context_set_threads was " in capsys.readouterr().out
    assert check(copy, "--write") == 0
    assert check(copy) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("#define SUBQUAD_VERSION_MINOR 1", "#define SUBQUAD_VERSION_MINOR 2"),
        ("/* success */", "/* all is well */"),
    ],
)
def test_versions_and_comments_are_no_part_of_it(copy, old, new):
    edit(copy / "capi/subquad.h", old, new)
    assert check(copy) == 0
