"""The symbol check passes on a library that exports what is listed, and can fail."""

import os
import subprocess

import check_symbols


def library(folder, source):
    (folder / "lib.c").write_text(source)
    path = folder / "lib.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", str(path), str(folder / "lib.c")], check=True)
    return path


def test_equal_lists_pass_and_hidden_functions_do_not_count(tmp_path):
    path = library(tmp_path, 'int f(void){return 1;}\n__attribute__((visibility("hidden"))) int g(void){return 1;}\n')
    listed = tmp_path / "symbols.txt"
    listed.write_text("f\n")
    assert check_symbols.differences(path, listed) == []


def test_a_missing_and_an_extra_symbol_are_named(tmp_path):
    path = library(tmp_path, "int f(void){return 1;}\nint leaked(void){return 1;}\n")
    listed = tmp_path / "symbols.txt"
    listed.write_text("f\ngone\n")
    found = check_symbols.differences(path, listed)
    assert [line.split()[:2] for line in found] == [["missing:", "gone"], ["extra:", "leaked"]]
