// What the attention functions have in common: the checks of their arguments and the problem made of them.
#pragma once

#include "capi/arrays.hpp"
#include "capi/context.hpp"
#include "capi/options.hpp"
#include "core/attention/problem.hpp"

namespace subquad::capi {

// Throws when an option is set that the method does not take.
void check_method_options(const subquad_options& options);

struct AttentionArguments {
  Argument q, k, v, lag_bias, key_ranges;
  const subquad_options& options;

  // Shapes, dtypes and options; not yet the values.
  void check() const;

  // The shape that o (of the given last extent) and lse must have.
  std::vector<int64_t> output_shape(int64_t columns) const;
  std::vector<int64_t> lse_shape() const;

  // Everything that outputs must not overlap.
  std::vector<Argument> inputs() const { return {q, k, v, lag_bias, key_ranges}; }

  // The problem, its values checked too (NaN, ranges, the bias table's length).
  template <class T>
  attention::Problem<T> problem(Execution& run) const;

  int64_t method() const { return options.get_int(SUBQUAD_OPTION_METHOD); }
  bool checks_values() const { return options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0; }

 private:
  void check_options() const;
  void check_lag_bias() const;
  void check_key_ranges() const;
};

}  // namespace subquad::capi
