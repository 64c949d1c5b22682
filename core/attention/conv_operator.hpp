// One head's conv basis, planned: a linear operator on columns, forward and transposed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/attention/conv_direct.hpp"
#include "core/attention/conv_plan.hpp"
#include "core/attention/conv_row_sums.hpp"
#include "core/attention/conv_spectral.hpp"
#include "core/base/views.hpp"
#include "core/base/workspace.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// What a product took: the largest over heads, of direct rows the sum.
struct ConvEffort {
  int64_t block = 0, layers = 0, direct_rows = 0;

  void join(const ConvEffort& other) {
    block = std::max(block, other.block);
    layers = std::max(layers, other.layers);
    direct_rows += other.direct_rows;
  }
};

struct ConvMode {
  ConvWeights weights = ConvWeights::softmax;
  bool strict_causal = false;
};

template <class T>
class ConvOperator {
 public:
  // columns: of the products to come, for the choice of what is cheap.
  ConvOperator(const Team& team, simd::Target target, Workspace& workspace, const ConvHead<T>& head, const ConvMode& mode,
               int64_t columns);
  ConvOperator(const ConvOperator&) = delete;  // parts refer to each other
  ConvOperator& operator=(const ConvOperator&) = delete;

  // y = W x and y = W' x. x has contiguous columns. Transposed: not with strict_causal.
  void forward(const Team& team, const View<const T, 2>& x, const View<T, 2>& y);
  void transposed(const Team& team, const View<const T, 2>& x, const View<T, 2>& y);

  // Per row, for softmax weights.
  const std::vector<double>& log2_sums() const { return sums_.log2_sums; }
  ConvEffort effort() const;

 private:
  ConvPlan plan(const Team& team, const ConvCosts& costs);
  const double* log2_sums_or_null() const { return mode_.weights == ConvWeights::softmax ? sums_.log2_sums.data() : nullptr; }

  // Calls use(transforms) for the jobs beyond the first of each block, as many at a time as memory allows.
  template <class Use>
  void for_extra_jobs(const Team& team, const Use& use);

  // Runs of rows for direct products that lie in one block.
  struct DirectGroup {
    int64_t first, rows;
  };
  bool is_direct(int64_t row) const { return plan_.row_job[static_cast<size_t>(row)] == kDirectRow; }
  std::vector<DirectGroup> direct_groups() const;
  void direct_forward(const Team& team, const View<const T, 2>& x, const View<T, 2>& y);
  void near_forward(const Team& team, const View<const T, 2>& x, const View<T, 2>& y);
  void direct_transposed(const Team& team, const View<const T, 2>& x, const View<T, 2>& y);

  simd::Target target_;
  Workspace& workspace_;
  ConvMode mode_;
  int64_t n_;
  std::vector<ConvSegment<T>> segments_;
  ConvRowSums sums_;
  ConvPlan plan_;
  ConvTask<T> task_;
  ConvDirect<T> direct_;
  std::optional<ConvSpectral<T, T>> transforms_;
};

}  // namespace subquad::attention
