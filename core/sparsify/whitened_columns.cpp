#include "core/sparsify/whitened_columns.hpp"

#include <algorithm>

#include "core/sparsify/column_reader.hpp"
#include "core/sparsify/gram_sum.hpp"

namespace subquad::sparsify {

namespace {

// Leaves of at least 2 rank columns, whose tests then cost no less than a step's other work.
template <class T>
std::vector<int64_t> cut_leaves(const Columns<T>& x, int64_t rank) {
  const double bytes = x.work() * static_cast<double>(sizeof(T)), gram = 4.0 * static_cast<double>(rank * (rank + 1));
  const double most = leaf_memory(bytes) / std::max(gram, 1.0);
  const int64_t least_width = std::max<int64_t>(2 * rank, GramSum::kColumns);
  const auto count = std::clamp<int64_t>(static_cast<int64_t>(most), 1, std::max<int64_t>(x.count() / least_width, 1));
  std::vector<int64_t> leaves;
  for (int64_t leaf = 0; leaf < count; ++leaf) {
    const int64_t first = x.count() * leaf / count / GramSum::kColumns * GramSum::kColumns;
    leaves.push_back(first);
  }
  leaves.push_back(x.count());
  return leaves;
}

}  // namespace

template <class T>
WhitenedColumns<T>::WhitenedColumns(Execution& run, Monitor& monitor, const Columns<T>& x, const Whitening& whitening)
    : run_(run),
      monitor_(monitor),
      x_(x),
      whitening_(whitening),
      w_(run, whitening.w),
      leaves_(cut_leaves(x, whitening.rank())) {}

template <class T>
void WhitenedColumns<T>::leaf_grams(double* grams) const {
  const auto leaves = static_cast<int64_t>(leaves_.size()) - 1;
  const int64_t rank = this->rank(), entries = rank * (rank + 1) / 2;
  run_.pool.run(leaves, monitor_, [&](int64_t leaf, int64_t) {
    std::fill_n(grams + leaf * entries, entries, 0.0);
    monitor_.advance(0);
  });
  // Columns in memory: each slot's piece is one leaf, cut as cut_leaves does it. Blocks fall across leaves, one after the other.
  x_.pass(run_, monitor_, x_.in_memory() ? leaves : 1, Columns<T>::Check::no,
          [&](int64_t, ColumnReader<T>& reader, int64_t first, int64_t last) {
            auto leaf = std::upper_bound(leaves_.begin(), leaves_.end(), first) - leaves_.begin() - 1;
            for (int64_t begin = first; begin < last; ++leaf) {
              const int64_t end = std::min(last, leaves_[static_cast<size_t>(leaf) + 1]);
              GramSum sum(run_, w_);
              for (int64_t j = begin; j < end; j += GramSum::kColumns) {
                const int64_t count = std::min(GramSum::kColumns, end - j);
                sum.add(monitor_, reader.doubles(j, count), count);
                monitor_.advance(count);
              }
              sum.add_packed(grams + leaf * entries);
              begin = end;
            }
          });
}

template <class T>
void WhitenedColumns<T>::test_matrix(const double* m, double* test) const {
  std::copy_n(m, rank() * rank(), test);
}

// v: [count][rank]
template <class T>
void WhitenedColumns<T>::whiten(ColumnReader<T>& reader, int64_t first, int64_t count, double* products, double* v) const {
  const int64_t n = x_.rows(), rank = this->rank();
  const double* x = reader.doubles(first, count);
  for (const auto& panel : w_.panels()) {
    w_.multiply(panel, x, n, count, products);
    for (int64_t c = 0; c < count; ++c) std::copy_n(products + c * panel.width, panel.columns, v + c * rank + panel.first);
  }
}

template <class T>
void WhitenedColumns<T>::test_columns(const double* m, const double*, int64_t first, int64_t last, double* values) const {
  constexpr int64_t kColumns = 32;
  const int64_t rank = this->rank(), slots = std::max<int64_t>((last - first) / GramSum::kColumns, 1);
  const Packed<double> packed(
      run_, arma::mat(const_cast<double*>(m), static_cast<arma::uword>(rank), static_cast<arma::uword>(rank), false, true));
  x_.pass_over(run_, monitor_, slots, Columns<T>::Check::no, first, last,
               [&](int64_t, ColumnReader<T>& reader, int64_t begin, int64_t end) {
                 Lease<double> memory(run_.workspace, kColumns * (rank + simd::kMaxWidth * w_.lanes()));
                 double *const v = memory.get(), *const products = v + kColumns * rank;
                 for (int64_t j = begin; j < end; j += kColumns) {
                   const int64_t count = std::min(kColumns, end - j);
                   whiten(reader, j, count, products, v);
                   double* const value = values + j - first;
                   std::fill(value, value + count, 0.0);
                   for (const auto& panel : packed.panels()) {
                     packed.multiply(panel, v, rank, count, products);
                     for (int64_t c = 0; c < count; ++c) {
                       for (int64_t k = 0; k < panel.columns; ++k) {
                         value[c] += products[c * panel.width + k] * v[c * rank + panel.first + k];
                       }
                     }
                   }
                 }
               });
}

template <class T>
void WhitenedColumns<T>::column(int64_t j, double* v) const {
  x_.pass_over(run_, monitor_, 1, Columns<T>::Check::no, j, j + 1, [&](int64_t, ColumnReader<T>& reader, int64_t, int64_t) {
    Lease<double> products(run_.workspace, simd::kMaxWidth * w_.lanes());
    whiten(reader, j, 1, products.get(), v);
  });
}

template class WhitenedColumns<float>;
template class WhitenedColumns<double>;

}  // namespace subquad::sparsify
