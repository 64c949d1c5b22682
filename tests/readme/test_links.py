"""Every link of every document leads somewhere: files and folders are there, and headings are where # says."""

import re

import pytest
from documents import ROOT, anchors, documents, without_code

LINK = re.compile(r"\]\(([^()\s]+(?:\([^()]*\)[^()\s]*)?)\)")
HELD_BY = re.compile(r"\[[\w.]+\]\((\.\./[^)]+)\)((?:,? *\n?(?:`\w+`|\"[^\"]+\")(?: \([^)]*\))?)+)")


def test_there_are_documents():
    assert {"README.md", "CONTRIBUTING.md", "docs/install.md", "bindings/python/README.md"} <= set(documents())


@pytest.mark.parametrize("page", documents())
def test_links(page):
    folder = (ROOT / page).parent
    for link in LINK.findall(without_code((ROOT / page).read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = folder / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert target.resolve().is_relative_to(ROOT), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{page}: {link}"


@pytest.mark.parametrize("page", documents())
def test_pages_that_code_is_about_are_there(page):
    """Pages and files of docs/ that a page names without a link."""
    for name in re.findall(r"(?<![\w/.])docs/[\w/]+\.\w+", (ROOT / page).read_text()):
        assert (ROOT / name).exists(), f"{page}: {name}"


def test_every_entry_of_the_troubles_is_held_by_tests():
    """Each names tests, which are where it says."""
    text = (ROOT / "docs/troubleshooting.md").read_text()
    entries = text.split("\n## ")[1:]
    assert len(entries) == 12
    for entry in entries:
        assert [part for part in ("*What you see.*", "*Why.*", "*What to do.*", "*Held by*") if part not in entry] == [], entry
        held = entry.split("*Held by*")[1]
        found = HELD_BY.findall(held)
        assert len(found) == held.count("](")
        for path, names in found:
            code = (ROOT / "docs" / path).read_text()
            for function, title in re.findall(r"`(\w+)`|\"([^\"]+)\"", names):
                assert (f" {function}(" if function else f'"{title}"') in re.sub(r"\s+", " ", code), (path, function or title)


def test_commands_of_the_readme_exist():
    text = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    for command in re.findall(r"`(scripts/\w+|bench/\w+)", text):
        assert list(ROOT.glob(command + "*")), command


def test_benches_that_figures_name_exist():
    """A figure is nothing without the command behind it."""
    for page in documents():
        for name in re.findall(r"`bench/run (\w+)", (ROOT / page).read_text()):
            assert list((ROOT / "bench").glob(f"{name}.*")), f"{page}: {name}"
