#include "core/attention/conv_spectral.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/parallel/new_memory.hpp"

namespace subquad::attention {

namespace {

template <class R>
Lease<R> twiddles(Workspace& workspace, int64_t length) {
  Lease<R> table(workspace, simd::twiddle_count(length));
  simd::fill_twiddles<R>(length, table.get());
  return table;
}

}  // namespace

template <class T, class R>
ConvSpectral<T, R>::ConvSpectral(const Team& team, simd::Target target, Workspace& workspace, const ConvTask<T>& task,
                                 std::vector<ConvJob> jobs, WindowSharing sharing)
    : kernels_(simd::spectral_kernels<R>(target)),
      workspace_(workspace),
      task_(task),
      jobs_(std::move(jobs)),
      layout_{g().length(), kernels_.lanes},
      pieces_(g().pieces_seen(jobs_.back().block)),
      twiddles_(twiddles<R>(workspace, g().length())),
      windows_(team, kernels_, twiddles_.get(), workspace, task, jobs_, sharing) {}

// What results are multiplied by, per column: without sums of rows to divide by, the kernels' reference joins the operand's scale, since
// neither may be in the range of T alone.
template <class T, class R>
std::vector<T> ConvSpectral<T, R>::result_scales(std::vector<T> scales) const {
  if (task_.log2_sums == nullptr) {
    for (T& scale : scales) scale = std::ldexp(scale, static_cast<int>(jobs_.front().log2_reference));
  }
  return scales;
}

template <class T, class R>
void ConvSpectral<T, R>::forward(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, const View<T, 2>& y) {
  const std::vector<Tile> tiles = forward_tiles();
  const std::vector<T> results = result_scales(scales);
  reserve_mapped(team, workspace_, inputs_, pieces_ * layout_.stride());
  reserve_mapped(team, workspace_, outputs_, round_up(jobs(), kernels_.tile) * layout_.stride());
  for (int64_t column = 0; column < x.shape[1]; column += layout_.row()) {
    team.run(pieces_, [&](int64_t p, int64_t) {
      R* const rows = inputs_.get() + p * layout_.stride();
      load_piece(x, scales, piece(p), column, rows);
      kernels_.transform_half(rows, layout_.length, twiddles_.get());
      team.monitor().advance(0);
    });
    multiply(team, tiles, false);
    team.run(jobs(), [&](int64_t o, int64_t) {
      R* const rows = outputs_.get() + o * layout_.stride();
      kernels_.inverse_half(rows, layout_.length, twiddles_.get());
      store_job(job(o), rows, results, column, y);
      team.monitor().advance(g().block * columns_from(x, column));
    });
  }
}

template <class T, class R>
void ConvSpectral<T, R>::transposed(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, StoreMode mode,
                                    const View<T, 2>& y) {
  const std::vector<Tile> tiles = transposed_tiles();
  const std::vector<T> results = result_scales(scales);
  reserve_mapped(team, workspace_, inputs_, jobs() * layout_.stride());
  reserve_mapped(team, workspace_, outputs_, round_up(pieces_, kernels_.tile) * layout_.stride());
  for (int64_t column = 0; column < x.shape[1]; column += layout_.row()) {
    team.run(jobs(), [&](int64_t o, int64_t) {
      R* const rows = inputs_.get() + o * layout_.stride();
      load_job(x, scales, job(o), column, rows);
      kernels_.transform_half(rows, layout_.length, twiddles_.get());
      team.monitor().advance(g().block * columns_from(x, column));
    });
    multiply(team, tiles, true);
    team.run(pieces_, [&](int64_t p, int64_t) {
      R* const rows = outputs_.get() + p * layout_.stride();
      kernels_.inverse_half(rows, layout_.length, twiddles_.get());
      store_piece(piece(p), rows, results, column, mode, y);
      team.monitor().advance(0);
    });
  }
}

template <class T, class R>
std::vector<typename ConvSpectral<T, R>::Tile> ConvSpectral<T, R>::forward_tiles() const {
  std::vector<Tile> tiles;
  // A tile costs what its last output sees: the one that is not full comes first. What it writes beyond its outputs is written over.
  for (int64_t first = 0, last = (jobs() - 1) % kernels_.tile + 1; first < jobs(); first = last, last += kernels_.tile) {
    Tile tile{first, last, 0, 0, {}};
    tile.last_input = g().pieces_seen(job(tile.last - 1).block);
    for (int64_t p = 0; p < tile.last_input; ++p) {
      for (int64_t o = first; o < first + kernels_.tile; ++o)
        tile.offsets.push_back(o < tile.last && sees(o, p) ? windows_.offset(static_cast<size_t>(o), p) : windows_.none());
    }
    tiles.push_back(std::move(tile));
  }
  return tiles;
}

template <class T, class R>
std::vector<typename ConvSpectral<T, R>::Tile> ConvSpectral<T, R>::transposed_tiles() const {
  std::vector<Tile> tiles;
  for (int64_t first = 0; first < pieces_; first += kernels_.tile) {
    Tile tile{first, std::min(first + kernels_.tile, pieces_), 0, jobs(), {}};
    while (tile.first_input < tile.last_input && !sees(tile.first_input, first)) ++tile.first_input;
    tile.offsets.assign(static_cast<size_t>(tile.first_input * kernels_.tile), windows_.none());
    for (int64_t o = tile.first_input; o < jobs(); ++o) {
      for (int64_t p = first; p < first + kernels_.tile; ++p)
        tile.offsets.push_back(p < tile.last && sees(o, p) ? windows_.offset(static_cast<size_t>(o), p) : windows_.none());
    }
    tiles.push_back(std::move(tile));
  }
  return tiles;
}

// The tiles' outputs from the inputs, a few frequencies per task: their part of all signals fits the second-level cache.
template <class T, class R>
void ConvSpectral<T, R>::multiply(const Team& team, const std::vector<Tile>& tiles, bool conjugate) {
  constexpr int64_t kFrequencies = SpectralLayout::kFrequencies, kLine = 64 / static_cast<int64_t>(sizeof(R));
  const int64_t inputs = tiles.back().last_input, stride = layout_.stride();
  // The processor does not see these runs coming: each is short.
  const auto prefetch = [&](const R* from, int64_t count) {
    for (int64_t s = 0; s < count; ++s) {
      for (int64_t e = 0; e < kFrequencies * layout_.row(); e += kLine) __builtin_prefetch(from + s * stride + e, 0, 2);
    }
  };
  team.run((layout_.length + kFrequencies - 1) / kFrequencies, [&](int64_t task, int64_t) {
    const int64_t first = task * kFrequencies, last = std::min(first + kFrequencies, layout_.length);
    prefetch(inputs_.get() + first * layout_.row(), inputs);
    prefetch(windows_.spectra() + first * layout_.row(), windows_.groups());
    for (const Tile& tile : tiles) {
      const simd::SpectralProduct<R> product{inputs_.get(),
                                             stride,
                                             tile.first_input,
                                             tile.last_input,
                                             windows_.spectra(),
                                             tile.offsets.data(),
                                             outputs_.get() + tile.first * stride,
                                             stride,
                                             first,
                                             last};
      (conjugate ? kernels_.product_conjugate : kernels_.product)(product);
    }
    team.monitor().advance(0);
  });
}

// What a job's row is multiplied by, beyond 1 / length.
template <class T, class R>
double ConvSpectral<T, R>::row_factor(const ConvJob& job, int64_t row) const {
  return task_.log2_sums != nullptr ? std::exp2(job.log2_reference - task_.log2_sums[row]) : 1.0;
}

// Rows [first, last) of x in their places in the block, times factors (by row of the block; NULL: ones) / scales, the others
// zero.
template <class T, class R>
void ConvSpectral<T, R>::load_rows(const View<const T, 2>& x, const std::vector<T>& scales, int64_t block, int64_t first,
                                   int64_t last, int64_t column, const R* factors, R* rows) const {
  const int64_t begin = block * g().block, row = layout_.row(), columns = columns_from(x, column);
  std::vector<R> inverse(static_cast<size_t>(columns));
  for (int64_t c = 0; c < columns; ++c) {
    const T scale = scales[static_cast<size_t>(column + c)];
    inverse[static_cast<size_t>(c)] = scale != 0 ? static_cast<R>(T{1} / scale) : R{0};
  }
  std::fill(rows, rows + (first - begin) * row, R{0});
  std::fill(rows + (last - begin) * row, rows + g().block * row, R{0});
  if constexpr (std::is_same_v<T, R>) {
    if (columns == row) {
      kernels_.scale_rows(x.at(first, column), x.strides[0], last - first, inverse.data(),
                          factors != nullptr ? factors + first - begin : nullptr, rows + (first - begin) * row, row);
      return;
    }
  }
  for (int64_t i = first; i < last; ++i) {
    R* const to = rows + (i - begin) * row;
    const T* const from = x.at(i, column);
    const R factor = factors != nullptr ? factors[i - begin] : R{1};
    for (int64_t c = 0; c < columns; ++c) to[c] = static_cast<R>(from[c]) * inverse[static_cast<size_t>(c)] * factor;
    std::fill(to + columns, to + row, R{0});
  }
}

template <class T, class R>
void ConvSpectral<T, R>::load_piece(const View<const T, 2>& x, const std::vector<T>& scales, const ConvPiece& piece,
                                    int64_t column, R* rows) const {
  load_rows(x, scales, piece.block, piece.first, piece.last, column, nullptr, rows);
}

template <class T, class R>
void ConvSpectral<T, R>::load_job(const View<const T, 2>& x, const std::vector<T>& scales, const ConvJob& job, int64_t column,
                                  R* rows) const {
  const int64_t first = job.block * g().block, last = std::min(first + g().block, g().n);
  std::vector<R> factors(static_cast<size_t>(last - first));
  for (int64_t i = first; i < last; ++i)
    factors[static_cast<size_t>(i - first)] = serves(job, i) ? static_cast<R>(row_factor(job, i)) : R{0};
  load_rows(x, scales, job.block, first, last, column, factors.data(), rows);
}

// y[first ..] = rows * factors * scales, or added to it.
template <class T, class R>
void ConvSpectral<T, R>::store_rows(const R* rows, int64_t first, int64_t count, const R* factors, const std::vector<T>& scales,
                                    int64_t column, StoreMode mode, const View<T, 2>& y) const {
  const int64_t row = layout_.row(), columns = std::min(row, y.shape[1] - column);
  const T* const scale = scales.data() + column;
  if constexpr (std::is_same_v<T, R>) {
    if (columns == row && y.strides[1] == 1 && mode == StoreMode::write) {
      kernels_.scale_rows(rows, row, count, scale, factors, y.at(first, column), y.strides[0]);
      return;
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const R* const from = rows + i * row;
    T* const to = y.at(first + i, column);
    for (int64_t c = 0; c < columns; ++c) {
      const T value = static_cast<T>(from[c] * factors[i]) * scale[c];
      T& place = to[c * y.strides[1]];
      place = mode == StoreMode::add ? place + value : value;
    }
  }
}

template <class T, class R>
void ConvSpectral<T, R>::store_job(const ConvJob& job, const R* rows, const std::vector<T>& scales, int64_t column,
                                   const View<T, 2>& y) const {
  const int64_t begin = job.block * g().block, end = std::min(begin + g().block, g().n);
  const double unit = 1.0 / static_cast<double>(g().length());
  std::vector<R> factors;
  for (int64_t i = begin; i < end; ++i) {  // by runs of rows that the job serves
    if (serves(job, i)) factors.push_back(static_cast<R>(row_factor(job, i) * unit));
    const auto count = static_cast<int64_t>(factors.size());
    if (count == 0 || (i + 1 < end && serves(job, i + 1))) continue;
    const int64_t first = i + 1 - count;
    if (serves(job, i))
      store_rows(rows + (first - begin) * layout_.row(), first, count, factors.data(), scales, column, StoreMode::write, y);
    factors.clear();
  }
}

template <class T, class R>
void ConvSpectral<T, R>::store_piece(const ConvPiece& piece, const R* rows, const std::vector<T>& scales, int64_t column,
                                     StoreMode mode, const View<T, 2>& y) const {
  const std::vector<R> factors(static_cast<size_t>(piece.last - piece.first), R{1} / static_cast<R>(g().length()));
  store_rows(rows + (piece.first - piece.block * g().block) * layout_.row(), piece.first, piece.last - piece.first,
             factors.data(), scales, column, mode, y);
}

template class ConvSpectral<float, float>;
template class ConvSpectral<float, double>;
template class ConvSpectral<double, double>;

}  // namespace subquad::attention
