"""Tables for tests/capi: the header's constants and functions by name, for the C compiler that reads the header to evaluate."""

from banner import BANNER
from capi_tables import Tables
from header import Header


def emit_constants(header: Header, tables: Tables) -> str:
    constants = "".join(f'  {{"{name}", {name}}},\n' for name in header.constants)
    statuses = "".join(f'  {{SUBQUAD_{s.name}, "{s.name}", "{s.doc}"}},\n' for s in tables.statuses)
    return f"""\
/* {BANNER} */
/* clang-format off */
#ifndef SUBQUAD_TESTS_GENERATED_CONSTANTS_H
#define SUBQUAD_TESTS_GENERATED_CONSTANTS_H

#include "subquad.h"

typedef struct named_constant {{
  const char* name;
  int64_t value;
}} named_constant;

/* Every enumerator and numeric macro, in the order of the header. */
static const named_constant generated_constants[] = {{
{constants}}};

typedef struct described_status {{
  subquad_status code;
  const char* name;
  const char* message;
}} described_status;

/* Every status code of capi/tables/status.toml. */
static const described_status generated_statuses[] = {{
{statuses}}};

#endif
"""


def emit_functions(header: Header) -> str:
    functions = "".join(f"  (any_function){function.name},\n" for function in header.functions)
    return f"""\
/* {BANNER} */
/* clang-format off */
#ifndef SUBQUAD_TESTS_GENERATED_FUNCTIONS_H
#define SUBQUAD_TESTS_GENERATED_FUNCTIONS_H

#include "subquad.h"

typedef void (*any_function)(void);

/* Every function of the header: a program with this table links only where all of them are exported. */
static const any_function generated_functions[] = {{
{functions}}};

#endif
"""
