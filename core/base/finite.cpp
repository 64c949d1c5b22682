#include "core/base/finite.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace subquad {

namespace {

// Whether a row holds an exponent of all ones, without a branch per element so that the loop vectorises.
template <class T>
bool any_nonfinite(const T* x, int64_t count, int64_t stride) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  constexpr Bits kExponent = sizeof(T) == 4 ? Bits{0x7f800000} : static_cast<Bits>(uint64_t{0x7ff} << 52);
  Bits found = 0;
  const auto look = [&](int64_t i) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof bits);
    found |= (bits & kExponent) == kExponent ? Bits{1} : Bits{0};
  };
  if (stride == 1) {
    for (int64_t i = 0; i < count; ++i) look(i);
  } else {
    for (int64_t i = 0; i < count; ++i) look(i * stride);
  }
  return found != 0;
}

}  // namespace

template <class T>
int64_t first_nonfinite(const View<const T, 4>& x, bool allow_minus_infinity) {
  const auto& [n0, n1, n2, n3] = x.shape;
  for (int64_t a = 0; a < n0; ++a) {
    for (int64_t b = 0; b < n1; ++b) {
      for (int64_t c = 0; c < n2; ++c) {
        const T* row = x.at(a, b, c);
        if (!any_nonfinite(row, n3, x.strides[3])) continue;
        for (int64_t e = 0; e < n3; ++e) {
          const T value = row[e * x.strides[3]];
          const bool allowed = allow_minus_infinity && value == -std::numeric_limits<T>::infinity();
          if (!std::isfinite(value) && !allowed) return ((a * x.shape[1] + b) * x.shape[2] + c) * x.shape[3] + e;
        }
      }
    }
  }
  return -1;
}

template int64_t first_nonfinite<float>(const View<const float, 4>&, bool);
template int64_t first_nonfinite<double>(const View<const double, 4>&, bool);

}  // namespace subquad
