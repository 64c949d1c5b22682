// Method: [BSS, section 3]: barriers u and l with potentials tr (u - A)^-1 and tr (A - l)^-1; constants for c = ratio steps per
// dimension. U and L below are the paper's U_A(v) and L_A(v): weights between 1 / L and 1 / U let neither potential grow.
#include "core/sparsify/barrier_functions.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.hpp"
#include "core/linalg/symmetric.hpp"

namespace subquad::sparsify {

BarrierFunctions::BarrierFunctions(Workspace& workspace, int64_t rank, double ratio)
    : rank_(rank),
      sum_(workspace, rank * rank),
      test_(workspace, rank * rank),
      left_(workspace, rank * rank),
      right_(workspace, rank * rank) {
  const double n = static_cast<double>(rank), root = std::sqrt(ratio);
  const double upper_potential = (root - 1) / (ratio + root), lower_potential = 1 / root;
  upper_ = {1, n / upper_potential, (root + 1) / (root - 1), upper_potential, 0, Lease<double>(workspace, rank * rank), 0, 0};
  lower_ = {-1, -n / lower_potential, 1, lower_potential, 0, Lease<double>(workspace, rank * rank), 0, 0};
  std::fill(sum_.get(), sum_.get() + rank * rank, 0.0);
}

void BarrierFunctions::move(Side& side) {
  side.barrier += side.step;
  double* const m = side.inverse.get();
  for (int64_t e = 0; e < rank_ * rank_; ++e) m[e] = -side.sign * sum_.get()[e];
  for (int64_t i = 0; i < rank_; ++i) m[i * rank_ + i] += side.sign * side.barrier;
  if (!linalg::invert_positive(m, rank_)) {
    throw Error(Status::err_internal, "the sum of the chosen columns has left its barriers");
  }
  double trace = 0;
  for (int64_t i = 0; i < rank_; ++i) trace += m[i * rank_ + i];
  side.change = std::fabs(trace - side.potential);
  side.potential = trace;
}

void BarrierFunctions::advance() {
  move(upper_);
  move(lower_);
  // L - U = M_l^2 / change_l - M_u^2 / change_u - M_l - M_u, where both M are functions of A and so commute.
  const double upper_factor = 1 / std::sqrt(upper_.change), lower_factor = 1 / std::sqrt(lower_.change);
  const double *const upper = upper_.inverse.get(), *const lower = lower_.inverse.get();
  for (int64_t e = 0; e < rank_ * rank_; ++e) {
    left_.get()[e] = lower_factor * lower[e] - upper_factor * upper[e];
    right_.get()[e] = lower_factor * lower[e] + upper_factor * upper[e];
  }
  linalg::multiply_commuting(left_.get(), right_.get(), test_.get(), rank_);
  for (int64_t e = 0; e < rank_ * rank_; ++e) test_.get()[e] -= lower[e] + upper[e];
}

void BarrierFunctions::measure(Side& side, const double* v) {
  side.linear = side.square = 0;
  for (int64_t i = 0; i < rank_; ++i) {
    const double* const row = side.inverse.get() + i * rank_;
    const double image = std::inner_product(row, row + rank_, v, 0.0);
    side.linear += image * v[i];
    side.square += image * image;
  }
}

double BarrierFunctions::add(const double* v) {
  measure(upper_, v);
  measure(lower_, v);
  const double most = upper_.square / upper_.change + upper_.linear;   // U
  const double least = lower_.square / lower_.change - lower_.linear;  // L
  // Where rounding leaves no room between them, the upper barrier is held.
  const double weight = 2 / (most + std::max(most, least));
  upper_.potential += weight * upper_.square / (1 - weight * upper_.linear);
  lower_.potential -= weight * lower_.square / (1 + weight * lower_.linear);
  for (int64_t i = 0; i < rank_; ++i) {
    for (int64_t j = 0; j < rank_; ++j) sum_.get()[i * rank_ + j] += weight * v[i] * v[j];
  }
  return weight;
}

}  // namespace subquad::sparsify
