#include "core/attention/low_levels.hpp"

#include <algorithm>
#include <cmath>

namespace subquad::attention {

namespace {

constexpr int64_t kTopNodes = 512;  // a level with no more nodes is not summed up further

// Sums of keys and values of the nodes of a level, in floats.
struct NodeSums {
  int64_t d, d_v;
  std::vector<float> rows;        // [node][d + d_v]
  std::vector<int64_t> counts;    // keys of each node
  std::vector<int32_t> position;  // of its last key

  NodeSums(int64_t nodes, int64_t key_columns, int64_t value_columns)
      : d(key_columns),
        d_v(value_columns),
        rows(static_cast<size_t>(nodes * (d + d_v)), 0.0f),
        counts(static_cast<size_t>(nodes), 0),
        position(static_cast<size_t>(nodes), 0) {}
  int64_t nodes() const { return static_cast<int64_t>(counts.size()); }
  float* row(int64_t node) { return rows.data() + node * (d + d_v); }
};

template <class T>
NodeSums sum_keys(const Team& team, const View<const T, 2>& k, const View<const T, 2>& v, const std::vector<int64_t>& left_out) {
  const int64_t n = k.shape[0];
  NodeSums sums((n + simd::kGroupKeys - 1) / simd::kGroupKeys, k.shape[1], v.shape[1]);
  constexpr int64_t kNodesPerTask = 64;
  team.run((sums.nodes() + kNodesPerTask - 1) / kNodesPerTask, [&](int64_t task, int64_t) {
    std::vector<float> buffer;
    for (int64_t node = task * kNodesPerTask; node < std::min((task + 1) * kNodesPerTask, sums.nodes()); ++node) {
      float* const sum = sums.row(node);
      const int64_t last = std::min((node + 1) * simd::kGroupKeys, n);
      for (int64_t j = node * simd::kGroupKeys; j < last; ++j) {
        if (std::binary_search(left_out.begin(), left_out.end(), j)) continue;
        const float* const key = float_row(k, j, buffer);
        for (int64_t c = 0; c < sums.d; ++c) sum[c] += key[c];
        const float* const value = float_row(v, j, buffer);
        for (int64_t c = 0; c < sums.d_v; ++c) sum[sums.d + c] += value[c];
        ++sums.counts[static_cast<size_t>(node)];
      }
      sums.position[static_cast<size_t>(node)] = static_cast<int32_t>(last - 1);
    }
    team.monitor().advance(0);
  });
  return sums;
}

NodeSums sum_nodes(NodeSums& children) {
  NodeSums sums((children.nodes() + simd::kGroupKeys - 1) / simd::kGroupKeys, children.d, children.d_v);
  for (int64_t child = 0; child < children.nodes(); ++child) {
    const int64_t node = child / simd::kGroupKeys;
    for (int64_t c = 0; c < sums.d + sums.d_v; ++c) sums.row(node)[c] += children.row(child)[c];
    sums.counts[static_cast<size_t>(node)] += children.counts[static_cast<size_t>(child)];
    sums.position[static_cast<size_t>(node)] = children.position[static_cast<size_t>(child)];
  }
  return sums;
}

LowKeys centroids(Workspace& workspace, const simd::LowPrecisionKernels& kernels, NodeSums& sums,
                  const std::vector<float>& center) {
  LowKeys nodes(workspace, sums.d, sums.d_v, sums.nodes());
  std::vector<float> mean(static_cast<size_t>(sums.d + sums.d_v));
  float largest = 0;
  for (int64_t node = 0; node < sums.nodes(); ++node) {
    const int64_t count = sums.counts[static_cast<size_t>(node)];
    const float inverse = count > 0 ? 1 / static_cast<float>(count) : 0;
    for (size_t c = 0; c < mean.size(); ++c) mean[c] = sums.row(node)[c] * inverse;
    nodes.set_key(kernels, node, mean.data(), center.data(), sums.d, sums.position[static_cast<size_t>(node)],
                  std::log2(static_cast<float>(std::max<int64_t>(count, 1))));
    largest = std::max(largest, nodes.set_value(kernels, node, mean.data() + sums.d, sums.d_v, largest * kLeastValueScale));
    if (count == 0) nodes.hide(node);
  }
  return nodes;
}

}  // namespace

template <class T>
LowLevels LowLevels::build(const Team& team, Workspace& workspace, const simd::LowPrecisionKernels& kernels,
                           const View<const T, 2>& k, const View<const T, 2>& v, const std::vector<float>& center,
                           const std::vector<int64_t>& left_out) {
  LowLevels levels;
  NodeSums sums = sum_keys(team, k, v, left_out);
  while (true) {
    levels.levels_.push_back(centroids(workspace, kernels, sums, center));
    if (sums.nodes() <= kTopNodes) return levels;
    sums = sum_nodes(sums);
    team.monitor().advance(0);
  }
}

#define SUBQUAD_INSTANTIATE(T)                                                                                               \
  template LowLevels LowLevels::build<T>(const Team&, Workspace&, const simd::LowPrecisionKernels&, const View<const T, 2>&, \
                                         const View<const T, 2>&, const std::vector<float>&, const std::vector<int64_t>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
