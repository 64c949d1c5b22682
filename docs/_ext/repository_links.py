"""Links to what is no page: source files are shown as pages of their own, folders as lists of what they hold.

The Markdown of the repository links to files and folders by relative paths. A link to a page works on the site by itself. For every
other file or folder that is linked to, this extension makes a page `files/PATH`; `repository_pages` in conf.py names the exceptions. Where
the text of a link is a path, as it should be in the repository, the site shows the page's title.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.highlighting import PygmentsBridge
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

LANGUAGES = {".c": "c", ".h": "c", ".cpp": "cpp", ".hpp": "cpp", ".jl": "julia", ".json": "json", ".py": "python", ".rs": "rust"}
PATH = re.compile(r"[\w./-]+\.md")
HIDDEN = {"__pycache__", "target", "Cargo.lock", "Manifest.toml"}


class RepositoryLinks(SphinxTransform):
    """Point links to files and folders of the repository to their pages."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        for link in [*self.document.findall(addnodes.download_reference), *self.document.findall(addnodes.pending_xref)]:
            if link.get("refdomain") == "doc" and PATH.fullmatch(link.astext()):
                link["refexplicit"] = False  # a page is called by its title, not by its path
            if link.get("reftype") != "myst" or link.get("refdomain") is not None:
                continue
            path = self._path(link["reftarget"].split("#")[0])
            if path is None:
                continue  # Sphinx says that there is nothing
            uri = self.app.builder.get_relative_uri(self.env.docname, page_of(self.env, path))
            new = nodes.reference("", "", *link.children, internal=True, refuri=uri)
            for literal in new.findall(nodes.literal):
                literal["classes"] = []
            link.replace_self(new)

    def _path(self, target: str) -> Path | None:
        """The file or folder inside the repository that a link leads to."""
        path = (Path(self.env.doc2path(self.env.docname)).parent / target).resolve()
        return path if target and path.exists() and path.is_relative_to(self.env.srcdir) else None


def page_of(env: BuildEnvironment, path: Path) -> str:
    """Name of the page that shows a file or folder; one that is made for it is noted."""
    relative = path.relative_to(env.srcdir).as_posix()
    if relative in env.config.repository_pages:
        return str(env.config.repository_pages[relative])
    page = env.path2doc(path / "README.md" if path.is_dir() else path)
    if page in env.found_docs:
        return str(page)
    shown(env).add(relative)
    return f"files/{relative}"


def shown(env: BuildEnvironment) -> set[str]:
    """Paths that have pages of their own."""
    files: set[str] = vars(env).setdefault("repository_files", set())
    return files


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The pages of files and folders. A folder's page may lead to files that nothing else leads to."""
    done: set[str] = set()
    while waiting := sorted(shown(app.env) - done):
        for relative in waiting:
            done.add(relative)
            path = app.srcdir / relative
            body = folder_body(app, path) if path.is_dir() else file_body(path)
            title = html.escape(relative)
            yield f"files/{relative}", {"title": title, "parents": [], "body": f"<h1>{title}</h1>\n{body}"}, "page.html"


def file_body(path: Path) -> str:
    if path.suffix == ".svg":
        return path.read_text()
    return PygmentsBridge("html").highlight_block(path.read_text(), LANGUAGES.get(path.suffix, "none"))


def folder_body(app: Sphinx, folder: Path) -> str:
    here = f"files/{folder.relative_to(app.srcdir).as_posix()}"
    entries = []
    for path in sorted(folder.iterdir()):
        if path.name in HIDDEN or path.name.startswith("."):
            continue
        uri = app.builder.get_relative_uri(here, page_of(app.env, path))
        title = app.env.titles.get(app.env.path2doc(path) or "")
        note = f": {html.escape(title.astext())}" if title is not None else ""
        name = html.escape(path.name + "/" * path.is_dir())
        entries.append(f'<li><a class="reference internal" href="{html.escape(uri)}">{name}</a>{note}</li>')
    return "<ul>\n" + "\n".join(entries) + "\n</ul>"


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_config_value("repository_pages", {}, "env", dict)
    app.add_transform(RepositoryLinks)
    app.connect("html-collect-pages", pages)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
