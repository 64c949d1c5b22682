// Method: [SPARS]; the ways to choose columns and the certificate have their own files.
#include "core/sparsify/sparsifier.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/sparsify/barriers.hpp"
#include "core/sparsify/certificate.hpp"
#include "core/sparsify/column_checks.hpp"
#include "core/sparsify/column_reader.hpp"
#include "core/sparsify/leverage.hpp"
#include "core/sparsify/sparse_gram.hpp"
#include "core/sparsify/whitened_columns.hpp"

namespace subquad::sparsify {

namespace {

class Clock {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Passes that a call makes, for its progress.
template <class T>
int64_t expected_work(const Columns<T>& x) {
  return std::max<int64_t>(4 * x.count(), 1);
}

// max_i G_ii, or for a pair the largest norms of both.
template <class T>
double radius_of(const Columns<T>& x, const std::vector<double>& squares) {
  double product = 1;
  auto begin = squares.begin();
  for (const auto& part : x.parts()) {
    const double largest = part.rows > 0 ? *std::max_element(begin, begin + part.rows) : 0;
    product *= x.parts().size() == 1 ? largest : std::sqrt(largest);
    begin += part.rows;
  }
  return product;
}

// Y from columns of X, [columns][n], and their weights; y becomes [n][columns].
template <class T>
void set_columns(Monitor& monitor, Sparsifier<T>& result, const std::vector<T>& columns) {
  constexpr int64_t kColumns = 64;
  result.width = static_cast<int64_t>(result.indices.size());
  result.y.resize(columns.size());
  for (int64_t first = 0; first < result.width; first += kColumns) {
    const int64_t last = std::min(first + kColumns, result.width);
    for (int64_t i = 0; i < result.rows; ++i) {
      for (int64_t c = first; c < last; ++c) {
        const double entry = static_cast<double>(columns[static_cast<size_t>(c * result.rows + i)]);
        result.y[static_cast<size_t>(i * result.width + c)] =
            static_cast<T>(std::sqrt(result.weights[static_cast<size_t>(c)]) * entry);
      }
    }
    monitor.advance(0);
  }
}

// X itself.
template <class T>
void keep_all(Execution& run, Monitor& monitor, const Columns<T>& x, const Request& request, Sparsifier<T>& result,
              Facts& facts) {
  if (request.check_finite) check_finite(run, x);
  result.indices.resize(static_cast<size_t>(x.count()));
  std::iota(result.indices.begin(), result.indices.end(), int64_t{0});
  result.weights.assign(result.indices.size(), 1.0);
  std::vector<T> columns(result.indices.size() * static_cast<size_t>(x.rows()));
  const auto check = request.check_finite ? Columns<T>::Check::yes : Columns<T>::Check::no;
  x.pass(run, monitor, 1, check, [&](int64_t, ColumnReader<T>& reader, int64_t first, int64_t last) {
    const int64_t width = reader.convenient();
    for (int64_t j = first; j < last; j += width) {
      const int64_t count = std::min(width, last - j);
      reader.copy(j, count, columns.data() + j * x.rows());
      monitor.advance(count);
    }
  });
  set_columns(monitor, result, columns);
  std::vector<double> squares(static_cast<size_t>(x.rows()));
  for (size_t e = 0; e < columns.size(); ++e) {
    squares[e % squares.size()] += static_cast<double>(columns[e]) * static_cast<double>(columns[e]);
  }
  result.radius = radius_of(x, squares);
  facts.passes = 1;
  facts.bound = 0.0;
  result.epsilon = 0;
  result.certificate = Certificate::exact;
}

double barrier_bound(double c) { return 2 * std::sqrt(c) / (c + 1); }

// Weights that are improved reach a fraction of the bound; what is less than this share of the bound for as many steps as X has columns
// is out of reach, and X itself the answer.
constexpr double kHopeless = 1.0 / 16;

// Steps after which the barriers promise eps.
int64_t barrier_steps(double eps, int64_t rank) {
  const double root = (1 + std::sqrt(1 - eps * eps)) / eps;
  return std::max(rank + 1, static_cast<int64_t>(std::min(1e18, std::ceil(root * root * static_cast<double>(rank)))));
}

template <class T>
class Search {
 public:
  Search(Execution& run, Monitor& monitor, const Columns<T>& x, const Request& request, Sparsifier<T>& result, Facts& facts)
      : run_(run), monitor_(monitor), x_(x), request_(request), result_(result), facts_(facts) {}

  void select() {
    const bool exact = request_.method != Method::leverage || exact_pays(x_);
    basis_ = find_basis(run_, monitor_, x_, exact, request_.delta / 3, request_.seed, request_.check_finite);
    result_.radius = radius_of(x_, basis_.squares);
    facts_.rank = basis_.whitening.rank();
    facts_.condition = basis_.whitening.condition;
    facts_.sketch_rows = basis_.sketch_rows;
    facts_.passes = basis_.passes;
    switch (request_.method) {
      case Method::leverage:
        return sample();
      case Method::deterministic:
        return choose();
      case Method::gram:
        return factor();
    }
  }

  void certify() {
    const bool exact = basis_.whitening.exact || gram_.n_elem > 0 || request_.certify == Certify::exact;
    if (exact && !basis_.whitening.exact) make_exact();
    const arma::mat product = whitened_product(monitor_, basis_.whitening.w, result_.y, result_.width);
    int64_t passes = 0;
    result_.epsilon =
        exact ? exact_epsilon(product) : estimated_epsilon(run_, monitor_, x_, basis_.whitening.w, product, &passes);
    facts_.passes += passes;
    result_.certificate = exact ? Certificate::exact : Certificate::estimate;
  }

 private:
  void make_exact() {
    Whitening& whitening = basis_.whitening;
    facts_.passes += gram_.n_elem > 0 ? 0 : 1;
    const bool found =
        gram_.n_elem > 0 ? refine(gram_, basis_.squares, &whitening) : refined(run_, monitor_, x_, basis_.squares, &whitening);
    if (!found) throw Error(Status::err_internal, "the sketch of x missed a direction of its range: give another seed");
  }

  void sample() {
    const Whitening& whitening = basis_.whitening;
    const int64_t rank = whitening.rank(), count = projection_count(x_);
    // A sketch may fail, projections may, and the sampling: a third of delta each.
    const double least = whitening.exact ? 1 : 1 / ((1 + kDistortion) * (1 + kDistortion));
    const double failure = whitening.exact ? request_.delta : request_.delta / 3;
    std::optional<Projections> projections;
    if (!whitening.exact && rank > count) projections = project(whitening, x_.count(), count, request_.delta / 3, request_.seed);
    const double limit = request_.eps ? arrival_limit(rank, *request_.eps, failure, least) : 0;
    const bool gram =
        !x_.in_memory() && !whitening.exact && (request_.certify == Certify::exact || request_.certify == Certify::automatic);
    Choice<T> choice = sample_columns<T>(
        run_, monitor_, x_,
        {whitening, projections ? &*projections : nullptr, request_.columns, limit, request_.seed, gram ? &gram_ : nullptr});
    facts_.exact_scores = whitening.exact;
    facts_.projections = projections ? count : 0;
    ++facts_.passes;
    facts_.bound = request_.eps ? *request_.eps : arrival_bound(rank, choice.end, failure, least);
    take(std::move(choice.indices), std::move(choice.weights), choice.columns);
  }

  void choose() {
    const int64_t rank = basis_.whitening.rank();
    if (request_.columns && *request_.columns <= rank && rank > 0) {
      throw Error(Status::err_value, "sparsify_columns is " + text(*request_.columns) + ", not more than the rank " + text(rank) +
                                         " of x, as method deterministic needs");
    }
    if (rank == 0) return take({}, {}, {});
    const Whitening& whitening = basis_.whitening;
    const double all_bound = barrier_bound(std::max(1.0, static_cast<double>(x_.count()) / static_cast<double>(rank)));
    if (request_.eps && *request_.eps < kHopeless * all_bound) return keep_all(run_, monitor_, x_, request_, result_, facts_);
    const int64_t steps =
        request_.columns ? *request_.columns : std::min(barrier_steps(*request_.eps, rank), std::max(x_.count(), rank + 1));
    // The method is stopped once it is good enough, with room for the rounding of Y to its type.
    const double rounding = 8 * static_cast<double>(std::numeric_limits<T>::epsilon()) * whitening.condition;
    const double enough = request_.eps ? std::max(*request_.eps - rounding, 0.0) : 0.0;
    BarrierChoice choice = sparse_selection_pays(x_, whitening.condition)
                               ? choose_by_barriers(run_, SparseSelection<T>(run_, monitor_, x_, whitening), steps, enough)
                               : choose_by_barriers(run_, WhitenedColumns<T>(run_, monitor_, x_, whitening), steps, enough);
    if (request_.eps && choice.epsilon > enough) return keep_all(run_, monitor_, x_, request_, result_, facts_);
    facts_.steps = choice.steps;
    facts_.bound = request_.eps ? *request_.eps : barrier_bound(static_cast<double>(steps) / static_cast<double>(rank));
    facts_.epsilon_barriers = choice.epsilon_barriers;
    ++facts_.passes;
    std::vector<T> chosen = gather_columns(run_, monitor_, x_, choice.indices);
    take(std::move(choice.indices), std::move(choice.weights), chosen);
  }

  void factor() {
    if (basis_.whitening.rank() >= x_.count()) return keep_all(run_, monitor_, x_, request_, result_, facts_);
    const arma::mat& y = basis_.whitening.inverse;
    result_.has_columns = false;
    result_.width = static_cast<int64_t>(y.n_cols);
    for (arma::uword i = 0; i < y.n_rows; ++i) {
      for (arma::uword k = 0; k < y.n_cols; ++k) result_.y.push_back(static_cast<T>(y(i, k)));
    }
  }

  void take(std::vector<int64_t> indices, std::vector<double> weights, const std::vector<T>& columns) {
    result_.indices = std::move(indices);
    result_.weights = std::move(weights);
    set_columns(monitor_, result_, columns);
  }

  Execution& run_;
  Monitor& monitor_;
  const Columns<T>& x_;
  const Request& request_;
  Sparsifier<T>& result_;
  Facts& facts_;
  Basis basis_;
  arma::mat gram_;  // W' X X' W where the pass that sampled has summed it, too
};

}  // namespace

template <class T>
Sparsifier<T> sparsify(Execution& run, const Columns<T>& x, const Request& request, Facts* facts) {
  check_indices(run, x);
  Sparsifier<T> result;
  result.method = request.method;
  result.rows = x.rows();
  if (x.parts().size() == 2) result.query_rows = x.parts()[0].rows;
  Monitor monitor(run.ticker, expected_work(x));
  Clock clock;
  Search<T> search(run, monitor, x, request, result, *facts);
  if (x.count() == 0 || (request.columns && *request.columns >= x.count())) {
    keep_all(run, monitor, x, request, result, *facts);
  } else if (x.rows() == 0) {
    result.certificate = Certificate::exact;  // nothing to stand for
  } else {
    search.select();
  }
  facts->seconds_select = clock.seconds();
  if (request.certify == Certify::none) {
    result.epsilon = std::numeric_limits<double>::quiet_NaN();
    result.certificate = Certificate::none;
  } else if (result.certificate == Certificate::none) {
    search.certify();
  }
  facts->seconds_certify = clock.seconds() - facts->seconds_select;
  return result;
}

template Sparsifier<float> sparsify<float>(Execution&, const Columns<float>&, const Request&, Facts*);
template Sparsifier<double> sparsify<double>(Execution&, const Columns<double>&, const Request&, Facts*);

}  // namespace subquad::sparsify
