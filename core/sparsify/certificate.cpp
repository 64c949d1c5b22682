// Method: eigenvalues of W' Y Y' W; the estimate is a block Davidson iteration [Knyazev, without preconditioner: the pencil is whitened].
#include "core/sparsify/certificate.hpp"

#include <algorithm>
#include <cmath>

#include "core/linalg/factor.hpp"
#include "core/sparsify/column_reader.hpp"
#include "core/sparsify/packed.hpp"

namespace subquad::sparsify {

namespace {

constexpr int64_t kMostPasses = 4;
constexpr arma::uword kSide = 4;   // directions sought at either end of the spectrum
constexpr double kSettled = 1e-2;  // a pass that changes the estimate by less is the last
constexpr int64_t kSlots = 16;

double epsilon_of(double least, double greatest) { return std::max({0.0, greatest - 1, 1 - least}); }

// Sums of x (z' x)' over columns, for one slot of a pass.
template <class T>
class Applier {
 public:
  Applier(Execution& run, const Packed<double>& z, bool sparse)
      : z_(z), kernels_(simd::product_kernels<double>(run.target)), sparse_(sparse) {
    for (const auto& panel : z.panels()) sums_.emplace_back(static_cast<size_t>(z.rows() * panel.width));
  }

  void add(ColumnReader<T>& reader, int64_t first, int64_t count) {
    const ColumnLists<T> lists = sparse_ ? reader.lists(first, count) : ColumnLists<T>{};
    const double* x = sparse_ ? nullptr : reader.doubles(first, count);
    for (size_t p = 0; p < sums_.size(); ++p) {
      if (sparse_) {
        add_lists(lists, count, z_.panels()[p], sums_[p]);
      } else {
        add_panel(x, count, z_.panels()[p], sums_[p]);
      }
    }
  }

  void add_to(arma::mat& total) const {
    for (arma::uword i = 0; i < total.n_rows; ++i) {
      for (size_t p = 0; p < sums_.size(); ++p) {
        const auto& panel = z_.panels()[p];
        for (int64_t k = 0; k < panel.columns; ++k) {
          total(i, static_cast<arma::uword>(panel.first + k)) +=
              sums_[p][i * static_cast<size_t>(panel.width) + static_cast<size_t>(k)];
        }
      }
    }
  }

 private:
  void add_panel(const double* x, int64_t count, const Packed<double>::Panel& panel, std::vector<double>& sum) {
    products_.resize(static_cast<size_t>(count * panel.width));
    z_.multiply(panel, x, z_.rows(), count, products_.data());
    kernels_.add_rows[panel.width / kernels_.lanes - 1]({x, 1, z_.rows(), z_.rows(), count, products_.data(), sum.data()});
  }

  void add_lists(const ColumnLists<T>& lists, int64_t count, const Packed<double>::Panel& panel, std::vector<double>& sum) {
    const int64_t width = panel.width;
    std::vector<double> product(static_cast<size_t>(width));
    for (int64_t c = 0; c < count; ++c) {
      std::fill(product.begin(), product.end(), 0.0);
      for (int64_t e = lists.offsets[c]; e < lists.offsets[c + 1]; ++e) {
        const auto value = static_cast<double>(lists.values[e]);
        const double* const row = panel.data + (lists.rows[e] - lists.base) * width;
        for (int64_t k = 0; k < width; ++k) product[static_cast<size_t>(k)] += value * row[k];
      }
      for (int64_t e = lists.offsets[c]; e < lists.offsets[c + 1]; ++e) {
        const auto value = static_cast<double>(lists.values[e]);
        double* const row = sum.data() + (lists.rows[e] - lists.base) * width;
        for (int64_t k = 0; k < width; ++k) row[k] += value * product[static_cast<size_t>(k)];
      }
    }
  }

  const Packed<double>& z_;
  const simd::ProductKernels<double>& kernels_;
  bool sparse_;
  std::vector<std::vector<double>> sums_;  // by panel, [n][width]
  std::vector<double> products_;
};

// W' X X' W v in one pass.
template <class T>
arma::mat apply_gram(Execution& run, Monitor& monitor, const Columns<T>& x, const arma::mat& w, const arma::mat& v) {
  const Packed<double> z(run, w * v);
  std::vector<Applier<T>> sums;
  for (int64_t slot = 0; slot < kSlots; ++slot) sums.emplace_back(run, z, x.all_sparse());
  x.pass(run, monitor, kSlots, Columns<T>::Check::no, [&](int64_t slot, ColumnReader<T>& reader, int64_t first, int64_t last) {
    const int64_t width = reader.convenient();
    for (int64_t j = first; j < last; j += width) {
      const int64_t count = std::min(width, last - j);
      sums[static_cast<size_t>(slot)].add(reader, j, count);
      monitor.advance(0);
    }
  });
  arma::mat total(w.n_rows, v.n_cols, arma::fill::zeros);
  for (const auto& sum : sums) sum.add_to(total);
  return w.t() * total;
}

// What of v lies outside the orthonormal columns of the basis, orthonormal; nothing where that is negligible.
arma::mat outside(const arma::mat& basis, arma::mat v) {
  for (int repeat = 0; repeat < 2; ++repeat) {
    if (!basis.is_empty()) v -= basis * (basis.t() * v);
    v = arma::normalise(v);
  }
  arma::mat q, r;
  if (!arma::qr_econ(q, r, v)) return arma::mat(v.n_rows, 0);
  return q.cols(arma::find(arma::abs(r.diag()) > 1e-6));
}

}  // namespace

template <class T>
arma::mat whitened_product(Monitor& monitor, const arma::mat& w, const std::vector<T>& y, int64_t columns) {
  arma::mat product(w.n_cols, w.n_cols, arma::fill::zeros);
  if (w.is_empty()) return product;
  constexpr int64_t kColumns = 256;
  for (int64_t first = 0; first < columns; first += kColumns) {
    const int64_t count = std::min(kColumns, columns - first);
    arma::mat some(w.n_rows, static_cast<arma::uword>(count));
    for (arma::uword i = 0; i < w.n_rows; ++i) {
      const T* const row = y.data() + static_cast<int64_t>(i) * columns + first;
      for (int64_t c = 0; c < count; ++c) some(i, static_cast<arma::uword>(c)) = static_cast<double>(row[c]);
    }
    const arma::mat whitened = w.t() * some;
    product += whitened * whitened.t();
    monitor.advance(0);
  }
  return product;
}

double exact_epsilon(const arma::mat& product) {
  if (product.is_empty()) return 0;
  const arma::vec values = linalg::eigenvalues(product);
  return epsilon_of(values.front(), values.back());
}

template <class T>
double estimated_epsilon(Execution& run, Monitor& monitor, const Columns<T>& x, const arma::mat& w, const arma::mat& product,
                         int64_t* passes) {
  *passes = 0;
  const arma::uword rank = w.n_cols;
  if (rank == 0) return 0;
  arma::vec values;
  arma::mat vectors, basis(rank, 0), image(rank, 0);
  if (!arma::eig_sym(values, vectors, product)) throw Error(Status::err_internal, "an eigenvalue decomposition did not converge");
  // The ends of the spectrum of W' Y Y' W: where W' X X' W is near 1 they are the answer.
  const arma::uword side = std::min(kSide, (rank + 1) / 2);
  arma::mat fresh = arma::join_rows(vectors.head_cols(side), vectors.tail_cols(std::min(side, rank - side)));
  double estimate = 0;
  for (*passes = 0; *passes < kMostPasses && fresh.n_cols > 0;) {
    image = arma::join_rows(image, apply_gram(run, monitor, x, w, fresh));
    basis = arma::join_rows(basis, fresh);
    ++*passes;
    arma::mat lower;
    if (!linalg::cholesky(arma::symmatu(basis.t() * image), &lower)) break;
    const arma::mat whitener = basis * linalg::upper_inverse(lower.t()), images = image * linalg::upper_inverse(lower.t());
    if (!arma::eig_sym(values, vectors, arma::symmatu(whitener.t() * product * whitener))) break;
    const double before = estimate;
    estimate = std::max(estimate, epsilon_of(values.front(), values.back()));
    if (*passes > 1 && estimate - before <= kSettled * estimate) break;
    const arma::uword few = std::min(kSide, (values.n_elem + 1) / 2);
    const arma::uvec ends = arma::join_cols(arma::regspace<arma::uvec>(0, few - 1),
                                            arma::regspace<arma::uvec>(values.n_elem - few, values.n_elem - 1));
    const arma::mat chosen = vectors.cols(ends);
    fresh = outside(basis, product * (whitener * chosen) - (images * chosen) * arma::diagmat(values(ends)));
  }
  return estimate;
}

#define SUBQUAD_INSTANTIATE(T)                                                                        \
  template arma::mat whitened_product<T>(Monitor&, const arma::mat&, const std::vector<T>&, int64_t); \
  template double estimated_epsilon<T>(Execution&, Monitor&, const Columns<T>&, const arma::mat&, const arma::mat&, int64_t*);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::sparsify
