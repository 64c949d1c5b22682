#include "core/attention/overflow_check.hpp"

#include <string>

#include "core/base/error.hpp"
#include "core/parallel/finite.hpp"

namespace subquad::attention {

template <class T>
void check_no_overflow(Execution& run, const View<T, 4>& result, const char* name) {
  if (result.data == nullptr) return;
  const View<const T, 4> values{result.data, result.shape, result.strides};
  const int64_t at = first_nonfinite(run, values, false);
  if (at < 0) return;
  const int64_t row = at / result.shape[3], n = result.shape[2], heads = result.shape[1];
  throw Error(Status::err_overflow, std::string(name) + "[batch " + std::to_string(row / n / heads) + ", head " +
                                        std::to_string(row / n % heads) + ", row " + std::to_string(row % n) +
                                        "] overflows the arrays' data type");
}

template void check_no_overflow<float>(Execution&, const View<float, 4>&, const char*);
template void check_no_overflow<double>(Execution&, const View<double, 4>&, const char*);

}  // namespace subquad::attention
