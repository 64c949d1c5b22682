// Gram matrices of sparse columns from their entries: sum of nnz^2 operations in place of d n^2, where X is conditioned well enough
// for its Gram matrix to be formed at all.
#pragma once

#include <armadillo>

#include "core/sparsify/column_reader.hpp"
#include "core/sparsify/selection_columns.hpp"
#include "core/sparsify/whitening.hpp"

namespace subquad::sparsify {

// Whether this is the cheaper way, and safe: X is sparse, and rounding, times the condition squared, stays below 1e-7.
template <class T>
bool sparse_gram_pays(const Columns<T>& x, double condition);

// The same for the choice of columns, where leaves that are tested entry by entry must not be too long.
template <class T>
bool sparse_selection_pays(const Columns<T>& x, double condition);

// X X': one pass.
template <class T>
arma::mat sparse_gram(Execution& run, Monitor& monitor, const Columns<T>& x);

// The columns of X for the barrier method in the coordinates that they have: <m, v v'> = x' (W m W') x.
template <class T>
class SparseSelection : public SelectionColumns {
 public:
  SparseSelection(Execution& run, Monitor& monitor, const Columns<T>& x, const Whitening& whitening);

  int64_t count() const override { return x_.count(); }
  int64_t rank() const override { return whitening_.rank(); }
  std::vector<int64_t> leaves() const override { return leaves_; }
  int64_t size() const override { return x_.rows(); }
  void leaf_grams(double* grams) const override;
  void test_matrix(const double* m, double* test) const override;
  void test_columns(const double* m, const double* test, int64_t first, int64_t last, double* values) const override;
  void column(int64_t j, double* v) const override;

 private:
  Execution& run_;
  Monitor& monitor_;
  const Columns<T>& x_;
  const Whitening& whitening_;
  std::vector<int64_t> leaves_;
};

}  // namespace subquad::sparsify
