"""Say in a repaired wheel's metadata under which licence it may be passed on, and put the licences of what it carries inside.

usage: wheel_licence.py WHEEL FOLDER PACKAGE..

WHEEL    as auditwheel left it: its list of materials names the Debian packages whose libraries it carries
FOLDER   where the changed wheel goes
PACKAGE  Debian packages whose headers are compiled in

Texts are taken from the machine's Debian packages, none is written here but the page that says what is what.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

DOCUMENTATION = Path("/usr/share/doc")
COMMON = Path("/usr/share/common-licenses")
LICENCE = "GPL-3.0-or-later"
#: Those that the page names; the packages' own files do not refer to all of them.
NAMED = {"GPL-3", "LGPL-2", "LGPL-2.1"}
PAGE = """\
subquad's own code is under the Apache License 2.0: see LICENSE. This wheel also carries libraries of others, in the folder
{libraries}. FFTW among them is under the GNU General Public License, version 2 or later, so the wheel as a whole is distributed
under version 3 of it or, at your option, any later version ({licence}: see GPL-3.txt), with which the Apache License is
compatible. All come without any warranty.

What is carried or compiled in, its version, and the file beside this one that has its licence and copyright holders:

{table}

libgfortran is under the GPL, version 3 or later, with the GCC Runtime Library Exception, and libquadmath under the
LGPL, version 2 or 2.1, by file, or later (see LGPL-2.txt, LGPL-2.1.txt).
Source: of subquad the sdist of the same version, with scripts/wheel, which made this file; of the libraries the Debian source
packages of these names and versions. Who passes this wheel on owes those sources to the receivers.
"""


class Package(NamedTuple):
    name: str
    version: str
    source: str


def find_package(name: str) -> Package:
    form = "${binary:Package}|${Version}|${source:Package} ${source:Version}\n"
    shown = subprocess.run(["dpkg-query", "-W", "-f", form, name], check=True, capture_output=True, text=True).stdout
    return Package(name, *shown.splitlines()[0].split("|")[1:])


def carried(dist_info: Path) -> list[str]:
    """The packages of the libraries that auditwheel put in; a library that no package owns is an error."""
    (materials,) = (dist_info / "sboms").glob("auditwheel*.json")
    owned = [part for part in json.loads(materials.read_text())["components"] if part["purl"].startswith("pkg:deb/")]
    libraries = sorted(path.name for path in dist_info.parent.glob("*.libs/*"))
    if len(owned) != len(libraries):
        raise SystemExit(f"the packages {[part['name'] for part in owned]} are not one for each of {libraries}")
    return [part["name"] for part in owned]


def licence_texts(packages: list[Package]) -> dict[str, str]:
    """By file name: each source package's own file, and the common licences that these refer to."""
    texts = {f"{package.source.split()[0]}.txt": (DOCUMENTATION / package.name / "copyright").read_text() for package in packages}
    pattern = rf"{re.escape(str(COMMON))}/([A-Za-z]+(?:-[\d.]*\d)?)"
    referred = {name for text in texts.values() for name in re.findall(pattern, text)}
    common = {(COMMON / name).resolve() for name in NAMED | referred}  # a name without a version is a link
    return texts | {f"{path.name}.txt": path.read_text() for path in sorted(common)}


def change(root: Path, packages: list[Package]) -> None:
    """The unpacked wheel's metadata and licences."""
    (dist_info,) = root.glob("*.dist-info")
    texts = licence_texts(packages)
    rows = [f"    {package.name} {package.version}: {package.source.split()[0]}.txt" for package in packages]
    libraries = ", ".join(sorted(path.name for path in root.glob("*.libs")))
    texts["CARRIED.txt"] = PAGE.format(libraries=libraries, licence=LICENCE, table="\n".join(rows))
    for name, text in texts.items():
        (dist_info / "licenses" / name).write_text(text)
    head, blank, description = (dist_info / "METADATA").read_text().partition("\n\n")
    lines = head.splitlines()
    where = [number for number, line in enumerate(lines) if line.startswith("License-Expression:")]
    if len(where) != 1:
        raise SystemExit(f"the metadata has {len(where)} lines License-Expression")
    lines[where[0]] = f"License-Expression: {LICENCE}"
    lines[where[0] + 1 : where[0] + 1] = [f"License-File: {name}" for name in texts]
    (dist_info / "METADATA").write_text("\n".join(lines) + blank + description)


def main(wheel: Path, folder: Path, *headers: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run([sys.executable, "-m", "wheel", "unpack", str(wheel), "-d", temporary], check=True)
        (root,) = Path(temporary).iterdir()
        (dist_info,) = root.glob("*.dist-info")
        names = dict.fromkeys([*carried(dist_info), *headers])
        change(root, [find_package(name) for name in names])
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "wheel", "pack", str(root), "-d", str(folder)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
