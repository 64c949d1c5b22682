// How far a dense symmetric matrix is from the identity, by LAPACK.
#pragma once

#include <cstdint>

namespace subquad::linalg {

// epsilon = |factor a - 1|_2, for the factor that makes it least. a: n x n, both triangles, positive semidefinite and not zero;
// spoiled. Throws Error(internal) where LAPACK fails.
struct Distance {
  double factor, epsilon;
};
Distance distance_from_identity(double* a, int64_t n);

}  // namespace subquad::linalg
