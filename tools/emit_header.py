"""The marked regions of capi/subquad.h."""

import re
import textwrap

from capi_tables import Entry, Option, Tables

WIDTH = 130
REGION = re.compile(r"(/\* generated from capi/tables/(\w+)\.toml: begin \*/\n).*?(/\* generated: end \*/)", re.DOTALL)


def emit(header: str, tables: Tables) -> str:
    """The header with every marked region written anew."""
    regions = {
        "status": _enum("SUBQUAD_", tables.statuses),
        "version": _version(tables),
        "dtypes": _enum("SUBQUAD_", tables.dtypes),
        "layouts": _enum("SUBQUAD_", tables.layouts),
        **{f"{name}s": _enum(f"SUBQUAD_{name.upper()}_", entries) for name, entries in tables.choices.items()},
        "options": _options(tables),
        "types": _enum("SUBQUAD_TYPE_", tables.types),
        "report": _enum("SUBQUAD_REPORT_", tables.report_keys, lambda key: f"{key.type.lower()}: {key.doc}"),
    }
    found = [match[2] for match in REGION.finditer(header)]
    if sorted(found) != sorted(regions):
        raise ValueError(f"capi/subquad.h has the regions {sorted(found)}, but needs each of {sorted(regions)} once")
    return REGION.sub(lambda match: match[1] + regions[match[2]] + match[3], header)


def _version(tables: Tables) -> str:
    version = tables.version
    macros = {
        "MAJOR": version.major,
        "MINOR": version.minor,
        "PATCH": version.patch,
        "NUMBER": version.number,
        "STRING": f'"{version.text}"',
    }
    return "".join(f"#define SUBQUAD_VERSION_{name} {value}\n" for name, value in macros.items())


def _enum(prefix: str, entries: list[Entry], comment=lambda entry: entry.doc) -> str:
    """An enum with aligned comments beside the enumerators, or above them where one would be too wide."""
    codes = [f"  {prefix}{entry.name} = {entry.value}," for entry in entries]
    comments = [f"/* {comment(entry)} */" for entry in entries]
    column = max(map(len, codes)) + 1
    lines = [f"{code:<{column}}{text}" for code, text in zip(codes, comments, strict=True)]
    if max(map(len, lines)) > WIDTH:
        lines = [f"  {text}\n{code}" for code, text in zip(codes, comments, strict=True)]
    return "\n".join(["enum {", *lines, "};", ""])


def _options(tables: Tables) -> str:
    """An enum with a comment of several lines above each option: the text, then type, default and bounds."""
    lines = ["enum {"]
    for option in tables.options:
        comment = textwrap.wrap(option.doc, WIDTH - len("   * ") - len(" */"))
        comment.append(_facts(option, tables))
        lines.append("  /* " + "\n   * ".join(comment) + " */")
        lines.append(f"  SUBQUAD_OPTION_{option.name} = {option.value},")
    return "\n".join([*lines, "};", ""])


def _facts(option: Option, tables: Tables) -> str:
    default = "unset" if option.default is None else f"default {option.default}"
    if option.choices is not None:
        names = {entry.value: entry.name for entry in tables.choices[option.choices]}
        if option.default is None:
            return f"{option.choices}, unset"
        return f"{option.choices}, default SUBQUAD_{option.choices.upper()}_{names[option.default]}"
    if option.type == "BOOL":
        return f"bool, default {int(option.default)}"
    return f"{option.type.lower()}, {default}, {option.lowest} .. {option.highest}"
