#include "core/sparsify/softmax_error.hpp"

#include <algorithm>
#include <armadillo>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/sparsify/column_checks.hpp"
#include "core/sparsify/whitening.hpp"

namespace subquad::sparsify {

namespace {

void require_finite(const std::vector<double>& logits, int64_t i) {
  const bool finite = std::all_of(logits.begin(), logits.end(), [](double logit) { return std::isfinite(logit); });
  if (!finite)
    throw Error(Status::err_overflow, "a logit of row " + text(i) + " overflows float64: scale times x x' is too large");
}

// log softmax of a row of logits.
void log_softmax(std::vector<double>& row) {
  const double largest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const double logit : row) sum += std::exp(logit - largest);
  for (double& logit : row) logit -= largest + std::log(sum);
}

}  // namespace

template <class T>
SoftmaxError softmax_error(Execution& run, const Columns<T>& x, const Sparsifier<T>& s, double scale, bool check) {
  check_indices(run, x);
  if (check) check_finite(run, x);
  const int64_t n = s.rows, n_q = s.query_rows < 0 ? n : s.query_rows, first_key = s.query_rows < 0 ? 0 : n_q;
  SoftmaxError error;
  if (n_q == 0 || first_key == n) return error;
  Monitor monitor(run.ticker, x.count());
  const Lease<double> counted(run.workspace, 2 * n * n);  // of Armadillo's matrices
  const arma::mat gram =
      whitened_gram(run, monitor, x, arma::mat(arma::eye<arma::mat>(static_cast<arma::uword>(n), static_cast<arma::uword>(n))));
  std::vector<double> exact(static_cast<size_t>(n - first_key)), sparse(exact.size());
  for (int64_t i = 0; i < n_q; ++i) {
    for (int64_t j = first_key; j < n; ++j) {
      double dot = 0;
      for (int64_t c = 0; c < s.width; ++c) {
        dot += static_cast<double>(s.y[static_cast<size_t>(i * s.width + c)]) *
               static_cast<double>(s.y[static_cast<size_t>(j * s.width + c)]);
      }
      exact[static_cast<size_t>(j - first_key)] = scale * gram(static_cast<arma::uword>(i), static_cast<arma::uword>(j));
      sparse[static_cast<size_t>(j - first_key)] = scale * dot;
    }
    require_finite(exact, i);
    require_finite(sparse, i);
    log_softmax(exact);
    log_softmax(sparse);
    for (size_t j = 0; j < exact.size(); ++j) {
      error.largest = std::max(error.largest, std::abs(std::exp(sparse[j]) - std::exp(exact[j])));
      error.ratio = std::max(error.ratio, std::exp(std::abs(sparse[j] - exact[j])));
    }
    monitor.advance(0);
  }
  return error;
}

template SoftmaxError softmax_error<float>(Execution&, const Columns<float>&, const Sparsifier<float>&, double, bool);
template SoftmaxError softmax_error<double>(Execution&, const Columns<double>&, const Sparsifier<double>&, double, bool);

}  // namespace subquad::sparsify
