// The subquad_options handle.
#pragma once

#include <array>
#include <iterator>
#include <string>
#include <variant>

#include "capi/generated/tables.hpp"
#include "capi/subquad.h"

struct subquad_options {
  using Value = std::variant<std::monostate, int64_t, double>;  // monostate: unset
  std::array<Value, std::size(subquad::tables::kOptions)> values;

  subquad_options();

  bool is_set(int32_t option) const;
  // The value of an option that has one; its type and id are the caller's promise.
  int64_t get_int(int32_t option) const;
  double get_float(int32_t option) const;
  // As messages show it: a number, or the name of what it stands for (of a sum of bits: the names).
  std::string value_text(int32_t option) const;
};

namespace subquad::capi {

// The caller's options, or all defaults for NULL.
const subquad_options& options_or_default(const subquad_options* options);

}  // namespace subquad::capi
