// The subquad_plan handle.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "capi/report.hpp"
#include "core/attention/adaptive.hpp"

namespace subquad::capi {

// Queries, keys and what goes with them, copied, and the plan made of them.
template <class T>
struct PlannedProblem {
  using value_type = T;
  std::vector<T> q, k, lag_bias;
  std::vector<int64_t> key_ranges;
  attention::Problem<T> problem;  // of the copies; v is the caller's
  attention::AdaptivePlan plan;
};

}  // namespace subquad::capi

struct subquad_plan {
  std::variant<subquad::capi::PlannedProblem<float>, subquad::capi::PlannedProblem<double>> value;
  int32_t ndim = 2;  // of q
  uint64_t seed = 0;
  subquad_report report;

  template <class Function>
  void visit(const Function& function) const {
    std::visit(function, value);
  }
  int32_t dtype() const { return value.index() == 0 ? SUBQUAD_FLOAT32 : SUBQUAD_FLOAT64; }
};
