#include "core/linalg/factor.hpp"

#include <algorithm>

#include "core/base/error.hpp"

// Armadillo computes Q whenever it computes R, at twice the price.
extern "C" void dgeqrf_(const int* m, const int* n, double* a, const int* lda, double* tau, double* work, const int* lwork,
                        int* info);

namespace subquad::linalg {

namespace {

void require(bool converged, const char* what) {
  if (!converged) throw Error(Status::err_internal, std::string("the ") + what + " of a small matrix did not converge");
}

}  // namespace

arma::mat qr_factor(arma::mat& a) {
  const int rows = static_cast<int>(a.n_rows), columns = static_cast<int>(a.n_cols), ask = -1;
  if (columns == 0) return arma::mat();
  arma::vec tau(a.n_cols), work(1);
  int info = 0;
  dgeqrf_(&rows, &columns, a.memptr(), &rows, tau.memptr(), work.memptr(), &ask, &info);
  const int size = static_cast<int>(work(0));
  work.set_size(static_cast<arma::uword>(size));
  dgeqrf_(&rows, &columns, a.memptr(), &rows, tau.memptr(), work.memptr(), &size, &info);
  require(info == 0, "QR factorisation");
  return arma::trimatu(a.head_rows(std::min(a.n_rows, a.n_cols)));
}

double reciprocal_condition(const arma::mat& upper) { return upper.is_empty() ? 1.0 : arma::rcond(arma::trimatu(upper)); }

Svd singular_values(const arma::mat& a) {
  Svd svd;
  arma::mat u;
  require(arma::svd_econ(u, svd.s, svd.v, a, "right"), "singular value decomposition");
  return svd;
}

arma::vec eigenvalues(const arma::mat& symmetric) {
  arma::vec values;
  require(arma::eig_sym(values, symmetric), "eigenvalue decomposition");
  return values;
}

bool cholesky(const arma::mat& a, arma::mat* lower) { return arma::chol(*lower, a, "lower"); }

arma::mat upper_inverse(const arma::mat& upper) {
  arma::mat inverse;
  require(arma::inv(inverse, arma::trimatu(upper)), "inverse");
  return inverse;
}

}  // namespace subquad::linalg
