#include "core/linalg/symmetric.hpp"

#include <cblas.h>

#include <string>
#include <vector>

#include "core/base/error.hpp"

extern "C" void dsyevd_(const char* jobz, const char* uplo, const blasint* n, double* a, const blasint* lda, double* w,
                        double* work, const blasint* lwork, blasint* iwork, const blasint* liwork, blasint* info);

namespace subquad::linalg {

Distance distance_from_identity(double* a, int64_t n) {
  const auto size = static_cast<blasint>(n);
  blasint info = 0, ask = -1, integers = 0;
  double doubles = 0;
  std::vector<double> values(static_cast<size_t>(n));
  dsyevd_("N", "L", &size, a, &size, values.data(), &doubles, &ask, &integers, &ask, &info);
  const auto count = static_cast<blasint>(doubles);
  std::vector<double> work(static_cast<size_t>(count));
  std::vector<blasint> iwork(static_cast<size_t>(integers));
  dsyevd_("N", "L", &size, a, &size, values.data(), work.data(), &count, iwork.data(), &integers, &info);
  if (info != 0) throw Error(Status::err_internal, "LAPACK found no eigenvalues: dsyevd says " + std::to_string(info));
  const double sum = values.front() + values.back();
  return {2 / sum, (values.back() - values.front()) / sum};
}

}  // namespace subquad::linalg
