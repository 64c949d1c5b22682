#include <cmath>

#include "capi/arrays.hpp"
#include "capi/barrier.hpp"
#include "core/base/text.hpp"
#include "core/random/philox.hpp"

using namespace subquad;

subquad_status subquad_fill_uniform(const subquad_array* x, uint64_t seed, uint64_t stream, double low, double high) {
  return capi::guarded([&] {
    const capi::Argument argument{"x", x};
    capi::check_array(argument, 1, SUBQUAD_MAX_NDIM);
    capi::check_floating(argument);
    capi::check_output(argument, {});
    if (!std::isfinite(low)) throw Error(Status::err_value, "low is " + text(low));
    if (!std::isfinite(high)) throw Error(Status::err_value, "high is " + text(high));
    if (low > high) throw Error(Status::err_value, "low is " + text(low) + ", above high, " + text(high));
    if (!std::isfinite(high - low))
      throw Error(Status::err_value, "high - low overflows: low is " + text(low) + ", high is " + text(high));
    capi::with_floating(x->dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto view = capi::view_of<T, 4>(argument);
      uint64_t index = 0;
      for (int64_t a = 0; a < view.shape[0]; ++a) {
        for (int64_t b = 0; b < view.shape[1]; ++b) {
          for (int64_t c = 0; c < view.shape[2]; ++c) {
            for (int64_t d = 0; d < view.shape[3]; ++d, ++index) {
              *view.at(a, b, c, d) = static_cast<T>(low + (high - low) * random_uniform(seed, stream, index));
            }
          }
        }
      }
    });
  });
}
