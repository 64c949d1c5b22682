"""The documentation site builds without a warning, lacks nothing that it is the reference of, and stands without a network."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import subquad
from documents import ROOT, documents

SPHINX = [sys.executable, "-P", "-m", "sphinx", "-q", "-c", "docs", "-b", "html", "--fail-on-warning", "--keep-going"]
NEEDED = {"sphinx": "sphinx", "myst_parser": "myst-parser", "furo": "furo"}
#: Where a browser fetches something from when it shows a page, as opposed to links that a reader follows.
FETCHED = {"img": "src", "link": "href", "script": "src", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """The places of a page, where it leads, and what it fetches."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if named.get("id"):
            self.ids.add(named["id"])
        if tag == "a" and named.get("href"):
            self.links.append(named["href"])
        if named.get(FETCHED.get(tag)) and named.get("rel") != "canonical":
            self.fetched.append(named[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [*SPHINX, "-d", str(folder / "cache"), ".", str(folder / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path.read_text()) for path in site.rglob("*.html")}


def test_every_document_is_a_page(pages):
    expected = {page.replace(".md", ".html") for page in documents() if page != "docs/README.md"}  # which the start page shows
    assert expected - set(pages) == set()


def test_every_link_leads_somewhere(pages, site):
    bad = []
    for name, page in pages.items():
        for link in [*page.links, *page.fetched]:
            address = urlsplit(link)
            if address.scheme in ("http", "https", "data"):
                continue
            target = (site / name).parent.joinpath(unquote(address.path)).resolve() if address.path else site / name
            shown = target.relative_to(site).as_posix()
            if not target.is_file() or (address.fragment and address.fragment not in pages[shown].ids):
                bad.append(f"{name}: {link}")
    assert bad == []


def test_nothing_is_fetched_from_elsewhere(pages, site):
    assert [url for page in pages.values() for url in page.fetched if urlsplit(url).scheme not in ("", "data")] == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?https?:", sheet.read_text()) == [], sheet


def test_the_c_reference_is_complete(pages):
    """Every function, type and constant of the library, by the list of its symbols and by the library itself."""
    ids = pages["docs/c_reference.html"].ids
    header = (ROOT / "capi/subquad.h").read_text()
    names = (ROOT / "capi/generated/symbols.txt").read_text().split()
    names += re.findall(r"\bSUBQUAD_[A-Z0-9_]+\b(?= = | \d)", header)
    names += re.findall(r"^(?:typedef struct \w+ |\} )(\w+);", header, re.MULTILINE)
    assert len(names) > 150
    assert [name for name in names if f"c.{name}" not in ids] == []


def test_the_python_reference_is_complete(pages):
    ids = pages["docs/python_reference.html"].ids
    assert [name for name in subquad.__all__ if f"subquad.{name}" not in ids and name != "__version__"] == []
    for part in ("dask", "plot", "sklearn", "torch"):
        source = ROOT / f"bindings/python/subquad/{part}"
        text = (source / "__init__.py" if source.is_dir() else source.with_suffix(".py")).read_text()
        (listed,) = re.findall(r"^__all__ = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        assert [name for name in re.findall(r'"(\w+)"', listed) if f"subquad.{part}.{name}" not in ids] == []


def test_keys_of_sources_are_links(pages):
    entries = {link.partition("#")[2] for page in pages.values() for link in page.links if "references.html#key-" in link}
    assert len(entries) > 10
    assert entries <= pages["docs/math/references.html"].ids
