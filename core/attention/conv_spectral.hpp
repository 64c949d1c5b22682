// Products of a planned conv basis by transforms: blocks of rows in the frequency domain.
//   Y^_i = sum over pieces p of block c <= i of K^_(s,i-c) V^_p,   s the piece's segment, K_(s,l) its kernel at lags of l blocks +- one.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/conv_plan.hpp"
#include "core/base/views.hpp"
#include "core/base/workspace.hpp"
#include "core/parallel/team.hpp"
#include "core/simd/spectral_kernels.hpp"

namespace subquad::attention {

// What jobs multiply, and how rows take part: T the arrays' type.
template <class T>
struct ConvTask {
  const std::vector<ConvSegment<T>>& segments;
  const ConvPlan& plan;
  const double* log2_sums;  // per row: weights are exp(entry) / 2^log2_sum; NULL: the entries themselves
};

enum class StoreMode { write, add };

// R: the type that transforms compute in.
template <class T, class R>
class ConvSpectral {
 public:
  // Computes the spectra of all kernels that `jobs` need. shared: kernels are the same for every job of one reference.
  enum class Windows { shared, own };
  ConvSpectral(const Team& team, simd::Target target, Workspace& workspace, const ConvTask<T>& task, std::vector<ConvJob> jobs,
               Windows windows);

  // Rows of y that these jobs serve. scales: per column a power of two with |x / scale| < 2, or 0 for a column of zeros.
  // x has contiguous columns.
  void forward(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, const View<T, 2>& y);
  // y = or += the transposed product with those rows of x.
  void transposed(const Team& team, const View<const T, 2>& x, const std::vector<T>& scales, StoreMode mode, const View<T, 2>& y);

  // Bytes of spectra of kernels that one job of its own takes, for bounding the number of jobs at a time.
  static int64_t bytes_per_job(const ConvGeometry& geometry) {
    return static_cast<int64_t>(geometry.pieces.size()) * geometry.length() * 2 * static_cast<int64_t>(sizeof(R));
  }

 private:
  struct Window {
    int64_t segment, lag_block;
    double log2_reference, log2_cutoff;
  };
  // Outputs [first, last) of a product, and the inputs they take.
  struct Tile {
    int64_t first, last, first_input, last_input;
    std::vector<int64_t> offsets;
  };

  const ConvGeometry& g() const { return task_.plan.geometry; }
  int64_t row_size() const { return 2 * kernels_.lanes; }
  // Apart by a little more than a power of two, which would map all to the same places of a cache.
  int64_t stride() const { return (g().length() + kFrequencies) * row_size(); }
  int64_t scratch_stride() const { return g().length() + kFrequencies; }  // between windows that are not yet side by side
  int64_t pieces() const { return static_cast<int64_t>(seen_); }

  void list_windows(Windows windows);
  int64_t window_of(size_t job, const ConvPiece& piece, size_t piece_index) const;
  int64_t offset_of(int64_t window) const { return window / kernels_.lanes * stride() + window % kernels_.lanes; }
  void compute_window_group(int64_t group, R* scratch);
  void fill_window(const Window& window, R* entries) const;
  std::vector<Tile> forward_tiles() const;
  std::vector<Tile> transposed_tiles() const;

  void load_piece(const View<const T, 2>& x, const std::vector<T>& scales, const ConvPiece& piece, int64_t first_column,
                  R* rows) const;
  void load_job(const View<const T, 2>& x, const std::vector<T>& scales, const ConvJob& job, int64_t first_column, R* rows) const;
  void load_rows(const View<const T, 2>& x, const std::vector<T>& scales, int64_t block, int64_t first, int64_t last,
                 int64_t first_column, const R* factors, R* rows) const;
  void multiply(const Team& team, const std::vector<Tile>& tiles, bool conjugate);
  void store_job(const ConvJob& job, const R* rows, const std::vector<T>& scales, int64_t first_column, const View<T, 2>& y) const;
  void store_piece(const ConvPiece& piece, const R* rows, const std::vector<T>& scales, int64_t first_column, StoreMode mode,
                   const View<T, 2>& y) const;
  void store_rows(const R* rows, int64_t first, int64_t count, const R* factors, const std::vector<T>& scales,
                  int64_t first_column, StoreMode mode, const View<T, 2>& y) const;
  bool serves(const ConvJob& job, int64_t row) const { return task_.plan.row_job[static_cast<size_t>(row)] == job.id; }
  double row_factor(const ConvJob& job, int64_t row) const;

  static constexpr int64_t kFrequencies = 16;  // per task of a product

  const simd::SpectralKernels<R>& kernels_;
  Workspace& workspace_;
  ConvTask<T> task_;
  std::vector<ConvJob> jobs_;
  int64_t seen_ = 0;                     // pieces that some job sees
  std::vector<Window> windows_;
  std::vector<int64_t> first_window_;    // of a segment (shared) or of a job (own)
  bool shared_ = true;
  Lease<R> twiddles_, spectra_;
  Lease<R> inputs_, outputs_;
};

}  // namespace subquad::attention
