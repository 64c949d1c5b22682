// The columns of X as the barrier method sees them: vectors v_j of `rank` entries with sum_j v_j v_j' = 1, and tests <M, v_j v_j'>
// of many of them at once, which may be computed in other coordinates than those of v.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace subquad::sparsify {

// Bytes that the Gram matrices of the leaves may take, a tree of their sums coming on top: a fifth of X's own, or little.
inline double leaf_memory(double bytes_of_x) { return std::max(0.2 * bytes_of_x, 8.0 * (1 << 20)); }

class SelectionColumns {
 public:
  SelectionColumns() = default;
  SelectionColumns(const SelectionColumns&) = delete;
  SelectionColumns& operator=(const SelectionColumns&) = delete;
  virtual ~SelectionColumns() = default;

  virtual int64_t count() const = 0;  // d
  virtual int64_t rank() const = 0;   // entries of v_j

  // First columns of the leaves, then d: pieces whose Gram matrix and whose tests cost about as much as a step of the method.
  virtual std::vector<int64_t> leaves() const = 0;

  // Entries per side of a Gram matrix in the coordinates of tests.
  virtual int64_t size() const = 0;

  // Gram matrices of all leaves, one after the other, each the lower triangle row by row: size() (size() + 1) / 2 entries.
  // One pass over the columns, by all threads.
  virtual void leaf_grams(double* grams) const = 0;

  // The matrix of a test, from the coordinates of v (rank x rank, symmetric, both triangles) to those of tests (size x size, both
  // triangles): <m, v v'> = <test, gram of v>.
  virtual void test_matrix(const double* m, double* test) const = 0;

  // values[j - first] = <m, v_j v_j'> for first <= j < last, from both forms of the matrix; by all threads.
  virtual void test_columns(const double* m, const double* test, int64_t first, int64_t last, double* values) const = 0;

  // v_j.
  virtual void column(int64_t j, double* v) const = 0;
};

}  // namespace subquad::sparsify
