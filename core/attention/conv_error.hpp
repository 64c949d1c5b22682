// How far the attention weights of a conv basis are from exact ones, on sampled rows.
#pragma once

#include <cstdint>

#include "core/attention/conv_basis.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// |P~[i,:] - P[i,:]|_1 over sampled rows i.
struct RowErrors {
  double mean = 0, max = 0;
};

inline constexpr int64_t kSampledRows = 64;  // most; all rows where there are no more

// Measured in double precision on one row of each of kSampledRows equal ranges, chosen by (seed, stream). One head; q and k are n x d
// with contiguous columns, exact logits scale q k'. A logit that is not finite makes the errors NaN.
template <class T>
RowErrors sample_errors(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
                        const ConvHead<T>& head, uint64_t seed, uint64_t stream);

}  // namespace subquad::attention
