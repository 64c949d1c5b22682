#include "core/attention/conv_spectral.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/attention/layout.hpp"

namespace subquad::attention {

template <class T, class R>
ConvSpectral<T, R>::ConvSpectral(const Team& team, simd::Target target, Workspace& workspace, const ConvTask<T>& task,
                                 std::vector<ConvJob> jobs, Windows windows)
    : kernels_(simd::spectral_kernels<R>(target)),
      workspace_(workspace),
      task_(task),
      jobs_(std::move(jobs)),
      shared_(windows == Windows::shared) {
  for (const ConvJob& job : jobs_) seen_ = std::max(seen_, g().pieces_seen(job.block));
  list_windows(windows);
  twiddles_ = Lease<R>(workspace, simd::twiddle_count(g().length()));
  simd::fill_twiddles<R>(g().length(), twiddles_.get());
  // One group more than is used, of zeros, for outputs that do not see an input.
  const int64_t lanes = kernels_.lanes, groups = (static_cast<int64_t>(windows_.size()) + lanes - 1) / lanes;
  spectra_ = Lease<R>(workspace, (groups + 1) * stride());
  std::fill(spectra_.get() + groups * stride(), spectra_.get() + (groups + 1) * stride(), R{0});
  const Lease<R> scratch(workspace, team.size() * lanes * scratch_stride());
  team.run(groups, [&](int64_t group, int64_t member) {
    compute_window_group(group, scratch.get() + member * lanes * scratch_stride());
    team.monitor().advance(0);
  });
}

template <class T, class R>
void ConvSpectral<T, R>::list_windows(Windows windows) {
  if (jobs_.empty()) return;
  if (windows == Windows::own) {
    for (const ConvJob& job : jobs_) {
      first_window_.push_back(static_cast<int64_t>(windows_.size()));
      for (int64_t p = 0; p < g().pieces_seen(job.block); ++p) {
        const ConvPiece& piece = g().pieces[static_cast<size_t>(p)];
        windows_.push_back({piece.segment, job.block - piece.block, job.log2_reference, job.log2_cutoff});
      }
    }
    return;
  }
  const int64_t last_block = jobs_.back().block;
  for (size_t s = 0; s < task_.segments.size(); ++s) {
    first_window_.push_back(static_cast<int64_t>(windows_.size()));
    for (int64_t lag_block = 0; lag_block <= last_block - g().first_block[s]; ++lag_block)
      windows_.push_back({static_cast<int64_t>(s), lag_block, jobs_.front().log2_reference, jobs_.front().log2_cutoff});
  }
}

// Number of the window between a job and a piece that it sees.
template <class T, class R>
int64_t ConvSpectral<T, R>::window_of(size_t job, const ConvPiece& piece, size_t piece_index) const {
  if (!shared_) return first_window_[job] + static_cast<int64_t>(piece_index);
  return first_window_[static_cast<size_t>(piece.segment)] + jobs_[job].block - piece.block;
}

// entries[t] = the kernel at lag (lag_block - 1) * block + t, t < length; 0 where there is none.
template <class T, class R>
void ConvSpectral<T, R>::fill_window(const Window& window, R* entries) const {
  const ConvSegment<T>& segment = task_.segments[static_cast<size_t>(window.segment)];
  const int64_t first_lag = (window.lag_block - 1) * g().block, count = g().length();
  const int64_t begin = std::clamp<int64_t>(-first_lag, 0, count), end = std::clamp<int64_t>(g().n - segment.first - first_lag, begin, count);
  std::fill(entries, entries + begin, R{0});
  std::fill(entries + end, entries + count, R{0});
  if (task_.log2_sums == nullptr) {
    const double factor = std::exp2(-window.log2_reference);
    for (int64_t t = begin; t < end; ++t)
      entries[t] = static_cast<R>(static_cast<double>(segment.entry(first_lag + t)) * factor);
    return;
  }
  if (segment.kernel == nullptr) {
    const double exponent = -window.log2_reference;
    std::fill(entries + begin, entries + end, exponent <= window.log2_cutoff - window.log2_reference ? static_cast<R>(std::exp2(exponent)) : R{0});
    return;
  }
  const simd::PowerRange range{kLog2E, window.log2_reference, window.log2_cutoff - window.log2_reference};
  if constexpr (std::is_same_v<T, R>) {
    kernels_.powers(segment.kernel + first_lag + begin, end - begin, range, entries + begin);
  } else {
    kernels_.powers_of_float(segment.kernel + first_lag + begin, end - begin, range, entries + begin);
  }
}

// Spectra of as many windows as a vector has lanes, side by side.
template <class T, class R>
void ConvSpectral<T, R>::compute_window_group(int64_t group, R* scratch) {
  const int64_t lanes = kernels_.lanes, apart = scratch_stride(), block = g().block, row = row_size();
  const int64_t first = group * lanes, count = std::min(lanes, static_cast<int64_t>(windows_.size()) - first);
  for (int64_t m = 0; m < count; ++m) fill_window(windows_[static_cast<size_t>(first + m)], scratch + m * apart);
  std::fill(scratch + count * apart, scratch + lanes * apart, R{0});
  R* const rows = spectra_.get() + group * stride();
  // The window's later half comes first: its earlier lags wrap around to the end.
  kernels_.lay_side_by_side(scratch + block, apart, block, rows);
  kernels_.lay_side_by_side(scratch, apart, block, rows + block * row);
  kernels_.transform(rows, g().length(), twiddles_.get());
}

template <class T, class R>
std::vector<typename ConvSpectral<T, R>::Tile> ConvSpectral<T, R>::forward_tiles() const {
  std::vector<Tile> tiles;
  const int64_t none = static_cast<int64_t>(windows_.size() + static_cast<size_t>(kernels_.lanes) - 1) / kernels_.lanes * stride();
  for (int64_t first = 0; first < static_cast<int64_t>(jobs_.size()); first += kernels_.tile) {
    Tile tile{first, std::min(first + kernels_.tile, static_cast<int64_t>(jobs_.size())), 0, 0, {}};
    tile.last_input = g().pieces_seen(jobs_[static_cast<size_t>(tile.last - 1)].block);
    for (int64_t p = 0; p < tile.last_input; ++p) {
      const ConvPiece& piece = g().pieces[static_cast<size_t>(p)];
      for (int64_t o = first; o < first + kernels_.tile; ++o) {
        const auto job = static_cast<size_t>(o);
        const bool sees = o < tile.last && p < g().pieces_seen(jobs_[job].block);
        tile.offsets.push_back(sees ? offset_of(window_of(job, piece, static_cast<size_t>(p))) : none);
      }
    }
    tiles.push_back(std::move(tile));
  }
  return tiles;
}

template <class T, class R>
std::vector<typename ConvSpectral<T, R>::Tile> ConvSpectral<T, R>::transposed_tiles() const {
  std::vector<Tile> tiles;
  const int64_t none = static_cast<int64_t>(windows_.size() + static_cast<size_t>(kernels_.lanes) - 1) / kernels_.lanes * stride();
  for (int64_t first = 0; first < pieces(); first += kernels_.tile) {
    Tile tile{first, std::min(first + kernels_.tile, pieces()), 0, static_cast<int64_t>(jobs_.size()), {}};
    while (tile.first_input < tile.last_input && g().pieces_seen(jobs_[static_cast<size_t>(tile.first_input)].block) <= first)
      ++tile.first_input;
    tile.offsets.assign(static_cast<size_t>(tile.first_input * kernels_.tile), none);
    for (auto job = static_cast<size_t>(tile.first_input); job < jobs_.size(); ++job) {
      for (int64_t p = first; p < first + kernels_.tile; ++p) {
        const bool sees = p < tile.last && p < g().pieces_seen(jobs_[job].block);
        tile.offsets.push_back(
            sees ? offset_of(window_of(job, g().pieces[static_cast<size_t>(p)], static_cast<size_t>(p))) : none);
      }
    }
    tiles.push_back(std::move(tile));
  }
  return tiles;
}

// Rows [first, last) of x in their places in the block, times factors (by row of the block; NULL: ones) / scales, the others zero.
template <class T, class R>
void ConvSpectral<T, R>::load_rows(const View<const T, 2>& x, const std::vector<T>& scales, int64_t block, int64_t first,
                                   int64_t last, int64_t first_column, const R* factors, R* rows) const {
  const int64_t begin = block * g().block, row = row_size(), columns = std::min(row, x.shape[1] - first_column);
  std::vector<R> inverse(static_cast<size_t>(columns));
  for (int64_t c = 0; c < columns; ++c) {
    const T scale = scales[static_cast<size_t>(first_column + c)];
    inverse[static_cast<size_t>(c)] = scale != 0 ? static_cast<R>(T{1} / scale) : R{0};
  }
  std::fill(rows, rows + (first - begin) * row, R{0});
  std::fill(rows + (last - begin) * row, rows + g().block * row, R{0});
  if constexpr (std::is_same_v<T, R>) {
    if (columns == row) {
      kernels_.scale_rows(x.at(first, first_column), x.strides[0], last - first, inverse.data(),
                          factors != nullptr ? factors + first - begin : nullptr, rows + (first - begin) * row, row);
      return;
    }
  }
  for (int64_t i = first; i < last; ++i) {
    R* const to = rows + (i - begin) * row;
    const T* const from = x.at(i, first_column);
    const R factor = factors != nullptr ? factors[i - begin] : R{1};
    for (int64_t c = 0; c < columns; ++c) to[c] = static_cast<R>(from[c]) * inverse[static_cast<size_t>(c)] * factor;
    std::fill(to + columns, to + row, R{0});
  }
}

template <class T, class R>
void ConvSpectral<T, R>::load_piece(const View<const T, 2>& x, const std::vector<T>& scales, const ConvPiece& piece,
                                    int64_t first_column, R* rows) const {
  load_rows(x, scales, piece.block, piece.first, piece.last, first_column, nullptr, rows);
}

template <class T, class R>
void ConvSpectral<T, R>::load_job(const View<const T, 2>& x, const std::vector<T>& scales, const ConvJob& job, int64_t first_column,
                                  R* rows) const {
  const int64_t first = job.block * g().block, last = std::min(first + g().block, g().n);
  std::vector<R> factors(static_cast<size_t>(last - first));
  for (int64_t i = first; i < last; ++i) factors[static_cast<size_t>(i - first)] = serves(job, i) ? static_cast<R>(row_factor(job, i)) : R{0};
  load_rows(x, scales, job.block, first, last, first_column, factors.data(), rows);
}

// What a job's row is multiplied by, beyond 1 / length.
template <class T, class R>
double ConvSpectral<T, R>::row_factor(const ConvJob& job, int64_t row) const {
  return std::exp2(job.log2_reference - (task_.log2_sums != nullptr ? task_.log2_sums[row] : 0.0));
}

// y[first ..] = rows * factors * scales, or added to it.
template <class T, class R>
void ConvSpectral<T, R>::store_rows(const R* rows, int64_t first, int64_t count, const R* factors, const std::vector<T>& scales,
                                    int64_t first_column, StoreMode mode, const View<T, 2>& y) const {
  const int64_t row = row_size(), columns = std::min(row, y.shape[1] - first_column);
  const T* const scale = scales.data() + first_column;
  if constexpr (std::is_same_v<T, R>) {
    if (columns == row && y.strides[1] == 1 && mode == StoreMode::write) {
      kernels_.scale_rows(rows, row, count, scale, factors, y.at(first, first_column), y.strides[0]);
      return;
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const R* const from = rows + i * row;
    T* const to = y.at(first + i, first_column);
    for (int64_t c = 0; c < columns; ++c) {
      const T value = static_cast<T>(from[c] * factors[i]) * scale[c];
      T& place = to[c * y.strides[1]];
      place = mode == StoreMode::add ? place + value : value;
    }
  }
}

template <class T, class R>
void ConvSpectral<T, R>::store_job(const ConvJob& job, const R* rows, const std::vector<T>& scales, int64_t first_column,
                                   const View<T, 2>& y) const {
  const int64_t begin = job.block * g().block, end = std::min(begin + g().block, g().n);
  const double unit = 1.0 / static_cast<double>(g().length());
  std::vector<R> factors;
  for (int64_t i = begin; i < end; ++i) {  // by runs of rows that the job serves
    if (serves(job, i)) factors.push_back(static_cast<R>(row_factor(job, i) * unit));
    const auto count = static_cast<int64_t>(factors.size());
    if (count == 0 || (i + 1 < end && serves(job, i + 1))) continue;
    const int64_t first = i + 1 - count;
    if (serves(job, i)) store_rows(rows + (first - begin) * row_size(), first, count, factors.data(), scales, first_column, StoreMode::write, y);
    factors.clear();
  }
}

template <class T, class R>
void ConvSpectral<T, R>::store_piece(const ConvPiece& piece, const R* rows, const std::vector<T>& scales, int64_t first_column,
                                     StoreMode mode, const View<T, 2>& y) const {
  const std::vector<R> factors(static_cast<size_t>(piece.last - piece.first), R{1} / static_cast<R>(g().length()));
  store_rows(rows + (piece.first - piece.block * g().block) * row_size(), piece.first, piece.last - piece.first, factors.data(),
             scales, first_column, mode, y);
}

// The tiles' outputs from the inputs, a few frequencies per task: their part of all signals fits the second-level cache.
template <class T, class R>
void ConvSpectral<T, R>::multiply(const Team& team, const std::vector<Tile>& tiles, bool conjugate) {
  const int64_t groups = (static_cast<int64_t>(windows_.size()) + kernels_.lanes - 1) / kernels_.lanes;
  int64_t inputs = 0;
  for (const Tile& tile : tiles) inputs = std::max(inputs, tile.last_input);
  const int64_t line = 64 / static_cast<int64_t>(sizeof(R)), run = kFrequencies * row_size();
  team.run((g().length() + kFrequencies - 1) / kFrequencies, [&](int64_t task, int64_t) {
    const int64_t first = task * kFrequencies, last = std::min(first + kFrequencies, g().length());
    // Each run is too short for the processor to see it coming.
    for (int64_t p = 0; p < inputs; ++p) {
      for (int64_t e = 0; e < run; e += line) __builtin_prefetch(inputs_.get() + p * stride() + first * row_size() + e, 0, 2);
    }
    for (int64_t w = 0; w < groups; ++w) {
      for (int64_t e = 0; e < run; e += line) __builtin_prefetch(spectra_.get() + w * stride() + first * row_size() + e, 0, 2);
    }
    for (const Tile& tile : tiles) {
      const simd::SpectralProduct<R> product{inputs_.get(), stride(), tile.first_input, tile.last_input, spectra_.get(),
                                             tile.offsets.data(), outputs_.get() + tile.first * stride(), stride(), first, last};
      (conjugate ? kernels_.product_conjugate : kernels_.product)(product);
    }
    team.monitor().advance(0);
  });
}

template <class T, class R>
void ConvSpectral<T, R>::forward(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, const View<T, 2>& y) {
  if (jobs_.empty()) return;
  const std::vector<Tile> tiles = forward_tiles();
  const auto count = static_cast<int64_t>(jobs_.size());
  inputs_.reserve(workspace_, pieces() * stride());
  outputs_.reserve(workspace_, round_up(count, kernels_.tile) * stride());
  for (int64_t column = 0; column < x.shape[1]; column += row_size()) {
    team.run(pieces(), [&](int64_t p, int64_t) {
      R* const rows = inputs_.get() + p * stride();
      load_piece(x, scales, g().pieces[static_cast<size_t>(p)], column, rows);
      kernels_.transform_half(rows, g().length(), twiddles_.get());
      team.monitor().advance(0);
    });
    multiply(team, tiles, false);
    team.run(count, [&](int64_t o, int64_t) {
      R* const rows = outputs_.get() + o * stride();
      kernels_.inverse_half(rows, g().length(), twiddles_.get());
      store_job(jobs_[static_cast<size_t>(o)], rows, scales, column, y);
      team.monitor().advance(g().block * std::min(row_size(), x.shape[1] - column));
    });
  }
}

template <class T, class R>
void ConvSpectral<T, R>::transposed(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, StoreMode mode,
                                    const View<T, 2>& y) {
  if (jobs_.empty()) return;
  const std::vector<Tile> tiles = transposed_tiles();
  const auto count = static_cast<int64_t>(jobs_.size());
  inputs_.reserve(workspace_, count * stride());
  outputs_.reserve(workspace_, round_up(pieces(), kernels_.tile) * stride());
  for (int64_t column = 0; column < x.shape[1]; column += row_size()) {
    team.run(count, [&](int64_t o, int64_t) {
      R* const rows = inputs_.get() + o * stride();
      load_job(x, scales, jobs_[static_cast<size_t>(o)], column, rows);
      kernels_.transform_half(rows, g().length(), twiddles_.get());
      team.monitor().advance(g().block * std::min(row_size(), x.shape[1] - column));
    });
    multiply(team, tiles, true);
    team.run(pieces(), [&](int64_t p, int64_t) {
      R* const rows = outputs_.get() + p * stride();
      kernels_.inverse_half(rows, g().length(), twiddles_.get());
      store_piece(g().pieces[static_cast<size_t>(p)], rows, scales, column, mode, y);
      team.monitor().advance(0);
    });
  }
}

template class ConvSpectral<float, float>;
template class ConvSpectral<float, double>;
template class ConvSpectral<double, double>;

}  // namespace subquad::attention
