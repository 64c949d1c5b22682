#include "core/attention/conv_direct.hpp"

#include <algorithm>

#include "core/attention/layout.hpp"

namespace subquad::attention {

namespace {

// x as the sum of two numbers; the most negative exponents, which weigh nothing, are kept finite.
template <class T>
void split(double x, T& high, T& low) {
  constexpr double kLeast = -1e30;
  x = std::max(x, kLeast);
  high = static_cast<T>(x);
  low = static_cast<T>(x - static_cast<double>(high));
}

}  // namespace

template <class T>
template <class Use>
void ConvDirect<T>::for_key_blocks(int64_t first, int64_t rows, int64_t first_key, int64_t last_key, T* scratch,
                                   const Use& use) const {
  const int64_t lanes = (rows + kernels_.lanes - 1) / kernels_.lanes * kernels_.lanes;
  T *const weights = scratch, *const lse = weights + simd::kKeyBlock * group(), *const lse_low = lse + group(),
           *const table = lse_low + group(), *const table_low = table + simd::kKeyBlock + group();
  for (int64_t i = 0; i < lanes; ++i)
    split(log2_sums_ != nullptr ? log2_sums_[first + std::min(i, rows - 1)] : 0, lse[i], lse_low[i]);

  last_key = std::min(last_key, first + rows);
  for (const ConvSegment<T>& segment : segments_) {
    const int64_t end = std::min(segment.last, last_key);
    for (int64_t j = std::max(segment.first, first_key); j < end; j += simd::kKeyBlock) {
      simd::ToeplitzBlock<T> block{};
      block.keys = std::min(simd::kKeyBlock, end - j);
      block.diagonal = first - j;
      block.lse = log2_sums_ != nullptr ? lse : nullptr;
      block.lse_low = lse_low;
      block.weights = weights;
      block.table = table + block.keys - 1;
      block.table_low = table_low + block.keys - 1;
      const int64_t least = first - j - block.keys + 1;  // lag of table[0]
      for (int64_t t = 0; t < block.keys - 1 + lanes; ++t) {
        const T entry = segment.entry(std::clamp<int64_t>(least + t, 0, n_ - segment.first - 1));  // beyond: never used
        table[t] = entry;
        if (log2_sums_ != nullptr) split(static_cast<double>(entry) * kLog2E, table[t], table_low[t]);
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
