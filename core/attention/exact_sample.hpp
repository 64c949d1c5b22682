// Exact attention of some rows of a head, at the speed of whole tiles.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/layout.hpp"
#include "core/attention/problem.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

template <class T>
struct SampledRows {
  std::vector<int64_t> rows;  // increasing
  std::vector<T> o;           // [row][d_v]
  std::vector<T> lse;         // [row], natural
};

template <class T>
class ExactSample {
 public:
  ExactSample(Execution& run, Monitor& monitor, const Problem<T>& problem);

  // rows: increasing. Any number of threads may ask at a time.
  SampledRows<T> rows(int64_t batch, int64_t head, const std::vector<int64_t>& rows) const;

 private:
  Monitor& monitor_;
  const Problem<T>& problem_;
  const simd::ForwardKernels<T>& kernels_;
  KeysAndValues<T> keys_values_;
  BiasTable<T> bias_;
};

}  // namespace subquad::attention
