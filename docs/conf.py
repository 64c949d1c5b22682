"""How Sphinx builds the site: scripts/docs runs it.

The source folder is the whole checkout, not docs/ alone. So pages lie where they lie in the repository, and a relative link from one to
another, or to a source file, means the same on the site as it does there.
"""

import sys
import tomllib
from pathlib import Path

from sphinx.ext.autodoc.mock import _MockObject

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "_ext"))

version = tomllib.loads((ROOT / "capi/tables/version.toml").read_text())
version = release = "{major}.{minor}.{patch}".format(**version)
smartquotes = False
project = "subquad"
html_title = f"subquad {release}"
html_short_title = "subquad"

extensions = ["myst_parser", "sphinx.ext.autodoc", "c_reference", "docstrings", "reference_keys", "repository_links"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "bench/README.md",
    "bindings/*/README.md",
    "docs/**.md",
    "examples/**/README.md",
    "tests/conformance/README.md",
]
# The start page shows docs/README.md; the other folders hold no page, and much else.
exclude_patterns = [
    "docs/README.md",
    ".*",
    "build",
    "core",
    "capi",
    "demo",
    "dist",
    "**/node_modules",
    "**/target",
]
# Where a link to this file or folder leads on the site; other files are shown as they are.
repository_pages = {"capi/subquad.h": "docs/c_reference", "docs": "docs/index"}

html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "to_start.html"}
templates_path = ["_templates"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_domain_indices = False

# Indented blocks are equations, which no lexer knows.
highlight_language = "none"
myst_heading_anchors = 4

# What a call takes and returns stands in its docstring.
autodoc_typehints = "none"
autodoc_class_signature = "separated"  # for most classes are not made by their names
# These are not among what scripts/docs installs. Their stand-ins lack the | of types.
autodoc_mock_imports = ["torch", "transformers"]
_MockObject.__or__ = _MockObject.__ror__ = lambda self, _: self
autodoc_member_order = "bysource"
python_display_short_literal_types = True
maximum_signature_line_length = 80
python_maximum_signature_line_length = 1000  # wrapped, for a parameter on each line fills the screen
toc_object_entries_show_parents = "hide"

nitpicky = True
nitpick_ignore = [("c:identifier", name) for name in ("int32_t", "int64_t", "uint64_t")]
