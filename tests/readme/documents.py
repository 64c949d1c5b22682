"""What the tests of the documents share: which files there are, and what GitHub and the site make of them."""

import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {"build", "demo", "dist", "node_modules", "target"}


def is_document(path):
    folders = path.relative_to(ROOT).parts[:-1]
    return not any(folder in SKIPPED or folder.startswith(".") for folder in folders)


def documents():
    """Every Markdown file of the repository, by its path from the root."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.md") if is_document(path))


def without_code(text):
    """Markdown without its blocks and spans of code, in which a bracket is no link."""
    text = re.sub(r"^(`{3,}).*?^\1`*$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "code", re.sub(r"(?:^(?: {4}|\t).*\n)+", "", text, flags=re.MULTILINE))


def anchors(text):
    """What # may be followed by in a link to a page: its headings as GitHub writes them in addresses."""
    text = re.sub(r"^(`{3,}).*?^\1`*$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = set()
    for heading in re.findall(r"^#{1,6} +(.*?) *$", text, re.MULTILINE):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        kept = "".join(c for c in bare if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add(kept.replace(" ", "-"))
    return found
