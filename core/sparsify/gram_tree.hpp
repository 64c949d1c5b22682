// Sums of Gram matrices over ever larger pieces of the columns: finds a piece whose columns pass a linear test on the whole.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel/execution.hpp"
#include "core/sparsify/selection_columns.hpp"

namespace subquad::sparsify {

// Nodes hold packed lower triangles. A node is the sum of kArity of the level below; level 0 are the leaves, 1/7 as many lie above.
class GramTree {
 public:
  GramTree(Execution& run, const SelectionColumns& columns);

  int64_t leaves() const { return levels_.front().count; }

  // The leaf where going from the top to the child with the largest <test, Gram matrix> ends. test: size x size, both triangles.
  int64_t descend(Monitor& monitor, const double* test);

  // totals[leaf] = <test, Gram matrix of the leaf>, of the last test that descended.
  void leaf_totals(Monitor& monitor, double* totals) const;

 private:
  static constexpr int64_t kArity = 8;

  struct Level {
    int64_t first, count;  // nodes
  };

  void add_up(Monitor& monitor);
  void pack(const double* test);
  void totals(Monitor& monitor, int64_t first, int64_t count, double* values) const;

  Execution& run_;
  int64_t size_, packed_;
  std::vector<Level> levels_;
  Lease<double> nodes_, test_;
};

}  // namespace subquad::sparsify
