"""Install the built library, move it, and use it from a C project as a stranger would: by CMake and by pkg-config."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SUBQUAD_BUILD", ROOT / "build/release"))
EXAMPLE = ROOT / "examples/c"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command, env=None, check=True):
    # Ninja, because the build needs it: a machine without make is no exception.
    environment = {**os.environ, "CMAKE_GENERATOR": "Ninja", **(env or {})}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=environment)
    if check:
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """The installed tree, moved after the installation: nothing in it may know where it was put."""
    folder = tmp_path_factory.mktemp("install")
    run("cmake", "--install", BUILD, "--prefix", folder / "first")
    return (folder / "first").rename(folder / "moved here")


@pytest.fixture(scope="session")
def pkg_config(prefix):
    (file,) = prefix.rglob("subquad.pc")

    def ask(*arguments, check=True):
        return run("pkg-config", *arguments, "subquad", env={"PKG_CONFIG_PATH": str(file.parent)}, check=check)

    return ask


def find_by_cmake(prefix, folder, version):
    text = f"cmake_minimum_required(VERSION 3.20)\nproject(probe C)\nfind_package(subquad {version} REQUIRED)\n"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(text)
    return run("cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}", check=False)


def header_version(prefix):
    """major, minor, patch as the installed header has them."""
    text = (prefix / "include/subquad.h").read_text()
    return [
        int(re.search(rf"^#\s*define SUBQUAD_VERSION_{part} (\d+)", text, re.MULTILINE)[1])
        for part in ("MAJOR", "MINOR", "PATCH")
    ]


def test_installed_files(prefix):
    files = {path.relative_to(prefix) for path in prefix.rglob("*") if not path.is_dir()}
    assert {file for file in files if file.parts[0] == "include"} == {Path("include/subquad.h")}, "the C header is the only one"
    names = {file.name for file in files}
    assert {"subquad.pc", "subquad-config.cmake", "subquad-config-version.cmake"} <= names
    assert any(re.fullmatch(r"libsubquad\.(so\.\d+|\d+\.dylib)", name) for name in names), "a library with a soname"


def test_installed_files_name_no_folder_of_the_build(prefix):
    for path in prefix.rglob("*"):
        if path.suffix in {".cmake", ".pc", ".h"}:
            assert str(ROOT) not in path.read_text(), path
            assert "/first" not in path.read_text(), path


def test_cmake_consumer(prefix, tmp_path):
    run("cmake", "-S", EXAMPLE, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path)
    assert float(run(tmp_path / "attention").stdout)
    # These exit with 1 where they differ from the definition, and from exact attention by more than the tolerance.
    assert "flow of the last day" in run(tmp_path / "river").stdout
    assert "of the pairs" in run(tmp_path / "adaptive").stdout


def test_pkg_config_consumer(prefix, pkg_config, tmp_path):
    # pkg-config escapes the blank in the prefix for a shell.
    flags = pkg_config("--cflags", "--libs").stdout.strip()
    folder = pkg_config("--variable=libdir").stdout.strip().replace("\\ ", " ")
    compiler = " ".join(["cc", *STRICT, f"'{EXAMPLE}/attention.c'", "-o", f"'{tmp_path}/attention'", flags])
    run("sh", "-c", compiler)
    assert float(run(tmp_path / "attention", env={"LD_LIBRARY_PATH": folder, "DYLD_LIBRARY_PATH": folder}).stdout)


def test_versions_agree(prefix, pkg_config):
    assert pkg_config("--modversion").stdout.strip() == ".".join(map(str, header_version(prefix)))


def test_this_version_is_found(prefix, tmp_path):
    major, minor, patch = header_version(prefix)
    for number, version in enumerate([f"{major}.{minor}.{patch}", f"{major}.{minor}"]):
        done = find_by_cmake(prefix, tmp_path / str(number), version)
        assert done.returncode == 0, done.stderr


def test_other_versions_are_refused(prefix, tmp_path):
    major, minor, patch = header_version(prefix)
    for number, version in enumerate([f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}", f"{major + 1}.0"]):
        done = find_by_cmake(prefix, tmp_path / str(number), version)
        assert done.returncode != 0, version
        assert f'requested version "{version}"' in done.stderr
