"""core/base/status.hpp: the status codes as an enum class, for the core, which does not include the C header."""

from banner import BANNER
from capi_tables import Tables


def emit(tables: Tables) -> str:
    rows = "".join(f"  {status.name.lower()} = {status.value},  // {status.doc}\n" for status in tables.statuses)
    return f"""\
// {BANNER}
// clang-format off
#pragma once

#include <cstdint>

namespace subquad {{

// The codes of subquad_status.
enum class Status : std::int32_t {{
{rows}}};

}}  // namespace subquad
"""
