// Products with a conv basis whose weights are formed entry by entry: for rows that transforms do not serve, and for small n.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/conv_segments.hpp"
#include "core/base/views.hpp"
#include "core/parallel/monitor.hpp"
#include "core/simd/toeplitz_kernels.hpp"

namespace subquad::attention {

template <class T>
class ConvDirect {
 public:
  // log2_sums: per row, or NULL for the logits themselves as weights.
  ConvDirect(const std::vector<ConvSegment<T>>& segments, const double* log2_sums, int64_t n, simd::Target target)
      : segments_(segments), log2_sums_(log2_sums), n_(n), kernels_(simd::toeplitz_kernels<T>(target)) {}

  int64_t group() const { return simd::kMaxWidth * kernels_.lanes; }  // most rows per call
  int64_t padded(int64_t columns) const { return round_up(columns, kernels_.lanes); }
  int64_t scratch() const { return (simd::kKeyBlock + 4) * group() + 2 * simd::kKeyBlock; }

  // o_t[c][i - first] += sum_j W[i,j] v[j,c] over the keys j in [first_key, last_key) that row i sees, for `rows` rows from
  // `first` on.
  // o_t: [columns][padded(rows)]. v has contiguous columns. Looks at the monitor.
  void forward(int64_t first, int64_t rows, int64_t first_key, int64_t last_key, const View<const T, 2>& v, Monitor& monitor,
               T* scratch, T* o_t) const;

  // out[j - first_key][c] += sum_i W[i,j] x[i - first][c] over those rows. x: [group()][padded(columns)], zero beyond the rows;
  // out: [last_key - first_key][padded(columns)].
  void transposed(int64_t first, int64_t rows, int64_t first_key, int64_t last_key, const T* x, int64_t columns, T* scratch,
                  T* out) const;

 private:
  // Calls use(block, key) for each run of keys that share a segment.
  template <class Use>
  void for_key_blocks(int64_t first, int64_t rows, int64_t first_key, int64_t last_key, T* scratch, const Use& use) const;

  const std::vector<ConvSegment<T>>& segments_;
  const double* log2_sums_;
  const int64_t n_;
  const simd::ToeplitzKernels<T>& kernels_;
};

}  // namespace subquad::attention
