// Spectra of kernels at windows of lags, as products of blocks need them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/conv_plan.hpp"
#include "core/base/workspace.hpp"
#include "core/parallel/team.hpp"
#include "core/simd/spectral_kernels.hpp"

namespace subquad::attention {

// What jobs multiply: T the arrays' type.
template <class T>
struct ConvTask {
  const std::vector<ConvSegment<T>>& segments;
  const ConvPlan& plan;
  const double* log2_sums;  // per row: weights are exp(entry) / 2^log2_sum; NULL: the entries themselves
};

// Whether jobs use the same windows (one reference, no cutoff), or each has its own.
enum class WindowSharing { shared, own };

// Layout of spectra, and of signals that are multiplied by them: `frequencies` more than a power of two apart, which would map all to
// the same places of a cache.
struct SpectralLayout {
  static constexpr int64_t kFrequencies = 16;  // that a task of a product takes

  int64_t length, lanes;

  int64_t row() const { return 2 * lanes; }  // numbers per frequency
  int64_t stride() const { return (length + kFrequencies) * row(); }
};

// R: the type that transforms compute in.
template <class T, class R>
class ConvWindows {
 public:
  // twiddles: of transforms of the geometry's length.
  ConvWindows(const Team& team, const simd::SpectralKernels<R>& kernels, const R* twiddles, Workspace& workspace,
              const ConvTask<T>& task, const std::vector<ConvJob>& jobs, WindowSharing sharing);

  const R* spectra() const { return spectra_.get(); }
  int64_t groups() const { return (count() + kernels_.lanes - 1) / kernels_.lanes; }  // of signals side by side

  // Where in spectra() the window between a job and the p-th piece, which it sees, has its real part at frequency 0.
  int64_t offset(size_t job, int64_t p) const;
  // The same of a window of zeros.
  int64_t none() const { return groups() * layout_.stride(); }

 private:
  struct Window {
    int64_t segment, lag_block;
    double log2_reference, log2_cutoff;
  };

  const ConvGeometry& g() const { return task_.plan.geometry; }
  int64_t count() const { return static_cast<int64_t>(windows_.size()); }
  int64_t scratch_stride() const { return layout_.length + SpectralLayout::kFrequencies; }  // before signals are side by side
  void list_shared();
  void list_own();
  void fill(const Window& window, R* entries) const;
  void compute_group(int64_t group, const R* twiddles, R* scratch);

  const simd::SpectralKernels<R>& kernels_;
  const ConvTask<T>& task_;
  const std::vector<ConvJob>& jobs_;
  const WindowSharing sharing_;
  const SpectralLayout layout_;
  std::vector<Window> windows_;
  std::vector<int64_t> first_;  // number of the first window of a segment (shared) or of a job (own)
  Lease<R> spectra_;
};

}  // namespace subquad::attention
