#include "core/attention/conv_spectral.hpp"

#include <algorithm>
#include <cmath>

#include "core/attention/layout.hpp"
#include "core/simd/exp2.hpp"

namespace subquad::attention {

template <class T, class R>
ConvSpectral<T, R>::ConvSpectral(const Team& team, simd::Target target, Workspace& workspace, const ConvTask<T>& task,
                                 std::vector<ConvJob> jobs, Windows windows)
    : kernels_(simd::spectral_kernels<R>(target)),
      target_(target),
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
  const Lease<R> scratch(workspace, team.size() * lanes * g().length());
  team.run(groups, [&](int64_t group, int64_t member) {
    compute_window_group(group, scratch.get() + member * lanes * g().length());
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
  const T* const kernel = segment.kernel;
  const double limit = window.log2_cutoff - window.log2_reference;
  for (int64_t t = begin; t < end; ++t) {
    const double exponent = (kernel != nullptr ? static_cast<double>(kernel[first_lag + t]) * kLog2E : 0.0) - window.log2_reference;
    entries[t] = exponent <= limit ? static_cast<R>(exponent) : simd::kExp2Least<R>;
  }
  simd::exp2_array<R>(target_, entries + begin, entries + begin, end - begin);
}

// Spectra of as many windows as a vector has lanes, side by side.
template <class T, class R>
void ConvSpectral<T, R>::compute_window_group(int64_t group, R* scratch) {
  const int64_t lanes = kernels_.lanes, length = g().length(), block = g().block, row = row_size();
  const int64_t first = group * lanes, count = std::min(lanes, static_cast<int64_t>(windows_.size()) - first);
  for (int64_t m = 0; m < count; ++m) fill_window(windows_[static_cast<size_t>(first + m)], scratch + m * length);
  std::fill(scratch + count * length, scratch + lanes * length, R{0});
  R* const rows = spectra_.get() + group * stride();
  // Lags of 0 .. block - 1 beyond the window's come first, those before them wrap around to the end.
  for (int64_t x = 0; x < length; ++x) {
    const R* const from = scratch + (x < block ? block + x : x - block);
    for (int64_t m = 0; m < lanes; ++m) rows[x * row + m] = from[m * length];
    std::fill(rows + x * row + lanes, rows + (x + 1) * row, R{0});
  }
  kernels_.transform(rows, length, twiddles_.get());
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

// Rows [first, last) of x in their places in the block, times factor(row) / scale, the other rows of the block zero.
template <class T, class R>
template <class Factor>
void ConvSpectral<T, R>::load_rows(const View<const T, 2>& x, const std::vector<T>& scales, int64_t block, int64_t first,
                                   int64_t last, int64_t first_column, const Factor& factor, R* rows) {
  const int64_t begin = block * g().block, row = row_size(), columns = std::min(row, x.shape[1] - first_column);
  std::vector<R> inverse(static_cast<size_t>(columns));
  for (int64_t c = 0; c < columns; ++c) inverse[static_cast<size_t>(c)] = static_cast<R>(T{1} / scales[static_cast<size_t>(first_column + c)]);
  std::fill(rows, rows + (first - begin) * row, R{0});
  std::fill(rows + (last - begin) * row, rows + g().block * row, R{0});
  const R* const scale = inverse.data();
  for (int64_t i = first; i < last; ++i) {
    R* const to = rows + (i - begin) * row;
    const T* const from = x.at(i, first_column);
    const R share = factor(i);
    for (int64_t c = 0; c < columns; ++c) to[c] = static_cast<R>(from[c]) * scale[c] * share;
    std::fill(to + columns, to + row, R{0});
  }
}

template <class T, class R>
void ConvSpectral<T, R>::load_piece(const View<const T, 2>& x, const std::vector<T>& scales, const ConvPiece& piece,
                                    int64_t first_column, R* rows) {
  load_rows(x, scales, piece.block, piece.first, piece.last, first_column, [](int64_t) { return R{1}; }, rows);
}

template <class T, class R>
void ConvSpectral<T, R>::load_job(const View<const T, 2>& x, const std::vector<T>& scales, const ConvJob& job, int64_t first_column,
                                  R* rows) {
  const int64_t first = job.block * g().block, last = std::min(first + g().block, g().n);
  load_rows(x, scales, job.block, first, last, first_column,
            [&](int64_t i) { return task_.plan.row_job[static_cast<size_t>(i)] == job.id ? static_cast<R>(row_factor(job, i)) : R{0}; },
            rows);
}

// What a job's row is multiplied by, beyond 1 / length.
template <class T, class R>
double ConvSpectral<T, R>::row_factor(const ConvJob& job, int64_t row) const {
  return std::exp2(job.log2_reference - (task_.log2_sums != nullptr ? task_.log2_sums[row] : 0.0));
}

template <class T, class R>
void ConvSpectral<T, R>::store_job(const ConvJob& job, const R* rows, const std::vector<T>& scales, int64_t first_column,
                                   const View<T, 2>& y) const {
  const int64_t first = job.block * g().block, last = std::min(first + g().block, g().n), row = row_size(),
                columns = std::min(row, y.shape[1] - first_column);
  const double unit = 1.0 / static_cast<double>(g().length());
  for (int64_t i = first; i < last; ++i) {
    if (task_.plan.row_job[static_cast<size_t>(i)] != job.id) continue;
    const R factor = static_cast<R>(row_factor(job, i) * unit);
    const R* const from = rows + (i - first) * row;
    T* const to = y.at(i, first_column);
    for (int64_t c = 0; c < columns; ++c)
      to[c * y.strides[1]] = static_cast<T>(from[c] * factor) * scales[static_cast<size_t>(first_column + c)];
  }
}

template <class T, class R>
void ConvSpectral<T, R>::store_piece(const ConvPiece& piece, const R* rows, const std::vector<T>& scales, int64_t first_column,
                                     StoreMode mode, const View<T, 2>& y) const {
  const int64_t begin = piece.block * g().block, row = row_size(), columns = std::min(row, y.shape[1] - first_column);
  const R unit = R{1} / static_cast<R>(g().length());
  for (int64_t j = piece.first; j < piece.last; ++j) {
    const R* const from = rows + (j - begin) * row;
    T* const to = y.at(j, first_column);
    for (int64_t c = 0; c < columns; ++c) {
      const T value = static_cast<T>(from[c] * unit) * scales[static_cast<size_t>(first_column + c)];
      T& place = to[c * y.strides[1]];
      place = mode == StoreMode::add ? place + value : value;
    }
  }
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
