#include "core/sparsify/sparse_gram.hpp"

#include <algorithm>

namespace subquad::sparsify {

namespace {

constexpr double kMostCondition = 1e4;
// Of an operation on scattered entries, in those of a dense product: in a sum, and in a test.
constexpr double kEntryCost = 16, kTestCost = 100;
constexpr int64_t kMostSums = 16;
constexpr int64_t kColumns = 64;  // pieces of a pass begin at multiples of it

int64_t packed_size(int64_t n) { return n * (n + 1) / 2; }

// gram += sum of x x' over columns, the lower triangle row by row. Entries of the same place count as their sum.
template <class T>
void add_gram(const ColumnLists<T>& lists, int64_t count, double* gram) {
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t e = lists.offsets[c]; e < lists.offsets[c + 1]; ++e) {
      const int64_t row = lists.rows[e] - lists.base;
      const auto value = static_cast<double>(lists.values[e]);
      gram[packed_size(row) + row] += value * value;
      for (int64_t f = lists.offsets[c]; f < e; ++f) {
        const int64_t other = lists.rows[f] - lists.base;
        const double product = value * static_cast<double>(lists.values[f]);
        if (row == other) {
          gram[packed_size(row) + row] += 2 * product;
        } else {
          gram[packed_size(std::max(row, other)) + std::min(row, other)] += product;
        }
      }
    }
  }
}

// Adds the Gram matrices of columns [first, last), a convenient number at a time.
template <class T>
void add_columns(Monitor& monitor, ColumnReader<T>& reader, int64_t first, int64_t last, double* gram) {
  const int64_t width = reader.convenient();
  for (int64_t j = first; j < last; j += width) {
    const int64_t count = std::min(width, last - j);
    add_gram(reader.lists(j, count), count, gram);
    monitor.advance(count);
  }
}

double entries_per_column(double work, int64_t count) { return work / std::max(1.0, static_cast<double>(count)); }

// Leaves whose tests take no longer than a step's other work.
template <class T>
std::vector<int64_t> cut_leaves(const Columns<T>& x) {
  const auto n = static_cast<double>(x.rows()), d = static_cast<double>(x.count());
  const double entries = entries_per_column(x.work(), x.count());
  const double by_time = kTestCost * d * entries * entries / (8 * n * n * n);
  const double by_memory =
      leaf_memory(x.work() * (sizeof(T) + sizeof(int32_t))) / (8.0 * static_cast<double>(packed_size(x.rows())));
  const auto count =
      std::clamp<int64_t>(static_cast<int64_t>(std::min(by_time, by_memory)), 1, std::max<int64_t>(x.count() / kColumns, 1));
  std::vector<int64_t> leaves;
  for (int64_t leaf = 0; leaf < count; ++leaf) leaves.push_back(x.count() * leaf / count / kColumns * kColumns);
  leaves.push_back(x.count());
  return leaves;
}

}  // namespace

template <class T>
bool sparse_gram_pays(const Columns<T>& x, double condition) {
  if (!x.all_sparse() || condition > kMostCondition) return false;
  const double entries = entries_per_column(x.work(), x.count()), n = static_cast<double>(x.rows());
  return kEntryCost * entries * entries < 3 * n * n;
}

template <class T>
bool sparse_selection_pays(const Columns<T>& x, double condition) {
  if (!sparse_gram_pays(x, condition)) return false;
  const double entries = entries_per_column(x.work(), x.count()), n = static_cast<double>(x.rows());
  const double width = static_cast<double>(x.count()) / static_cast<double>(cut_leaves(x).size() - 1);
  return kTestCost * width * entries * entries < 32 * n * n * n;
}

template <class T>
arma::mat sparse_gram(Execution& run, Monitor& monitor, const Columns<T>& x) {
  const int64_t n = x.rows(), entries = packed_size(n);
  const auto slots =
      std::clamp<int64_t>(static_cast<int64_t>(x.work() / 8 / static_cast<double>(std::max<int64_t>(entries, 1))), 1, kMostSums);
  std::vector<Lease<double>> sums;
  for (int64_t slot = 0; slot < slots; ++slot) {
    sums.emplace_back(run.workspace, std::max<int64_t>(entries, 1));
    std::fill_n(sums.back().get(), entries, 0.0);
  }
  x.pass(run, monitor, slots, Columns<T>::Check::no, [&](int64_t slot, ColumnReader<T>& reader, int64_t first, int64_t last) {
    add_columns(monitor, reader, first, last, sums[static_cast<size_t>(slot)].get());
  });
  arma::mat gram(static_cast<arma::uword>(n), static_cast<arma::uword>(n));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double total = 0;
      for (const auto& sum : sums) total += sum.get()[packed_size(i) + j];
      gram(static_cast<arma::uword>(i), static_cast<arma::uword>(j)) = total;
      gram(static_cast<arma::uword>(j), static_cast<arma::uword>(i)) = total;
    }
  }
  return gram;
}

template <class T>
SparseSelection<T>::SparseSelection(Execution& run, Monitor& monitor, const Columns<T>& x, const Whitening& whitening)
    : run_(run), monitor_(monitor), x_(x), whitening_(whitening), leaves_(cut_leaves(x)) {}

template <class T>
void SparseSelection<T>::leaf_grams(double* grams) const {
  const auto leaves = static_cast<int64_t>(leaves_.size()) - 1;
  const int64_t entries = packed_size(size());
  // Each slot's piece is one leaf, cut as cut_leaves does it.
  x_.pass(run_, monitor_, leaves, Columns<T>::Check::no, [&](int64_t leaf, ColumnReader<T>& reader, int64_t first, int64_t last) {
    std::fill_n(grams + leaf * entries, entries, 0.0);
    add_columns(monitor_, reader, first, last, grams + leaf * entries);
  });
}

template <class T>
void SparseSelection<T>::test_matrix(const double* m, double* test) const {
  const auto rank = whitening_.w.n_cols, n = whitening_.w.n_rows;
  const arma::mat inner(const_cast<double*>(m), rank, rank, false, true);
  arma::mat result(test, n, n, false, true);
  result = whitening_.w * inner * whitening_.w.t();
}

template <class T>
void SparseSelection<T>::test_columns(const double*, const double* test, int64_t first, int64_t last, double* values) const {
  // Where a slot begins, the rows of CSR have to be searched.
  constexpr int64_t kSlotColumns = 1024;
  const int64_t slots = std::max<int64_t>((last - first) / kSlotColumns, 1), n = size();
  x_.pass_over(run_, monitor_, slots, Columns<T>::Check::no, first, last,
               [&](int64_t, ColumnReader<T>& reader, int64_t begin, int64_t end) {
                 const ColumnLists<T> lists = reader.lists(begin, end - begin);
                 for (int64_t c = 0; c < end - begin; ++c) {
                   double sum = 0;
                   for (int64_t e = lists.offsets[c]; e < lists.offsets[c + 1]; ++e) {
                     const double* const row = test + (lists.rows[e] - lists.base) * n;
                     double product = 0;
                     for (int64_t f = lists.offsets[c]; f < lists.offsets[c + 1]; ++f) {
                       product += row[lists.rows[f] - lists.base] * static_cast<double>(lists.values[f]);
                     }
                     sum += static_cast<double>(lists.values[e]) * product;
                   }
                   values[begin - first + c] = sum;
                 }
                 monitor_.advance(0);
               });
}

template <class T>
void SparseSelection<T>::column(int64_t j, double* v) const {
  x_.pass_over(run_, monitor_, 1, Columns<T>::Check::no, j, j + 1, [&](int64_t, ColumnReader<T>& reader, int64_t, int64_t) {
    const ColumnLists<T> lists = reader.lists(j, 1);
    std::fill_n(v, rank(), 0.0);
    for (int64_t k = 0; k < rank(); ++k) {
      const double* const w = whitening_.w.colptr(static_cast<arma::uword>(k));
      for (int64_t e = lists.offsets[0]; e < lists.offsets[1]; ++e) {
        v[k] += w[lists.rows[e] - lists.base] * static_cast<double>(lists.values[e]);
      }
    }
  });
}

#define SUBQUAD_INSTANTIATE(T)                                                \
  template bool sparse_gram_pays<T>(const Columns<T>&, double);               \
  template bool sparse_selection_pays<T>(const Columns<T>&, double);          \
  template arma::mat sparse_gram<T>(Execution&, Monitor&, const Columns<T>&); \
  template class SparseSelection<T>;
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::sparsify
