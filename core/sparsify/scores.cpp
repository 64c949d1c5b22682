// Method: [DrineasLeverage] with the sketch of core/sparsify/sketch.cpp: W from the sketch, norms through a few Gaussian vectors.
#include "core/sparsify/scores.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/random/philox.hpp"
#include "core/simd/sketch.hpp"
#include "core/sparsify/column_checks.hpp"
#include "core/sparsify/sparse_gram.hpp"
#include "core/sparsify/streams.hpp"

namespace subquad::sparsify {

namespace {

constexpr double kPi = 3.14159265358979323846;

// Operations per entry of X up to which the exact way is no slower: it is bound by reading X, too. bench/sparsify_scores
constexpr double kExactWork = 24;

constexpr int64_t kMostAttempts = 4;

// x > 0 with log x + 1 - x = -excess, below or above 1: a chi-square variable over its g degrees of freedom is beyond x with
// probability at most exp(g (log x + 1 - x) / 2).
double chernoff(double excess, double inner, double outer) {
  for (int step = 0; step < 200; ++step) {
    const double middle = 0.5 * (inner + outer);
    (std::log(middle) + 1 - middle > -excess ? inner : outer) = middle;
  }
  return outer;
}

// Standard normal variables, by Box and Muller.
arma::mat gaussian(int64_t rows, int64_t columns, uint64_t seed) {
  arma::mat result(static_cast<arma::uword>(rows), static_cast<arma::uword>(columns));
  for (arma::uword i = 0; i < result.n_elem; ++i) {
    const double u = (random_word(seed, kGaussianStream, 2 * i) + 0.5) * 0x1p-32,
                 angle = 2 * kPi * (random_word(seed, kGaussianStream, 2 * i + 1) * 0x1p-32);
    result(i) = std::sqrt(-2 * std::log(u)) * std::cos(angle);
  }
  return result;
}

// Norms of rows that can be worked with: their squares, and in type T their inverses, must be numbers. A row of zeros is one of them.
template <class T>
constexpr double kLeastNorm = sizeof(T) == 4 ? 1e-30 : 1e-150;
template <class T>
constexpr double kMostNorm = sizeof(T) == 4 ? 1e30 : 1e153;

template <class T>
void require_usable_norms(Execution& run, const Columns<T>& x, const Sketch& sketch, bool check) {
  for (size_t i = 0; i < sketch.squares.size(); ++i) {
    const double norm = std::sqrt(sketch.squares[i]);
    const bool zero = norm == 0 && arma::any(sketch.matrix.col(i));  // the square is, the row is not
    if ((norm == 0 && !zero) || (norm >= kLeastNorm<T> && norm <= kMostNorm<T>)) continue;
    if (check) check_finite(run, x);
    auto row = static_cast<int64_t>(i);
    size_t p = 0;
    while (row >= x.parts()[p].rows) row -= x.parts()[p++].rows;
    throw Error(Status::err_overflow, x.parts()[p].name + ": the norm of row " + text(row) + " is " +
                                          (zero ? "below 1e-160" : text(norm)) + ", neither 0 nor in [" + text(kLeastNorm<T>) +
                                          ", " + text(kMostNorm<T>) + "]; scale " + x.parts()[p].name);
  }
}

// Scores |z' x_j|^2 of all columns, computed in type U: T or double.
template <class U, class T>
void write_norms(Execution& run, Monitor& monitor, const Columns<T>& x, const arma::mat& z, double* scores, int64_t stride) {
  const Packed<U> packed(run, z);
  constexpr int64_t kSlots = 64;
  x.pass(run, monitor, kSlots, Columns<T>::Check::no, [&](int64_t, ColumnReader<T>& reader, int64_t first, int64_t last) {
    ColumnNorms<U> norms(run, packed);
    const int64_t width = reader.convenient();
    std::vector<double> some(static_cast<size_t>(width));
    for (int64_t j = first; j < last; j += width) {
      const int64_t count = std::min(width, last - j);
      if constexpr (!std::is_same_v<U, T>) {
        norms.of_panel(reader.doubles(j, count), x.rows(), count, some.data());
      } else if (x.all_sparse()) {
        norms.of_lists(reader.lists(j, count), count, some.data());
      } else {
        int64_t column_stride;
        const T* const panel = reader.dense(j, count, &column_stride);
        norms.of_panel(panel, column_stride, count, some.data());
      }
      for (int64_t c = 0; c < count; ++c) scores[(j + c) * stride] = std::min(some[static_cast<size_t>(c)], 1.0);
      monitor.advance(count);
    }
  });
}

}  // namespace

template <class T>
void ColumnNorms<T>::of_lists(const ColumnLists<T>& lists, int64_t count, double* norms) const {
  std::fill(norms, norms + count, 0.0);
  const auto& kernels = simd::sketch_kernels<T>(target_);
  for (const auto& panel : z_.panels()) {
    kernels.sparse[panel.width / z_.lanes() - 1]({lists.offsets, lists.rows, lists.base, lists.values, count, panel.data, norms});
  }
}

template <class T>
void ColumnNorms<T>::of_panel(const T* panel, int64_t stride, int64_t count, double* norms) {
  constexpr int64_t kAtOnce = 64;
  products_.reserve(workspace_, kAtOnce * simd::kMaxWidth * z_.lanes());
  for (int64_t first = 0; first < count; first += kAtOnce) {
    const int64_t some = std::min(kAtOnce, count - first);
    std::fill(norms + first, norms + first + some, 0.0);
    for (const auto& columns : z_.panels()) {
      z_.multiply(columns, panel + first * stride, stride, some, products_.get());
      for (int64_t c = 0; c < some; ++c) {
        const T* const product = products_.get() + c * columns.width;
        double sum = 0;
        for (int64_t k = 0; k < columns.width; ++k) sum += static_cast<double>(product[k]) * static_cast<double>(product[k]);
        norms[first + c] += sum;
      }
    }
  }
}

Projections project(const Whitening& whitening, int64_t columns, int64_t count, double failure, uint64_t seed) {
  Projections result;
  result.z = whitening.w * gaussian(whitening.rank(), count, seed) / std::sqrt(static_cast<double>(count));
  const double excess =
      2 * std::log(2 * static_cast<double>(std::max<int64_t>(columns, 1)) / failure) / static_cast<double>(count);
  result.least = chernoff(excess, 1, 0);
  result.greatest = chernoff(excess, 1, 4 + 4 * excess);
  return result;
}

template <class T>
int64_t projection_count(const Columns<T>& x) {
  return x.all_sparse() ? 16 : 32;
}

template <class T>
bool exact_pays(const Columns<T>& x) {
  const auto n = static_cast<double>(x.rows());
  return x.in_memory() && 3 * n * n * static_cast<double>(x.count()) <= kExactWork * x.work();
}

template <class T>
bool refined(Execution& run, Monitor& monitor, const Columns<T>& x, const std::vector<double>& squares, Whitening* whitening) {
  const arma::mat& w = whitening->w;
  arma::mat gram;
  if (sparse_gram_pays(x, whitening->condition)) {
    gram = arma::symmatu(w.t() * sparse_gram(run, monitor, x) * w);
  } else {
    gram = whitened_gram(run, monitor, x, w);
  }
  return refine(gram, squares, whitening);
}

template <class T>
Basis find_basis(Execution& run, Monitor& monitor, const Columns<T>& x, bool exact, double failure, uint64_t seed,
                 bool check_finite) {
  const auto check = check_finite ? Columns<T>::Check::yes : Columns<T>::Check::no;
  Basis basis;
  for (int64_t attempt = 0; attempt < kMostAttempts; ++attempt) {
    Sketch sketch = sketch_columns(run, monitor, x, failure, seed, attempt, check);
    require_usable_norms(run, x, sketch, check_finite);
    basis.whitening = whiten_sketch(sketch, static_cast<double>(std::numeric_limits<T>::epsilon()) / 2);
    basis.squares = std::move(sketch.squares);
    basis.sketch_rows = sketch.rows;
    ++basis.passes;
    if (!exact || basis.whitening.exact) return basis;
    ++basis.passes;
    // A sketch that has missed a direction shows here, and only here.
    if (refined(run, monitor, x, basis.squares, &basis.whitening)) return basis;
  }
  throw Error(Status::err_internal, "all sketches of x missed a direction of its range");
}

template <class T>
ScoreFacts leverage_scores(Execution& run, const Columns<T>& x, const ScoreRequest& request, double* scores, int64_t stride) {
  check_indices(run, x);
  const bool exact = request.exact.value_or(exact_pays(x));
  Monitor monitor(run.ticker, x.count() * (exact ? 3 : 2));
  const Basis basis = find_basis(run, monitor, x, exact, request.delta / 2, request.seed, request.check_finite);
  const Whitening& whitening = basis.whitening;
  ScoreFacts facts{whitening.rank(), basis.sketch_rows, 0, basis.passes + 1, whitening.condition, 1, whitening.exact};
  const bool project_too = !whitening.exact && whitening.rank() > projection_count(x);
  Projections projections;
  if (!whitening.exact) facts.factor = 1 / ((1 - kDistortion) * (1 - kDistortion));
  if (project_too) {
    facts.projections = projection_count(x);
    projections = project(whitening, x.count(), facts.projections, request.delta / 2, request.seed);
    const double widest = (1 + kDistortion) * (1 + kDistortion), narrowest = (1 - kDistortion) * (1 - kDistortion);
    facts.factor = std::max(projections.greatest / narrowest, widest / projections.least);
  }
  if (whitening.exact) {
    write_norms<double>(run, monitor, x, whitening.w, scores, stride);
  } else {
    write_norms<T>(run, monitor, x, project_too ? projections.z : whitening.w, scores, stride);
  }
  return facts;
}

#define SUBQUAD_INSTANTIATE(T)                                                                               \
  template class ColumnNorms<T>;                                                                             \
  template int64_t projection_count<T>(const Columns<T>&);                                                   \
  template bool refined<T>(Execution&, Monitor&, const Columns<T>&, const std::vector<double>&, Whitening*); \
  template bool exact_pays<T>(const Columns<T>&);                                                            \
  template Basis find_basis<T>(Execution&, Monitor&, const Columns<T>&, bool, double, uint64_t, bool);       \
  template ScoreFacts leverage_scores<T>(Execution&, const Columns<T>&, const ScoreRequest&, double*, int64_t);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::sparsify
