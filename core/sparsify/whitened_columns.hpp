// The columns of X for the barrier method in whitened coordinates, v_j = W' x_j: safe whatever the condition of X.
#pragma once

#include "core/sparsify/packed.hpp"
#include "core/sparsify/selection_columns.hpp"
#include "core/sparsify/whitening.hpp"

namespace subquad::sparsify {

template <class T>
class WhitenedColumns : public SelectionColumns {
 public:
  WhitenedColumns(Execution& run, Monitor& monitor, const Columns<T>& x, const Whitening& whitening);

  int64_t count() const override { return x_.count(); }
  int64_t rank() const override { return whitening_.rank(); }
  std::vector<int64_t> leaves() const override { return leaves_; }
  int64_t size() const override { return rank(); }
  void leaf_grams(double* grams) const override;
  void test_matrix(const double* m, double* test) const override;
  void test_columns(const double* m, const double* test, int64_t first, int64_t last, double* values) const override;
  void column(int64_t j, double* v) const override;

 private:
  void whiten(ColumnReader<T>& reader, int64_t first, int64_t count, double* products, double* v) const;

  Execution& run_;
  Monitor& monitor_;
  const Columns<T>& x_;
  const Whitening& whitening_;
  Packed<double> w_;
  std::vector<int64_t> leaves_;
};

}  // namespace subquad::sparsify
