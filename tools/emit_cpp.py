"""capi/generated/tables.hpp: the tables as constexpr arrays for the implementation of the C API."""

import math

from banner import BANNER
from capi_tables import Option, Tables
from header import Header

STRUCTS = """\
struct Constant {
  const char* name;  // as in the C header
  std::int64_t value;
};

struct Status {
  std::int32_t code;
  const char* name;  // without its prefix: "ERR_SHAPE"
  const char* message;
};

struct Option {
  std::int32_t id;
  const char* name;  // lower case, no prefix
  std::int32_t type;
  bool has_default;
  std::int64_t default_int;                // of BOOL and INT
  double default_float;                    // of FLOAT
  std::int64_t lowest_int, highest_int;    // of BOOL and INT
  double lowest, highest;                  // of every type; those of INT rounded outward
  const char* doc;
};

struct ReportKey {
  std::int32_t id;
  const char* name;  // lower case, no prefix
  std::int32_t type;
  const char* doc;
};

struct Dtype {
  std::int32_t id;
  const char* name;  // lower case, no prefix
  std::int64_t bytes;
};

struct Choice {
  std::int32_t option;  // whose value it is, or a bit of one
  std::int64_t value;
  const char* name;  // lower case, no prefix
};
"""


def emit(header: Header, tables: Tables) -> str:
    version = tables.version
    parts = [
        f"// {BANNER}\n// clang-format off\n#pragma once\n\n#include <cstdint>\n\nnamespace subquad::tables {{\n",
        STRUCTS,
        f"inline constexpr std::int32_t kVersionMajor = {version.major};\n"
        f"inline constexpr std::int32_t kVersionMinor = {version.minor};\n"
        f"inline constexpr std::int32_t kVersionPatch = {version.patch};\n"
        f"inline constexpr std::int64_t kVersionNumber = {version.number};\n"
        f'inline constexpr const char kVersionString[] = "{version.text}";\n',
        "// Every enumerator and numeric macro, in the order of the header.\n"
        + _array("Constant", [f'"{name}", {value}' for name, value in header.constants.items()]),
        _array("Status", [f'{s.value}, "{s.name}",\n   "{s.doc}"' for s in tables.statuses], "es"),
        _array("Option", [_option(option, tables) for option in tables.options]),
        _array(
            "ReportKey",
            [f'{k.value}, "{k.name.lower()}", {tables.type_id(k.type)}, "{k.doc}"' for k in tables.report_keys],
        ),
        _array("Dtype", [f'{d.value}, "{d.name.lower()}", {d.bytes}' for d in tables.dtypes]),
        _array("Choice", _choices(tables)),
        "}  // namespace subquad::tables\n",
    ]
    return "\n".join(parts)


def _array(struct: str, rows: list[str], plural: str = "s") -> str:
    body = "".join(f"  {{{row}}},\n" for row in rows)
    return f"inline constexpr {struct} k{struct}{plural}[] = {{\n{body}}};\n"


def _option(option: Option, tables: Tables) -> str:
    is_float = option.type == "FLOAT"
    default = 0 if option.default is None else option.default
    integers = (0, 0) if is_float else (option.lowest, option.highest)
    return (
        f'{option.value}, "{option.name.lower()}", {tables.type_id(option.type)}, '
        f"{'false' if option.default is None else 'true'}, {0 if is_float else int(default)}, "
        f"{float(default) if is_float else 0.0}, {integers[0]}, {integers[1]}, "
        f"{_outward(option.lowest, -math.inf)}, {_outward(option.highest, math.inf)},\n"
        f'   "{option.doc}"'
    )


def _choices(tables: Tables) -> list[str]:
    # Parts are the bits of an integer option.
    named = [(option, "part" if option.name == "PARTS" else option.choices) for option in tables.options]
    return [
        f'{option.value}, {entry.value}, "{entry.name.lower()}"'
        for option, choices in named
        if choices
        for entry in tables.choices[choices]
    ]


def _outward(bound: int | float, direction: float) -> float:
    """The double nearest to a bound, on the side of `direction` where none equals it."""
    nearest = float(bound)
    inside = nearest > bound if direction < 0 else nearest < bound
    return math.nextafter(nearest, direction) if inside else nearest
