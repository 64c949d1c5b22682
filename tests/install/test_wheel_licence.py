"""What scripts/lib/wheel_licence.py does to a repaired wheel, here one of a few bytes, with packages and licences made up."""

import email
import json
import subprocess
import sys
import zipfile

import pytest
import wheel_licence

METADATA = """\
Metadata-Version: 2.4
Name: subquad
Version: 1.0
License-Expression: Apache-2.0
License-File: LICENSE

# subquad

License-Expression: not this line
"""
MATERIALS = {
    "components": [
        {"name": "subquad", "purl": "pkg:pypi/subquad@1.0"},
        {"name": "libfftw3-double3", "purl": "pkg:deb/debian/libfftw3-double3@3.3"},
        {"name": "libfftw3-single3", "purl": "pkg:deb/debian/libfftw3-single3@3.3"},
    ]
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Its packages: one source of two libraries, and one of headers."""
    documentation, common = tmp_path / "doc", tmp_path / "common-licenses"
    common.mkdir()
    for name in ("GPL-2", "GPL-3", "LGPL-2", "LGPL-2.1", "MPL-2.0"):
        (common / name).write_text(f"text of {name}\n")
    (common / "LGPL").symlink_to("LGPL-2")
    sources = {"libfftw3-double3": "fftw3", "libfftw3-single3": "fftw3", "headers-dev": "headers"}
    for package, source in sources.items():
        (documentation / package).mkdir(parents=True)
        (documentation / package / "copyright").write_text(f'Copyright of {source}. See "{common}/GPL-2", and {common}/LGPL.\n')
    monkeypatch.setattr(wheel_licence, "DOCUMENTATION", documentation)
    monkeypatch.setattr(wheel_licence, "COMMON", common)
    monkeypatch.setattr(
        wheel_licence, "find_package", lambda name: wheel_licence.Package(name, "3.3-1", f"{sources[name]} 3.3-1")
    )


@pytest.fixture
def repaired(tmp_path):
    """As auditwheel leaves it: RECORD is written by `wheel pack`."""
    root = tmp_path / "unpacked/subquad-1.0"
    info = root / "subquad-1.0.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "sboms").mkdir()
    (root / "subquad.libs").mkdir()
    (root / "subquad.libs/libfftw3-0123abcd.so.3").write_bytes(b"double")
    (root / "subquad.libs/libfftw3f-0123abcd.so.3").write_bytes(b"single")
    (info / "METADATA").write_text(METADATA)
    (info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: cp311-abi3-manylinux_2_36_x86_64\n"
    )
    (info / "licenses/LICENSE").write_text("ours\n")
    (info / "sboms/auditwheel.cdx.json").write_text(json.dumps(MATERIALS))
    subprocess.run([sys.executable, "-m", "wheel", "pack", root, "-d", tmp_path], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    return wheel


def test_the_wheel_is_under_the_gpl(machine, repaired, tmp_path):
    wheel_licence.main(repaired, tmp_path / "out", "headers-dev")
    (changed,) = (tmp_path / "out").iterdir()
    assert changed.name == repaired.name
    with zipfile.ZipFile(changed) as archive:
        texts = {name.rpartition("/")[2]: archive.read(name).decode() for name in archive.namelist() if "/licenses/" in name}
        metadata = email.message_from_bytes(archive.read("subquad-1.0.dist-info/METADATA"))
        record = archive.read("subquad-1.0.dist-info/RECORD").decode()
        assert all(name in record for name in archive.namelist())
    assert metadata.get_all("License-Expression") == ["GPL-3.0-or-later"]
    assert metadata.get_payload() == METADATA.partition("\n\n")[2]
    assert set(metadata.get_all("License-File")) == set(texts)
    common = {"GPL-2.txt", "GPL-3.txt", "LGPL-2.txt", "LGPL-2.1.txt"}
    assert set(texts) == {"LICENSE", "CARRIED.txt", "fftw3.txt", "headers.txt"} | common
    assert (texts["LICENSE"], texts["GPL-3.txt"]) == ("ours\n", "text of GPL-3\n")
    assert texts["fftw3.txt"].startswith("Copyright of fftw3.")
    for line in ("libfftw3-double3 3.3-1: fftw3.txt", "libfftw3-single3 3.3-1: fftw3.txt", "headers-dev 3.3-1: headers.txt"):
        assert line in texts["CARRIED.txt"]


def test_a_library_of_no_package_is_refused(machine, repaired, tmp_path):
    with zipfile.ZipFile(repaired, "a") as archive:
        archive.writestr("subquad.libs/libmystery-0123abcd.so", b"?")
    # `wheel unpack` would notice a file that RECORD does not list.
    subprocess.run([sys.executable, "-m", "zipfile", "-e", repaired, tmp_path / "more/subquad-1.0"], check=True)
    subprocess.run([sys.executable, "-m", "wheel", "pack", tmp_path / "more/subquad-1.0", "-d", tmp_path / "more"], check=True)
    (more,) = (tmp_path / "more").glob("*.whl")
    with pytest.raises(SystemExit, match="libmystery"):
        wheel_licence.main(more, tmp_path / "out")
    assert not (tmp_path / "out").exists()
