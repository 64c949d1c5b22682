// Method: W = D R^-1 with D the inverse row norms of X and S X' D = Q R; where R has no full rank, from its singular values. Exactly:
// one step of Cholesky QR on W' X, which is well conditioned whatever X is [SketchPrecond]. X X' itself is never formed.
#include "core/sparsify/whitening.hpp"

#include <cmath>
#include <limits>

#include "core/linalg/factor.hpp"
#include "core/sparsify/column_reader.hpp"
#include "core/sparsify/gram_sum.hpp"

namespace subquad::sparsify {

namespace {

constexpr int64_t kMostSums = 16;
// From this reciprocal condition on, R by way of the Gram matrix errs by less than 1e-3, which is nothing beside the sketch's own
// distortion; exact whitening corrects both.
constexpr double kLeastByGram = 1e-6;

// Rows of norm 1, so that the rank does not depend on the units of X's rows; rows that are zero stay.
arma::vec scale_rows(Sketch& sketch) {
  arma::vec factor(sketch.matrix.n_cols);
  for (arma::uword i = 0; i < factor.n_elem; ++i) {
    const double square = sketch.squares[i];
    factor(i) = square > 0 ? 1 / std::sqrt(square) : 0;
    sketch.matrix.col(i) *= factor(i);
  }
  return factor;
}

// The upper triangular R of the matrix's QR factors by way of its Gram matrix, several times faster than by Householder, and its
// reciprocal condition; 0 where that fails.
double factor_gram(const arma::mat& matrix, arma::mat* r) {
  arma::mat lower;
  if (!linalg::cholesky(matrix.t() * matrix, &lower)) return 0;
  *r = lower.t();
  return linalg::reciprocal_condition(*r);
}

}  // namespace

Whitening whiten_sketch(Sketch& sketch, double unit) {
  Whitening result;
  result.exact = sketch.rows == 0;
  arma::vec factor = scale_rows(sketch);
  const auto n = sketch.matrix.n_cols;
  // Rounding of the sketch moves singular values by about so much, the largest being at least 1.
  const double tolerance = 4 * unit * (std::sqrt(static_cast<double>(n)) + std::sqrt(sketch.additions));
  const bool tall = sketch.matrix.n_rows >= n;
  arma::mat r;
  double inverse_condition = 0;
  if (!result.exact) inverse_condition = factor_gram(sketch.matrix, &r);
  if (inverse_condition < kLeastByGram) {
    r = tall ? linalg::qr_factor(sketch.matrix) : sketch.matrix;
    inverse_condition = tall ? linalg::reciprocal_condition(r) : 0;
  }
  // Norms by sums overestimate the condition by up to n.
  if (inverse_condition > tolerance * static_cast<double>(n)) {
    result.condition = 1 / inverse_condition;
    result.w = linalg::upper_inverse(r);
    result.inverse = r.t();
  } else {
    const linalg::Svd svd = linalg::singular_values(r);
    arma::uword rank = 0;
    while (rank < svd.s.n_elem && svd.s(rank) > tolerance * svd.s(0)) ++rank;
    result.condition = rank > 0 ? svd.s(0) / svd.s(rank - 1) : 1;
    result.w = rank > 0 ? arma::mat(svd.v.head_cols(rank)) : arma::mat(n, 0);
    result.inverse = result.w;
    for (arma::uword k = 0; k < rank; ++k) {
      result.w.col(k) /= svd.s(k);
      result.inverse.col(k) *= svd.s(k);
    }
  }
  result.w.each_col() %= factor;
  factor.transform([](double x) { return x > 0 ? 1 / x : 0; });
  result.inverse.each_col() %= factor;
  return result;
}

template <class T>
arma::mat whitened_gram(Execution& run, Monitor& monitor, const Columns<T>& x, const arma::mat& w) {
  const Packed<double> packed(run, w);
  // As many sums as a quarter of X's memory holds.
  const double entries = std::max(1.0, static_cast<double>(w.n_cols) * static_cast<double>(w.n_cols));
  const auto slots = std::clamp<int64_t>(static_cast<int64_t>(x.work() / 8 / entries), 1, kMostSums);
  std::vector<GramSum> sums;
  for (int64_t slot = 0; slot < slots; ++slot) sums.emplace_back(run, packed);
  x.pass(run, monitor, slots, Columns<T>::Check::no, [&](int64_t slot, ColumnReader<T>& reader, int64_t first, int64_t last) {
    for (int64_t j = first; j < last; j += GramSum::kColumns) {
      const int64_t end = std::min(j + GramSum::kColumns, last);
      sums[static_cast<size_t>(slot)].add(monitor, reader.doubles(j, end - j), end - j);
      monitor.advance(end - j);
    }
  });
  arma::mat gram(w.n_cols, w.n_cols, arma::fill::zeros);
  for (const GramSum& sum : sums) sum.add_to(gram);
  return gram;
}

bool refine(const arma::mat& gram, const std::vector<double>& squares, Whitening* whitening) {
  arma::mat lower;
  if (!linalg::cholesky(gram, &lower)) return false;
  const arma::mat inverse = whitening->inverse * lower;
  // What a rank's tolerance drops in float32 is 1e-7 of a square, what rounding moves is of the order of n u condition.
  const double slack =
      1e-6 + 64 * static_cast<double>(inverse.n_rows) * std::numeric_limits<double>::epsilon() * whitening->condition;
  for (arma::uword i = 0; i < inverse.n_rows; ++i) {
    const double square = arma::dot(inverse.row(i), inverse.row(i));
    if (!(std::abs(square - squares[i]) <= slack * squares[i])) return false;
  }
  whitening->exact = true;
  whitening->w *= linalg::upper_inverse(lower.t());
  whitening->inverse = inverse;
  return true;
}

template arma::mat whitened_gram<float>(Execution&, Monitor&, const Columns<float>&, const arma::mat&);
template arma::mat whitened_gram<double>(Execution&, Monitor&, const Columns<double>&, const arma::mat&);

}  // namespace subquad::sparsify
