"""Load capi/tables/*.toml, and refuse what the generated code could not say."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)


class TableError(Exception):
    """A table contradicts itself or the rules written at its top."""


@dataclass(frozen=True)
class Entry:
    """One enumerator: the name of its row, the value, and the text that explains it."""

    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Dtype(Entry):
    bytes: int


@dataclass(frozen=True)
class ReportKey(Entry):
    type: str


@dataclass(frozen=True)
class Option(Entry):
    """`type` is a name of types.toml; `choices` is the singular name of the enum table, if the values come from one."""

    type: str
    choices: str | None
    default: int | float | None
    lowest: int | float
    highest: int | float


@dataclass(frozen=True)
class Version:
    major: int
    minor: int
    patch: int
    soversion: int

    @property
    def text(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def number(self) -> int:
        return self.major * 1_000_000 + self.minor * 1_000 + self.patch


@dataclass(frozen=True)
class Tables:
    statuses: list[Entry]
    types: list[Entry]
    dtypes: list[Dtype]
    choices: dict[str, list[Entry]]  # by the name that options have for their type
    layouts: list[Entry]
    options: list[Option]
    report_keys: list[ReportKey]
    version: Version

    def prefixed(self) -> dict[str, Entry]:
        """Every entry by the full name that it has in the C header."""
        groups = {
            "SUBQUAD_": [*self.statuses, *self.dtypes, *self.layouts],
            "SUBQUAD_TYPE_": self.types,
            **{f"SUBQUAD_{name.upper()}_": entries for name, entries in self.choices.items()},
            "SUBQUAD_OPTION_": self.options,
            "SUBQUAD_REPORT_": self.report_keys,
        }
        return {prefix + entry.name: entry for prefix, entries in groups.items() for entry in entries}

    def type_id(self, name: str) -> int:
        return next(entry.value for entry in self.types if entry.name == name)


def load(folder: Path) -> Tables:
    def rows(table: str, key: str) -> list[dict]:
        return tomllib.loads((folder / f"{table}.toml").read_text())[key]

    types = [Entry(r["name"], r["id"], r["doc"]) for r in rows("types", "type")]
    choices = {
        name: [Entry(r["name"], r["id"], r["doc"]) for r in rows(name + "s", name)]
        for name in ("method", "estimate", "part", "sparsifier", "score", "certificate")
    }
    version = Version(**tomllib.loads((folder / "version.toml").read_text()))
    tables = Tables(
        statuses=[Entry(r["name"], r["code"], r["message"]) for r in rows("status", "status")],
        types=types,
        dtypes=[Dtype(r["name"], r["id"], r["doc"], r["bytes"]) for r in rows("dtypes", "dtype")],
        choices=choices,
        layouts=[Entry(r["name"], r["id"], r["doc"]) for r in rows("layouts", "layout")],
        options=[_option(r, choices) for r in rows("options", "option")],
        report_keys=[_report_key(r) for r in rows("report", "key")],
        version=version,
    )
    _validate(tables)
    return tables


def _report_key(row: dict) -> ReportKey:
    if row["type"] not in ("int", "float", "string"):
        raise TableError(f"report key {row['name']}: type {row['type']!r} is not int, float or string")
    return ReportKey(row["name"], row["id"], row["doc"], row["type"].upper())


def _option(row: dict, choices: dict[str, list[Entry]]) -> Option:
    name, kind, default = row["name"], row["type"], row.get("default")
    known = {"name", "id", "type", "doc", "default"} | ({"lowest", "highest"} if kind in ("int", "float") else set())
    if unknown := set(row) - known:
        raise TableError(f"option {name}: {kind} takes no {', '.join(sorted(unknown))}")
    chosen_from = None
    if kind in choices:
        ids = {entry.name: entry.value for entry in choices[kind]}
        chosen_from, kind = kind, "int"
        lowest, highest = min(ids.values()), max(ids.values())
        if default is not None:
            default = ids[default]
    elif kind == "bool":
        lowest, highest = 0, 1
    elif kind in ("int", "float"):
        lowest, highest = row["lowest"], row["highest"]
    else:
        raise TableError(f"option {name}: unknown type {kind!r}")
    numeric = {"bool": bool, "int": int, "float": float}[kind]
    if default is not None and not chosen_from and type(default) is not numeric:
        raise TableError(f"option {name}: default {default!r} is not of type {kind}")
    if kind == "float" and not all(math.isfinite(x) for x in (lowest, highest)):
        raise TableError(f"option {name}: bounds must be finite")
    if not lowest <= (lowest if default is None else default) <= highest:
        raise TableError(f"option {name}: default {default!r} is outside {lowest} .. {highest}")
    return Option(name, row["id"], row["doc"], kind.upper(), chosen_from, default, lowest, highest)


def _validate(tables: Tables) -> None:
    names = list(tables.prefixed())
    groups = [
        *(tables.statuses, tables.types, tables.dtypes, tables.layouts),
        *(*tables.choices.values(), tables.options, tables.report_keys),
    ]
    if len(names) != sum(map(len, groups)):
        raise TableError("two rows share a name")
    for group in groups:
        values = [entry.value for entry in group]
        if len(set(values)) != len(values):
            raise TableError(f"two rows among {[entry.name for entry in group]} share a number")
        if values != sorted(values):
            raise TableError(f"the rows {[entry.name for entry in group]} are not in the order of their numbers")
        for entry in group:
            if not INT32[0] <= entry.value <= INT32[1]:
                raise TableError(f"{entry.name}: {entry.value} is no C int")
            if any(mark in entry.doc for mark in ('"', "\\", "\n", "/*", "*/", "$")) or not entry.doc.isascii():
                raise TableError(f"{entry.name}: the text must be one line of ASCII without quotes, $, backslash, /* or */")
    for option in tables.options:
        if option.type != "FLOAT" and not INT64[0] < option.lowest <= option.highest <= INT64[1]:
            raise TableError(f"option {option.name}: bounds must fit in int64, beyond its least value")
