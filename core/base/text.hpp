// Numbers in messages: every digit, so that the value named is the value given.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace subquad {

inline std::string text(int64_t value) { return std::to_string(value); }

inline std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.17g", value);
  return buffer;
}

}  // namespace subquad
