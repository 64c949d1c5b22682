#include "core/attention/conv_windows.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/attention/layout.hpp"
#include "core/parallel/new_memory.hpp"

namespace subquad::attention {

template <class T, class R>
ConvWindows<T, R>::ConvWindows(const Team& team, const simd::SpectralKernels<R>& kernels, const R* twiddles, Workspace& workspace,
                               const ConvTask<T>& task, const std::vector<ConvJob>& jobs, WindowSharing sharing)
    : kernels_(kernels), task_(task), jobs_(jobs), sharing_(sharing), layout_{task.plan.geometry.length(), kernels.lanes} {
  if (sharing == WindowSharing::shared) {
    list_shared();
  } else {
    list_own();
  }
  reserve_mapped(team, workspace, spectra_, (groups() + 1) * layout_.stride());
  std::fill(spectra_.get() + none(), spectra_.get() + none() + layout_.stride(), R{0});
  const int64_t size = kernels.lanes * scratch_stride();
  const Lease<R> scratch(workspace, team.size() * size);
  team.run(groups(), [&](int64_t group, int64_t member) {
    compute_group(group, twiddles, scratch.get() + member * size);
    team.monitor().advance(0);
  });
}

template <class T, class R>
void ConvWindows<T, R>::list_shared() {
  const ConvJob& any = jobs_.front();
  for (size_t s = 0; s < task_.segments.size(); ++s) {
    first_.push_back(count());
    for (int64_t lag_block = 0; lag_block <= jobs_.back().block - g().first_block[s]; ++lag_block)
      windows_.push_back({static_cast<int64_t>(s), lag_block, any.log2_reference, any.log2_cutoff});
  }
}

template <class T, class R>
void ConvWindows<T, R>::list_own() {
  for (const ConvJob& job : jobs_) {
    first_.push_back(count());
    for (int64_t p = 0; p < g().pieces_seen(job.block); ++p) {
      const ConvPiece& piece = g().pieces[static_cast<size_t>(p)];
      windows_.push_back({piece.segment, job.block - piece.block, job.log2_reference, job.log2_cutoff});
    }
  }
}

template <class T, class R>
int64_t ConvWindows<T, R>::offset(size_t job, int64_t p) const {
  const ConvPiece& piece = g().pieces[static_cast<size_t>(p)];
  const int64_t window = sharing_ == WindowSharing::own
                             ? first_[job] + p
                             : first_[static_cast<size_t>(piece.segment)] + jobs_[job].block - piece.block;
  return window / kernels_.lanes * layout_.stride() + window % kernels_.lanes;
}

// entries[t] = the weight at lag (lag_block - 1) * block + t, t < length; 0 where there is none.
template <class T, class R>
void ConvWindows<T, R>::fill(const Window& window, R* entries) const {
  const ConvSegment<T>& segment = task_.segments[static_cast<size_t>(window.segment)];
  const int64_t first_lag = (window.lag_block - 1) * g().block, length = layout_.length,
                begin = std::clamp<int64_t>(-first_lag, 0, length),
                end = std::clamp<int64_t>(g().n - segment.first - first_lag, begin, length);
  std::fill(entries, entries + begin, R{0});
  std::fill(entries + end, entries + length, R{0});
  const double limit = window.log2_cutoff - window.log2_reference;
  if (task_.log2_sums == nullptr) {
    const double factor = std::exp2(-window.log2_reference);
    for (int64_t t = begin; t < end; ++t) entries[t] = static_cast<R>(static_cast<double>(segment.entry(first_lag + t)) * factor);
  } else if (segment.kernel == nullptr) {
    const double exponent = -window.log2_reference;
    std::fill(entries + begin, entries + end, exponent <= limit ? static_cast<R>(std::exp2(exponent)) : R{0});
  } else {
    const simd::PowerRange range{kLog2E, window.log2_reference, limit};
    const T* const from = segment.kernel + first_lag + begin;
    if constexpr (std::is_same_v<T, R>) {
      kernels_.powers(from, end - begin, range, entries + begin);
    } else {
      kernels_.powers_of_float(from, end - begin, range, entries + begin);
    }
  }
}

// Spectra of as many windows as a vector has lanes, side by side.
template <class T, class R>
void ConvWindows<T, R>::compute_group(int64_t group, const R* twiddles, R* scratch) {
  const int64_t lanes = kernels_.lanes, apart = scratch_stride(), first = group * lanes,
                present = std::min(lanes, count() - first);
  for (int64_t m = 0; m < present; ++m) fill(windows_[static_cast<size_t>(first + m)], scratch + m * apart);
  std::fill(scratch + present * apart, scratch + lanes * apart, R{0});
  R* const rows = spectra_.get() + group * layout_.stride();
  // The window's later half comes first: its earlier lags wrap around to the end.
  kernels_.lay_side_by_side(scratch + g().block, apart, g().block, rows);
  kernels_.lay_side_by_side(scratch, apart, g().block, rows + g().block * layout_.row());
  kernels_.transform(rows, layout_.length, twiddles);
}

template class ConvWindows<float, float>;
template class ConvWindows<float, double>;
template class ConvWindows<double, double>;

}  // namespace subquad::attention
