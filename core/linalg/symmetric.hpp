// Eigenvalues of small dense symmetric matrices, from LAPACK.
#pragma once

#include <cstdint>

namespace subquad::linalg {

// Increasing. a: n x n, both triangles; spoiled. Throws Error(internal) where LAPACK fails.
void eigenvalues(double* a, int64_t n, double* values);

}  // namespace subquad::linalg
