// Small dense symmetric matrices of doubles, n x n with both triangles: what LAPACK does with them.
#pragma once

#include <cstdint>

namespace subquad::linalg {

// a = a^-1. False, and a is spoiled, when it is not positive definite.
bool invert_positive(double* a, int64_t n);

// c = a b for factors that commute: then the product is symmetric.
void multiply_commuting(const double* a, const double* b, double* c, int64_t n);

// Increasing; a is spoiled.
void eigenvalues(double* a, int64_t n, double* values);

// Increasing; row i of a becomes the unit eigenvector of value i.
void eigenvectors(double* a, int64_t n, double* values);

}  // namespace subquad::linalg
