// Products of a planned conv basis by transforms: blocks of rows in the frequency domain.
//   Y^_i = sum over pieces p of block c <= i of K^_(s,i-c) V^_p,   s the piece's segment, K_(s,l) its kernel at lags of l blocks
//   +- one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/attention/conv_windows.hpp"
#include "core/base/views.hpp"

namespace subquad::attention {

enum class StoreMode { write, add };

// R: the type that transforms compute in.
template <class T, class R>
class ConvSpectral {
 public:
  // The task must outlive this. jobs: in the order of their blocks, at least one.
  ConvSpectral(const Team& team, simd::Target target, Workspace& workspace, const ConvTask<T>& task, std::vector<ConvJob> jobs,
               WindowSharing sharing);

  // Rows of y that the jobs serve. scales: per column a power of two with |x / scale| < 2, or 0 for a column of zeros.
  // x has contiguous columns.
  void forward(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, const View<T, 2>& y);
  // y = or += the transposed product with those rows of x.
  void transposed(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, StoreMode mode, const View<T, 2>& y);

  // Bytes of spectra that one job with windows of its own takes, for bounding the number of jobs at a time.
  static int64_t bytes_per_job(const ConvGeometry& geometry) {
    return static_cast<int64_t>(geometry.pieces.size()) * geometry.length() * 2 * static_cast<int64_t>(sizeof(R));
  }

 private:
  // Outputs [first, last) of a product, and the inputs they take.
  struct Tile {
    int64_t first, last, first_input, last_input;
    std::vector<int64_t> offsets;
  };

  const ConvGeometry& g() const { return task_.plan.geometry; }
  int64_t jobs() const { return static_cast<int64_t>(jobs_.size()); }
  const ConvPiece& piece(int64_t p) const { return g().pieces[static_cast<size_t>(p)]; }
  const ConvJob& job(int64_t o) const { return jobs_[static_cast<size_t>(o)]; }
  bool sees(int64_t o, int64_t p) const { return p < g().pieces_seen(job(o).block); }
  bool serves(const ConvJob& job, int64_t row) const { return task_.plan.row_job[static_cast<size_t>(row)] == job.id; }
  std::vector<T> result_scales(std::vector<T> scales) const;
  double row_factor(const ConvJob& job, int64_t row) const;
  int64_t columns_from(const View<const T, 2>& x, int64_t column) const { return std::min(layout_.row(), x.shape[1] - column); }

  std::vector<Tile> forward_tiles() const;
  std::vector<Tile> transposed_tiles() const;
  void multiply(const Team& team, const std::vector<Tile>& tiles, bool conjugate);

  void load_piece(const View<const T, 2>& x, const std::vector<T>& scales, const ConvPiece& piece, int64_t column, R* rows) const;
  void load_job(const View<const T, 2>& x, const std::vector<T>& scales, const ConvJob& job, int64_t column, R* rows) const;
  void load_rows(const View<const T, 2>& x, const std::vector<T>& scales, int64_t block, int64_t first, int64_t last,
                 int64_t column, const R* factors, R* rows) const;
  void store_job(const ConvJob& job, const R* rows, const std::vector<T>& scales, int64_t column, const View<T, 2>& y) const;
  void store_piece(const ConvPiece& piece, const R* rows, const std::vector<T>& scales, int64_t column, StoreMode mode,
                   const View<T, 2>& y) const;
  void store_rows(const R* rows, int64_t first, int64_t count, const R* factors, const std::vector<T>& scales, int64_t column,
                  StoreMode mode, const View<T, 2>& y) const;

  const simd::SpectralKernels<R>& kernels_;
  Workspace& workspace_;
  const ConvTask<T>& task_;
  const std::vector<ConvJob> jobs_;
  const SpectralLayout layout_;
  const int64_t pieces_;  // that some job sees
  Lease<R> twiddles_;
  ConvWindows<T, R> windows_;
  Lease<R> inputs_, outputs_;
};

}  // namespace subquad::attention
