#include "core/sparsify/column_search.hpp"

#include <algorithm>
#include <numeric>

namespace subquad::sparsify {

ColumnSearch::ColumnSearch(Execution& run, const SelectionColumns& columns)
    : columns_(columns),
      leaves_(columns.leaves()),
      tree_(run, columns),
      test_(run.workspace, columns.size() * columns.size()),
      totals_(run.workspace, tree_.leaves()) {
  int64_t widest = 0;
  for (size_t leaf = 0; leaf + 1 < leaves_.size(); ++leaf) widest = std::max(widest, leaves_[leaf + 1] - leaves_[leaf]);
  values_ = Lease<double>(run.workspace, widest);
}

const std::vector<int64_t>& ColumnSearch::candidates(Monitor& monitor, const double* m, int64_t count) {
  columns_.test_matrix(m, test_.get());
  if (search_leaf(m, tree_.descend(monitor, test_.get()), count)) return found_;

  tree_.leaf_totals(monitor, totals_.get());
  std::vector<int64_t> order(static_cast<size_t>(tree_.leaves()));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return totals_.get()[a] > totals_.get()[b]; });
  std::vector<int64_t> best;
  double best_value = 0;
  for (const int64_t leaf : order) {
    if (search_leaf(m, leaf, count)) return found_;
    if (found_.empty()) continue;
    const double value = values_.get()[found_.front() - leaves_[static_cast<size_t>(leaf)]];
    if (best.empty() || value > best_value) {
      best = found_;
      best_value = value;
    }
  }
  found_ = best;
  return found_;
}

// Whether the leaf has columns with more than 0; found_ is those, or else the best one that is not zero.
bool ColumnSearch::search_leaf(const double* m, int64_t leaf, int64_t count) {
  const int64_t first = leaves_[static_cast<size_t>(leaf)], last = leaves_[static_cast<size_t>(leaf) + 1];
  const double* const values = values_.get();
  columns_.test_columns(m, test_.get(), first, last, values_.get());
  found_.clear();
  for (int64_t j = first; j < last; ++j) {
    if (values[j - first] != 0) found_.push_back(j);  // a zero column has 0
  }
  const auto larger = [&](int64_t a, int64_t b) {
    return values[a - first] > values[b - first] || (values[a - first] == values[b - first] && a < b);
  };
  const auto kept = std::min(count, static_cast<int64_t>(found_.size()));
  std::partial_sort(found_.begin(), found_.begin() + kept, found_.end(), larger);
  found_.resize(static_cast<size_t>(kept));
  if (found_.empty()) return false;
  const bool passes = values[found_.front() - first] > 0;
  while (found_.size() > 1 && !(values[found_.back() - first] > 0)) found_.pop_back();
  return passes;
}

}  // namespace subquad::sparsify
