"""Keys of sources, such as [Flash] or [Tropp, theorem 3.6], lead to their entries in docs/math/references.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

PAGE = "docs/math/references"
NOT_PROSE = (nodes.literal, nodes.literal_block, nodes.doctest_block, nodes.reference, nodes.title)


class ReferenceKeys(SphinxTransform):
    """Make links of keys, and places to lead to of the entries."""

    default_priority = 600

    def apply(self, **_: Any) -> None:
        keys = set(re.findall(r"^\| \[(\w+)\] \|", Path(self.env.doc2path(PAGE)).read_text(), re.MULTILINE))
        if self.env.docname == PAGE:
            for entry in self.document.findall(nodes.entry):
                if (name := entry.astext()[1:-1]) in keys and entry.astext() == f"[{name}]":
                    entry["ids"].append(place(name))
            return
        for text in list(self.document.findall(nodes.Text)):
            if "[" in text and not any(isinstance(above, NOT_PROSE) for above in ancestors(text)):
                text.parent.replace(text, list(self._linked(text, keys)))

    def _linked(self, text: str, keys: set[str]) -> Iterator[nodes.Node]:
        """The text, with links in place of keys: words inside of brackets, in the first place or behind a comma."""
        page = self.app.builder.get_relative_uri(self.env.docname, PAGE)
        for bracket in re.split(r"(\[[A-Z]\w+(?:, [^\[\]]+)*\])", text):
            for part in re.split(r"(\w+)", bracket) if bracket.startswith("[") else [bracket]:
                if bracket.startswith("[") and part in keys:
                    yield nodes.reference("", part, internal=True, refuri=f"{page}#{place(part)}")
                else:
                    yield nodes.Text(part)


def ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    while (node := node.parent) is not None:
        yield node


def place(key: str) -> str:
    return f"key-{key.lower()}"


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_transform(ReferenceKeys)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
