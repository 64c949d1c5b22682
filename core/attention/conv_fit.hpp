// Conv bases for arbitrary queries and keys, with the error that they leave.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/attention/conv_basis.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Either a number of bases or an error to reach.
struct FitRequest {
  int64_t bases;              // most, per head; ignored with a tolerance
  std::optional<double> tol;  // mean over rows of |P~[i,:] - P[i,:]|_1
  uint64_t seed;              // of the rows on which the error is measured
};

// |P~[i,:] - P[i,:]|_1 on sampled rows, per head in order of batch and head.
struct FitErrors {
  int64_t rows = 0;  // per head
  std::vector<double> mean, max;
};

// Of M * (scale q k') for q [batch][heads][n][d], k [batch][kv_heads][n][d]. Throws Error(overflow) when a logit it meets is not finite.
template <class T>
ConvBasis<T> fit_conv_basis(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                            const FitRequest& request, FitErrors* errors);

}  // namespace subquad::attention
