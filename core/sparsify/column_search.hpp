// Looks for the next column of the barrier method.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel/execution.hpp"
#include "core/sparsify/gram_tree.hpp"
#include "core/sparsify/selection_columns.hpp"

namespace subquad::sparsify {

class ColumnSearch {
 public:
  ColumnSearch(Execution& run, const SelectionColumns& columns);

  // The columns of one leaf with the largest <m, v v'>, at most `count`, all with more than 0. Where rounding has left no leaf with
  // such a column, the best one of all that are not zero. m: rank x rank.
  const std::vector<int64_t>& candidates(Monitor& monitor, const double* m, int64_t count);

 private:
  bool search_leaf(const double* m, int64_t leaf, int64_t count);

  const SelectionColumns& columns_;
  std::vector<int64_t> leaves_;
  GramTree tree_;
  Lease<double> test_, totals_, values_;
  std::vector<int64_t> found_;
};

}  // namespace subquad::sparsify
