"""bindings/python/subquad/_constants.py: the enums of the header, and what the load-time check compares."""

import textwrap

from banner import BANNER
from capi_tables import Entry, Tables
from header import Header

WIDTH = 88  # the default of ruff, which leaves the file as it is


def emit(header: Header, tables: Tables) -> str:
    version = tables.version
    constants = "".join(f'    "{name}": {value},\n' for name, value in header.constants.items())
    classes = [
        _enum("Status", "What a call returned.", tables.statuses),
        _enum("Dtype", "Element type of an array.", tables.dtypes),
        _enum("Layout", "Layout of a sparse matrix.", tables.layouts),
        _enum("Method", "How attention is computed.", tables.choices["method"]),
        _enum("Estimate", "What the error estimate of method auto rests on.", tables.choices["estimate"]),
        _enum("Part", "What method auto may put a head together from.", tables.choices["part"]),
        _enum("Sparsifier", "How a sparsifier is found.", tables.choices["sparsifier"]),
        _enum("Score", "How leverage scores are computed.", tables.choices["score"]),
        _enum("Certificate", "How the error of a sparsifier is measured.", tables.choices["certificate"]),
        _enum("Option", "Settings of a call.", tables.options),
        _enum("ReportKey", "Entries of a report.", tables.report_keys),
        _enum("ValueType", "Type of an option or of a report's value.", tables.types),
    ]
    return f'''\
# {BANNER}
"""Constants of the C header."""

from enum import IntEnum

VERSION_MAJOR = {version.major}
VERSION_MINOR = {version.minor}
VERSION_PATCH = {version.patch}
VERSION = "{version.text}"

MAX_NDIM = {header.constants["SUBQUAD_MAX_NDIM"]}
MAX_THREADS = {header.constants["SUBQUAD_MAX_THREADS"]}


{"".join(classes)}#: Every constant of the header, for the check against the library that was loaded.
CONSTANTS = {{
{constants}}}
'''


def _enum(name: str, doc: str, entries: list[Entry]) -> str:
    lines = [f"class {name}(IntEnum):", f'    """{doc}"""', ""]
    for entry in entries:
        lines += textwrap.wrap(entry.doc, WIDTH, initial_indent="    # ", subsequent_indent="    # ")
        lines.append(f"    {entry.name} = {entry.value}")
    return "\n".join(lines) + "\n\n\n"
