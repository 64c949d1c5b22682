#include "core/attention/conv_operator.hpp"

#include <algorithm>
#include <cmath>

#include "core/attention/for_heads.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kChunk = 4096;  // rows per task of a pass over an operand

// Per column a power of two s with |x| < 2 s, so that no column's rounding errors drown another's; 0 for a column of zeros.
template <class T>
std::vector<T> column_scales(const Team& team, const View<const T, 2>& x) {
  const int64_t rows = x.shape[0], columns = x.shape[1], chunks = (rows + kChunk - 1) / kChunk;
  std::vector<std::vector<T>> largest(static_cast<size_t>(chunks));
  team.run(chunks, [&](int64_t chunk, int64_t) {
    auto& own = largest[static_cast<size_t>(chunk)];
    own.assign(static_cast<size_t>(columns), T{0});
    for (int64_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, rows); ++i) {
      const T* const row = x.at(i);
      for (int64_t c = 0; c < columns; ++c)
        own[static_cast<size_t>(c)] = std::max(own[static_cast<size_t>(c)], std::fabs(row[c]));
    }
    team.monitor().advance(0);
  });
  std::vector<T> scales(static_cast<size_t>(columns), T{1});
  for (int64_t c = 0; c < columns; ++c) {
    T most = 0;
    for (const auto& own : largest) most = std::max(most, own[static_cast<size_t>(c)]);
    // Kept away from the ends of the range, so that the scale's inverse is a number too.
    constexpr int kMost = sizeof(T) == 4 ? 126 : 1022;
    if (most == 0) scales[static_cast<size_t>(c)] = 0;
    if (most > 0 && std::isfinite(most))
      scales[static_cast<size_t>(c)] = std::ldexp(T{1}, std::clamp(std::ilogb(most), -kMost, kMost));
  }
  return scales;
}

template <class T>
double log2_largest_entry(const std::vector<ConvSegment<T>>& segments, int64_t n) {
  double largest = 0;
  for (const auto& segment : segments) {
    for (int64_t t = 0; t < n - segment.first; ++t) largest = std::max(largest, std::fabs(static_cast<double>(segment.entry(t))));
  }
  constexpr double kMost = 1000;  // 2^-kMost is a number, too
  return largest > 0 ? std::clamp(std::ceil(std::log2(largest)), -kMost, kMost) : 0;
}

}  // namespace

template <class T>
ConvOperator<T>::ConvOperator(const Team& team, simd::Target target, Workspace& workspace, const ConvHead<T>& head,
                              const ConvMode& mode, int64_t columns)
    : target_(target),
      workspace_(workspace),
      mode_(mode),
      n_(head.n()),
      segments_(conv_segments(head, mode.weights)),
      plan_(plan(team, {columns, simd::spectral_kernels<T>(target).lanes})),
      task_{segments_, plan_, log2_sums_or_null()},
      direct_(segments_, log2_sums_or_null(), n_, target) {
  if (!plan_.jobs.empty()) transforms_.emplace(team, target, workspace, task_, plan_.jobs, WindowSharing::shared);
}

template <class T>
ConvPlan ConvOperator<T>::plan(const Team& team, const ConvCosts& costs) {
  ConvGeometry geometry = conv_geometry<T>(segments_, n_, mode_.strict_causal, costs);
  const int64_t lag_block = geometry.block > 0 ? geometry.block : n_;
  if (mode_.weights == ConvWeights::softmax) sums_ = conv_row_sums<T>(team, target_, workspace_, segments_, n_, lag_block);
  if (geometry.block == 0) {
    ConvPlan plan;
    plan.geometry = std::move(geometry);
    plan.row_job.assign(static_cast<size_t>(n_), kDirectRow);
    return plan;
  }
  if (mode_.weights == ConvWeights::softmax) return conv_plan_softmax<T>(std::move(geometry), sums_, costs);
  return conv_plan_logits(std::move(geometry), log2_largest_entry(segments_, n_));
}

template <class T>
ConvEffort ConvOperator<T>::effort() const {
  ConvEffort effort{plan_.geometry.block, plan_.most_layers, 0};
  effort.direct_rows = std::count(plan_.row_job.begin(), plan_.row_job.end(), kDirectRow);
  return effort;
}

template <class T>
void ConvOperator<T>::forward(const Team& team, const View<const T, 2>& x, const View<T, 2>& y) {
  if (transforms_) {
    // Scales look at all values, and scaled small values may lose bits: not with strict_causal.
    const std::vector<T> scales =
        mode_.strict_causal ? std::vector<T>(static_cast<size_t>(x.shape[1]), T{1}) : column_scales(team, x);
    transforms_->forward(team, x, scales, y);
    for_extra_jobs(team, [&](auto& transforms) { transforms.forward(team, x, scales, y); });
    if (mode_.strict_causal) near_forward(team, x, y);
  }
  direct_forward(team, x, y);
}

template <class T>
void ConvOperator<T>::transposed(const Team& team, const View<const T, 2>& x, const View<T, 2>& y) {
  fill_zero(team, y);
  if (transforms_) {
    const std::vector<T> scales = column_scales(team, x);
    transforms_->transposed(team, x, scales, StoreMode::write, y);
    for_extra_jobs(team, [&](auto& transforms) { transforms.transposed(team, x, scales, StoreMode::add, y); });
  }
  direct_transposed(team, x, y);
}

template <class T>
template <class Use>
void ConvOperator<T>::for_extra_jobs(const Team& team, const Use& use) {
  using Transforms = ConvSpectral<T, double>;
  constexpr int64_t kBytes = int64_t{1} << 27;
  const auto per_batch =
      static_cast<size_t>(std::max<int64_t>(1, kBytes / std::max<int64_t>(1, Transforms::bytes_per_job(plan_.geometry))));
  const auto& jobs = plan_.extra_jobs;
  for (size_t first = 0; first < jobs.size(); first += per_batch) {
    const size_t last = std::min(first + per_batch, jobs.size());
    Transforms transforms(team, target_, workspace_, task_,
                          {jobs.begin() + static_cast<int64_t>(first), jobs.begin() + static_cast<int64_t>(last)},
                          WindowSharing::own);
    use(transforms);
  }
}

template <class T>
std::vector<typename ConvOperator<T>::DirectGroup> ConvOperator<T>::direct_groups() const {
  std::vector<DirectGroup> groups;
  const int64_t step = direct_.group();
  for (int64_t first = 0; first < n_; first += step) {
    const int64_t rows = std::min(step, n_ - first);
    bool any = false;
    for (int64_t i = first; i < first + rows; ++i) any |= is_direct(i);
    if (any) groups.push_back({first, rows});
  }
  return groups;
}

// Rows that no transform serves, against all keys.
template <class T>
void ConvOperator<T>::direct_forward(const Team& team, const View<const T, 2>& x, const View<T, 2>& y) {
  const std::vector<DirectGroup> groups = direct_groups();
  if (groups.empty()) return;
  const int64_t columns = x.shape[1], size = round_up(direct_.scratch() + columns * direct_.group(), 16);
  const Lease<T> scratch(workspace_, team.size() * size);
  team.run(static_cast<int64_t>(groups.size()), [&](int64_t task, int64_t member) {
    const DirectGroup& group = groups[groups.size() - 1 - static_cast<size_t>(task)];  // the longest first
    T *const o_t = scratch.get() + member * size, *const rest = o_t + columns * direct_.group();
    std::fill(o_t, rest, T{0});
    direct_.forward(group.first, group.rows, 0, n_, x, team.monitor(), rest, o_t);
    const int64_t stride = direct_.padded(group.rows);
    for (int64_t i = 0; i < group.rows; ++i) {
      if (!is_direct(group.first + i)) continue;
      for (int64_t c = 0; c < columns; ++c) *y.at(group.first + i, c) = o_t[c * stride + i];
    }
    team.monitor().advance(transforms_ ? 0 : group.rows * columns);
  });
}

// The keys of their own block, for the rows that transforms serve.
template <class T>
void ConvOperator<T>::near_forward(const Team& team, const View<const T, 2>& x, const View<T, 2>& y) {
  const int64_t block = plan_.geometry.block, columns = x.shape[1], step = direct_.group(),
                size = round_up(direct_.scratch() + columns * step, 16);
  const Lease<T> scratch(workspace_, team.size() * size);
  team.run(plan_.geometry.blocks(), [&](int64_t task, int64_t member) {
    T *const o_t = scratch.get() + member * size, *const rest = o_t + columns * step;
    const int64_t first_key = task * block, last = std::min(first_key + block, n_);
    for (int64_t first = first_key; first < last; first += step) {
      const int64_t rows = std::min(step, last - first), stride = direct_.padded(rows);
      std::fill(o_t, rest, T{0});
      direct_.forward(first, rows, first_key, last, x, team.monitor(), rest, o_t);
      for (int64_t i = 0; i < rows; ++i) {
        if (is_direct(first + i)) continue;
        for (int64_t c = 0; c < columns; ++c) *y.at(first + i, c) += o_t[c * stride + i];
      }
    }
    team.monitor().advance(0);
  });
}

template <class T>
void ConvOperator<T>::direct_transposed(const Team& team, const View<const T, 2>& x, const View<T, 2>& y) {
  constexpr int64_t kKeys = simd::kKeyBlock;
  const std::vector<DirectGroup> groups = direct_groups();
  if (groups.empty()) return;
  const int64_t columns = x.shape[1], padded = direct_.padded(columns), step = direct_.group(), tasks = (n_ + kKeys - 1) / kKeys,
                size = round_up(direct_.scratch() + (step + kKeys) * padded, 16);
  const Lease<T> scratch(workspace_, team.size() * size);
  team.run(tasks, [&](int64_t task, int64_t member) {
    const int64_t first_key = task * kKeys, last_key = std::min(first_key + kKeys, n_);
    T *const out = scratch.get() + member * size, *const x_rows = out + kKeys * padded, *const rest = x_rows + step * padded;
    std::fill(out, x_rows, T{0});
    for (const DirectGroup& group : groups) {
      if (group.first + group.rows <= first_key) continue;
      std::fill(x_rows, rest, T{0});
      for (int64_t i = 0; i < group.rows; ++i) {
        const T* const from = x.at(group.first + i);
        if (is_direct(group.first + i)) std::copy(from, from + columns, x_rows + i * padded);
      }
      direct_.transposed(group.first, group.rows, first_key, last_key, x_rows, columns, rest, out);
      team.monitor().advance(0);
    }
    for (int64_t j = first_key; j < last_key; ++j) {
      for (int64_t c = 0; c < columns; ++c) *y.at(j, c) += out[(j - first_key) * padded + c];
    }
    team.monitor().advance(transforms_ ? 0 : (last_key - first_key) * columns);
  });
}

template class ConvOperator<float>;
template class ConvOperator<double>;

}  // namespace subquad::attention
