// Method: cross-correlation by overlap-save. Queries are cut into windows of two blocks, keys into blocks; the product of a window's
// spectrum with a block's gives one block of lags, and products that belong to the same lags are summed before the one inverse
// transform (docs/math/conv_basis.md).
#include "core/attention/conv_lag_sums.hpp"

#include <algorithm>

#include "core/simd/products.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kChannelsAtOnce = 8;  // columns of a row-major matrix that are gathered together
constexpr int64_t kChunk = 2 * simd::kFrequencies;

// Transforms cost more with long blocks, products with short ones; near 4 sqrt(n) the sum was least for n from 2048 to 131072.
int64_t choose_block(int64_t n) {
  int64_t block = simd::kFrequencies;
  while (block * block < 16 * n && block < n) block *= 2;
  return block;
}

}  // namespace

template <class T>
LagSums<T>::LagSums(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k)
    : run_(run),
      q_(q),
      k_(k),
      n_(q.shape[0]),
      d_(q.shape[1]),
      block_(choose_block(n_)),
      blocks_((n_ + block_ - 1) / block_),
      chunks_((block_ + simd::kFrequencies) / simd::kFrequencies),
      rows_(fft::aligned_rows<double>(2 * block_)),
      forward_(run.plans.template forward<double>(rows_)),
      inverse_(run.plans.template inverse<double>(rows_)),
      q_data_(run.workspace, chunks_ * blocks_ * d_ * kChunk),
      k_data_(run.workspace, chunks_ * blocks_ * d_ * kChunk),
      cut_data_(run.workspace, chunks_ * 2 * d_ * kChunk),
      scratch_(run.workspace, team.size() * kChannelsAtOnce * rows_.real_distance),
      spectrum_scratch_(run.workspace, team.size() * rows_.spectrum_distance),
      products_(run.workspace, blocks_ * rows_.spectrum_distance),
      q_spectra_{q_data_.get(), blocks_},
      k_spectra_{k_data_.get(), blocks_},
      cut_spectra_{cut_data_.get(), 2} {
  for (int64_t block = 0; block < blocks_; ++block) {
    const int64_t first = block * block_;
    transform(team, q_, first, std::min(first + 2 * block_, n_), first, block, q_spectra_);
    transform(team, k_, first, std::min(first + block_, n_), first, block, k_spectra_);
  }
}

template <class T>
void LagSums<T>::transform(const Team& team, const View<const T, 2>& rows, int64_t first, int64_t last, int64_t origin,
                           int64_t piece, const Spectra& spectra) {
  const int64_t length = 2 * block_;
  team.run((d_ + kChannelsAtOnce - 1) / kChannelsAtOnce, [&](int64_t task, int64_t member) {
    const int64_t channel = task * kChannelsAtOnce, channels = std::min(kChannelsAtOnce, d_ - channel);
    double* const columns = scratch_.get() + member * kChannelsAtOnce * rows_.real_distance;
    std::complex<double>* const spectrum = spectrum_scratch_.get() + member * rows_.spectrum_distance;
    for (int64_t c = 0; c < channels; ++c) {
      double* const column = columns + c * rows_.real_distance;
      std::fill(column, column + (first - origin), 0.0);
      std::fill(column + (last - origin), column + length, 0.0);
    }
    for (int64_t i = first; i < last; ++i) {
      const T* const row = rows.at(i, channel);
      for (int64_t c = 0; c < channels; ++c)
        columns[c * rows_.real_distance + i - origin] = static_cast<double>(row[c * rows.strides[1]]);
    }
    for (int64_t c = 0; c < channels; ++c) {
      forward_.execute(columns + c * rows_.real_distance, spectrum);
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
        double* const to = spectra.data + ((chunk * spectra.pieces + piece) * d_ + channel + c) * kChunk;
        const int64_t from = chunk * simd::kFrequencies, count = std::min(simd::kFrequencies, block_ + 1 - from);
        std::fill(to, to + kChunk, 0.0);
        for (int64_t f = 0; f < count; ++f) {
          to[f] = spectrum[from + f].real();
          to[simd::kFrequencies + f] = spectrum[from + f].imag();
        }
        if (chunk % 16 == 0) team.monitor().advance(0);  // where the spectra are new memory, each chunk is a page to map
      }
    }
    team.monitor().advance(0);
  });
}

template <class T>
void LagSums<T>::compute(const Team& team, int64_t first, int64_t last, double* sums) {
  multiply(team, first, last);
  const double unit = 1 / static_cast<double>(2 * block_);
  const int64_t lags = n_ - first;
  team.run((lags + block_ - 1) / block_, [&](int64_t m, int64_t member) {
    double* const product = scratch_.get() + member * kChannelsAtOnce * rows_.real_distance;
    inverse_.execute(products_.get() + m * rows_.spectrum_distance, product);
    for (int64_t t = m * block_; t < std::min((m + 1) * block_, lags); ++t) sums[t] = product[t - m * block_] * unit;
    team.monitor().advance(0);
  });
}

// products[m] = the spectra of windows J + m times those of key blocks J, summed over the blocks of [first, last) and channels.
template <class T>
void LagSums<T>::multiply(const Team& team, int64_t first, int64_t last) {
  int64_t from = first / block_, to = (last - 1) / block_;  // blocks; whole ones after those cut are dealt with
  const int64_t head = from, tail = to, windows = (n_ - first + block_ - 1) / block_;
  const auto is_cut = [&](int64_t block) { return first > block * block_ || last < std::min((block + 1) * block_, n_); };
  const auto cut = [&](int64_t block, int64_t place) {
    transform(team, k_, std::max(first, block * block_), std::min(last, (block + 1) * block_), block * block_, place,
              cut_spectra_);
  };
  const bool head_cut = is_cut(head), tail_cut = tail > head && is_cut(tail);
  if (head_cut) cut(head, 0), ++from;
  if (tail_cut) cut(tail, 1), --to;
  team.run(chunks_, [&](int64_t chunk, int64_t) {
    const auto at = [&](const Spectra& s, int64_t piece) { return s.data + (chunk * s.pieces + piece) * d_ * kChunk; };
    for (int64_t m = 0; m < windows; ++m) {
      double sum[kChunk] = {};
      const auto add = [&](int64_t block, const double* key, int64_t count) {
        simd::add_spectra(run_.target, at(q_spectra_, block + m), key, count * d_, sum);
      };
      const int64_t end = std::min(to, blocks_ - 1 - m);
      if (head_cut && head + m < blocks_) add(head, at(cut_spectra_, 0), 1);
      if (from <= end) add(from, at(k_spectra_, from), end - from + 1);
      if (tail_cut && tail + m < blocks_) add(tail, at(cut_spectra_, 1), 1);
      std::complex<double>* const product = products_.get() + m * rows_.spectrum_distance + chunk * simd::kFrequencies;
      const int64_t count = std::min(simd::kFrequencies, block_ + 1 - chunk * simd::kFrequencies);
      for (int64_t f = 0; f < count; ++f) product[f] = {sum[f], sum[simd::kFrequencies + f]};
      team.monitor().advance(0);
    }
  });
}

template class LagSums<float>;
template class LagSums<double>;

}  // namespace subquad::attention
