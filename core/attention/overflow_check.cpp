#include "core/attention/overflow_check.hpp"

#include <cmath>
#include <string>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/parallel/finite.hpp"

namespace subquad::attention {

namespace {
constexpr int64_t kRows = 1024;  // between two looks at the callback
}  // namespace

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

template <class T>
void check_magnitude(Execution& run, const View<const T, 4>& operand, double most) {
  const int64_t rows = operand.shape[2];
  Monitor monitor(run.ticker, 0);
  run.pool.run(operand.shape[0] * operand.shape[1], monitor, [&](int64_t task, int64_t) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t c = 0; c < operand.shape[3]; ++c) {
        const T value = *operand.at(task / operand.shape[1], task % operand.shape[1], i, c);
        if (!(std::fabs(static_cast<double>(value)) > most)) continue;
        throw Error(Status::err_overflow, "a value is " + text(static_cast<double>(value)) + " in row " + std::to_string(i) +
                                              "; strict_causal takes values of up to " + text(most));
      }
      if (i % kRows == 0) monitor.advance(0);
    }
  });
}

template void check_magnitude<float>(Execution&, const View<const float, 4>&, double);
template void check_magnitude<double>(Execution&, const View<const double, 4>&, double);
template void check_no_overflow<float>(Execution&, const View<float, 4>&, const char*);
template void check_no_overflow<double>(Execution&, const View<double, 4>&, const char*);

}  // namespace subquad::attention
