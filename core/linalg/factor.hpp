// Factorisations of small dense matrices, in double precision, by LAPACK. Their bits depend on how many threads OpenBLAS has.
#pragma once

#include <armadillo>

namespace subquad::linalg {

// The upper triangular R of a = QR; a must have at least as many rows as columns, and is destroyed.
arma::mat qr_factor(arma::mat& a);

// An estimate of 1 / (|R|_1 |R^-1|_1) for an upper triangular R, 0 where it is singular.
double reciprocal_condition(const arma::mat& upper);

// U diag(s) V' of a square or tall matrix, s falling.
struct Svd {
  arma::vec s;
  arma::mat v;
};
Svd singular_values(const arma::mat& a);

// Eigenvalues of a symmetric matrix, rising.
arma::vec eigenvalues(const arma::mat& symmetric);

// The lower triangular L of a symmetric positive definite matrix a = L L'; false where it is not.
bool cholesky(const arma::mat& a, arma::mat* lower);

// R^-1 of an upper triangular R without zeros on its diagonal.
arma::mat upper_inverse(const arma::mat& upper);

}  // namespace subquad::linalg
