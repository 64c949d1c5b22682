// Method: [BSS, theorem 3.1], with the tree of [SPARS] to find columns. Differs: the column of a leaf with the most room between its
// bounds is taken, not any that has room.
#include "core/sparsify/barriers.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/linalg/symmetric.hpp"
#include "core/sparsify/barrier_functions.hpp"
#include "core/sparsify/gram_tree.hpp"

namespace subquad::sparsify {

namespace {

// Looks for the next column.
class Search {
 public:
  Search(Execution& run, const SelectionColumns& columns)
      : run_(run),
        columns_(columns),
        leaves_(columns.leaves()),
        tree_(run, columns),
        test_(run.workspace, columns.size() * columns.size()),
        totals_(run.workspace, tree_.leaves()) {
    int64_t most = 0;
    for (int64_t leaf = 0; leaf < tree_.leaves(); ++leaf) most = std::max(most, first(leaf + 1) - first(leaf));
    values_ = Lease<double>(run.workspace, most);
  }

  // A column with <m, v v'> > 0, the best of its leaf; where rounding leaves none, the best of all that are not zero.
  int64_t best(const double* m) {
    columns_.test_matrix(m, test_.get());
    Found found = best_of_leaf(m, tree_.descend(test_.get()));
    if (found.value > 0) return found.column;
    return best_of_all(m).column;
  }

 private:
  struct Found {
    int64_t column;
    double value;
  };

  int64_t first(int64_t leaf) const { return leaves_[static_cast<size_t>(leaf)]; }

  Found best_of_leaf(const double* m, int64_t leaf) {
    const int64_t begin = first(leaf), end = first(leaf + 1);
    columns_.test_columns(m, test_.get(), begin, end, values_.get());
    Found found{-1, -HUGE_VAL};
    for (int64_t j = begin; j < end; ++j) {
      const double value = values_.get()[j - begin];
      if (value != 0 && value > found.value) found = {j, value};  // a zero column has the value 0
    }
    return found;
  }

  Found best_of_all(const double* m) {
    tree_.leaf_totals(totals_.get());
    std::vector<int64_t> order(static_cast<size_t>(tree_.leaves()));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return totals_.get()[a] > totals_.get()[b]; });
    Found found{-1, -HUGE_VAL};
    for (const int64_t leaf : order) {
      const Found next = best_of_leaf(m, leaf);
      if (next.value > found.value) found = next;
      if (found.value > 0) break;
    }
    return found;
  }

  Execution& run_;
  const SelectionColumns& columns_;
  std::vector<int64_t> leaves_;
  GramTree tree_;
  Lease<double> test_, totals_, values_;
};

// Merges steps that took the same column.
BarrierChoice merged(std::vector<std::pair<int64_t, double>> picks) {
  std::sort(picks.begin(), picks.end());
  BarrierChoice choice;
  for (const auto& [column, weight] : picks) {
    if (choice.indices.empty() || choice.indices.back() != column) {
      choice.indices.push_back(column);
      choice.weights.push_back(0);
    }
    choice.weights.back() += weight;
  }
  return choice;
}

}  // namespace

BarrierChoice choose_by_barriers(Execution& run, const SelectionColumns& columns, int64_t steps) {
  const int64_t rank = columns.rank();
  Search search(run, columns);
  BarrierFunctions barriers(run.workspace, rank, static_cast<double>(steps) / static_cast<double>(rank));
  Lease<double> v(run.workspace, rank);
  std::vector<std::pair<int64_t, double>> picks;
  Monitor monitor(run.ticker, steps);
  for (int64_t step = 0; step < steps; ++step) {
    barriers.advance();
    const int64_t column = search.best(barriers.test());
    columns.column(column, v.get());
    picks.emplace_back(column, barriers.add(v.get()));
    monitor.advance(1);
  }
  BarrierChoice choice = merged(std::move(picks));
  Lease<double> sum(run.workspace, rank * rank), values(run.workspace, rank);
  std::copy(barriers.sum(), barriers.sum() + rank * rank, sum.get());
  linalg::eigenvalues(sum.get(), rank, values.get());
  const double least = values.get()[0], most = values.get()[rank - 1];
  for (double& weight : choice.weights) weight *= 2 / (least + most);
  choice.epsilon = choice.epsilon_barriers = (most - least) / (most + least);
  return choice;
}

}  // namespace subquad::sparsify
