"""The sdist: what is in it, and what its metadata say. scripts/wheel builds from one."""

import email
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Of the repository's files, those that are for other languages, for benches, or for checking the repository itself.
LEFT_OUT = re.compile(
    r"(?!\.gitignore)\.|ruff\.toml|bench/|bindings/(julia|rust)/|examples/(julia|rust)/|scripts/(?!lib/|wheel$)"
    r"|tests/(readme|tools)/|tests/install/(?!from_wheel)"
)
EXTRAS = {"cli", "dask", "docs", "demo", "plot", "sklearn", "test", "torch", "transformers"}


@pytest.fixture(scope="session")
def sdist(tmp_path_factory):
    """The text of each file by its path, as the backend packs them; nothing is compiled."""
    folder = tmp_path_factory.mktemp("sdist")
    script = f"from scikit_build_core.build import build_sdist; build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-P", "-c", script], cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.glob("subquad-*.tar.gz")
    with tarfile.open(archive) as opened:
        # The inputs of the fuzz targets are bytes.
        files = {member.name.partition("/")[2]: opened.extractfile(member).read() for member in opened if member.isfile()}
        return {name: content.decode(errors="replace") for name, content in files.items()}


@pytest.fixture
def metadata(sdist):
    return email.message_from_string(sdist["PKG-INFO"])


def test_contents(sdist):
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: nothing says which files belong to the repository")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    ours = {file for file in listed if (ROOT / file).exists() and not LEFT_OUT.match(file)}
    assert set(sdist) == ours | {"PKG-INFO"}
    assert {"LICENSE", "capi/subquad.h", "bindings/python/subquad_raw.i", "scripts/wheel", "tests/install/from_wheel.py"} <= ours


def test_licence_is_that_of_our_own_code(metadata):
    """The wheel that carries FFTW says otherwise: test_wheel_licence.py."""
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]


def test_requirements(metadata):
    required = metadata.get_all("Requires-Dist")
    assert [line for line in required if "extra ==" not in line] == ["numpy>=1.24"]
    assert set(metadata.get_all("Provides-Extra")) == EXTRAS
    by_extra = {re.search(r'extra == "(\w+)"', line)[1] for line in required if "extra ==" in line}
    assert by_extra == EXTRAS


def test_tests_need_no_less_than_users(metadata):
    """What scripts/test tries is held to the versions that the extras name."""
    lines = [line for line in metadata.get_all("Requires-Dist") if "extra ==" in line]
    tested = {line.partition(";")[0] for line in lines if 'extra == "test"' in line}
    for extra in ("cli", "dask", "plot", "sklearn"):
        assert {line.partition(";")[0] for line in lines if f'extra == "{extra}"' in line} <= tested, extra


def test_version_and_page(metadata, sdist):
    header = sdist["capi/subquad.h"]
    numbers = [
        re.search(rf"^#\s*define SUBQUAD_VERSION_{part} (\d+)", header, re.MULTILINE)[1] for part in ("MAJOR", "MINOR", "PATCH")
    ]
    assert metadata["Version"] == ".".join(numbers)
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text().strip()
