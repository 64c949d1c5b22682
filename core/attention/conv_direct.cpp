#include "core/attention/conv_direct.hpp"

#include <algorithm>

#include "core/attention/layout.hpp"

namespace subquad::attention {

template <class T>
template <class Use>
void ConvDirect<T>::for_key_blocks(int64_t first, int64_t rows, int64_t first_key, int64_t last_key, T* scratch,
                                   const Use& use) const {
  const int64_t lanes = (rows + kernels_.lanes - 1) / kernels_.lanes * kernels_.lanes;
  T *const weights = scratch, *const lse = weights + simd::kKeyBlock * group(), *const table = lse + group();
  // Exponents are kept relative to the first row's sum: those that matter are then small, and precise in T.
  const double reference = log2_sums_ != nullptr ? log2_sums_[first] : 0;
  for (int64_t i = 0; i < lanes; ++i)
    lse[i] = log2_sums_ != nullptr ? static_cast<T>(log2_sums_[first + std::min(i, rows - 1)] - reference) : T{0};

  last_key = std::min(last_key, first + rows);
  for (const ConvSegment<T>& segment : segments_) {
    const int64_t end = std::min(segment.last, last_key);
    for (int64_t j = std::max(segment.first, first_key); j < end; j += simd::kKeyBlock) {
      simd::ToeplitzBlock<T> block{};
      block.keys = std::min(simd::kKeyBlock, end - j);
      block.diagonal = first - j;
      block.lse = log2_sums_ != nullptr ? lse : nullptr;
      block.weights = weights;
      block.table = table + block.keys - 1;
      const int64_t least = first - j - block.keys + 1;  // lag of table[0]
      for (int64_t t = 0; t < block.keys - 1 + lanes; ++t) {
        const int64_t lag = std::clamp<int64_t>(least + t, 0, n_ - segment.first - 1);  // beyond: never used
        table[t] = log2_sums_ == nullptr ? segment.entry(lag)
                                         : static_cast<T>(static_cast<double>(segment.entry(lag)) * kLog2E - reference);
      }
      use(block, j);
    }
  }
}

template <class T>
void ConvDirect<T>::forward(int64_t first, int64_t rows, int64_t first_key, int64_t last_key, const View<const T, 2>& v,
                            Monitor& monitor, T* scratch, T* o_t) const {
  const int64_t width = (rows + kernels_.lanes - 1) / kernels_.lanes;
  for_key_blocks(first, rows, first_key, last_key, scratch, [&](const simd::ToeplitzBlock<T>& block, int64_t j) {
    kernels_.forward[width - 1](block, v.at(j), v.strides[0], v.shape[1], o_t);
    monitor.advance(0);
  });
}

template <class T>
void ConvDirect<T>::transposed(int64_t first, int64_t rows, int64_t first_key, int64_t last_key, const T* x, int64_t columns,
                               T* scratch, T* out) const {
  const int64_t width = (rows + kernels_.lanes - 1) / kernels_.lanes, padding = padded(columns);
  for_key_blocks(first, rows, first_key, last_key, scratch, [&](const simd::ToeplitzBlock<T>& block, int64_t j) {
    kernels_.transposed[width - 1](block, x, padding, out + (j - first_key) * padding);
  });
}

template class ConvDirect<float>;
template class ConvDirect<double>;

}  // namespace subquad::attention
