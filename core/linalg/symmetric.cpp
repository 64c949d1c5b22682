#include "core/linalg/symmetric.hpp"

#include <cblas.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/error.hpp"

extern "C" {
void dpotrf_(const char* uplo, const blasint* n, double* a, const blasint* lda, blasint* info);
void dpotri_(const char* uplo, const blasint* n, double* a, const blasint* lda, blasint* info);
void dsyevd_(const char* jobz, const char* uplo, const blasint* n, double* a, const blasint* lda, double* w, double* work,
             const blasint* lwork, blasint* iwork, const blasint* liwork, blasint* info);
}

namespace subquad::linalg {

namespace {

// Row-major with both triangles is column-major with both triangles; LAPACK's "L" is our upper triangle.
void copy_upper_down(double* a, int64_t n) {
  constexpr int64_t kTile = 16;
  for (int64_t i0 = 0; i0 < n; i0 += kTile) {
    for (int64_t j0 = 0; j0 <= i0; j0 += kTile) {
      for (int64_t i = i0; i < std::min(i0 + kTile, n); ++i) {
        for (int64_t j = j0; j < std::min(j0 + kTile, i); ++j) a[i * n + j] = a[j * n + i];
      }
    }
  }
}

void decompose(const char* job, double* a, int64_t n, double* values) {
  const auto size = static_cast<blasint>(n);
  blasint info = 0, ask = -1, integers = 0;
  double doubles = 0;
  dsyevd_(job, "L", &size, a, &size, values, &doubles, &ask, &integers, &ask, &info);
  std::vector<double> work(static_cast<size_t>(doubles));
  std::vector<blasint> iwork(static_cast<size_t>(integers));
  const auto work_size = static_cast<blasint>(work.size());
  dsyevd_(job, "L", &size, a, &size, values, work.data(), &work_size, iwork.data(), &integers, &info);
  if (info != 0) throw Error(Status::err_internal, "dsyevd found no eigenvalues: info = " + std::to_string(info));
}

}  // namespace

bool invert_positive(double* a, int64_t n) {
  const auto size = static_cast<blasint>(n);
  blasint info = 0;
  dpotrf_("L", &size, a, &size, &info);
  if (info != 0) return false;
  dpotri_("L", &size, a, &size, &info);
  if (info != 0) return false;
  copy_upper_down(a, n);
  return true;
}

void multiply_commuting(const double* a, const double* b, double* c, int64_t n) {
  constexpr int64_t kPanel = 64;  // rows at once: the product is computed from the diagonal on
  const auto stride = static_cast<blasint>(n);
  for (int64_t i = 0; i < n; i += kPanel) {
    const auto rows = static_cast<blasint>(std::min(kPanel, n - i)), columns = static_cast<blasint>(n - i);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, columns, stride, 1, a + i * n, stride, b + i, stride, 0,
                c + i * n + i, stride);
  }
  copy_upper_down(c, n);
}

void eigenvalues(double* a, int64_t n, double* values) { decompose("N", a, n, values); }

void eigenvectors(double* a, int64_t n, double* values) { decompose("V", a, n, values); }

}  // namespace subquad::linalg
