// The documented accuracy of the vectorised 2^x, on every SIMD target.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/random/philox.hpp"
#include "core/simd/exp2.hpp"

using namespace subquad;

namespace {

// Distance of y from the true 2^x in units in the last place.
template <class T>
long double ulps(T x, T y) {
  const long double exact = std::exp2(static_cast<long double>(x));
  int exponent;
  std::frexp(exact, &exponent);
  return std::fabs(y - exact) / std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits);
}

template <class T>
std::vector<T> arguments() {
  const T least = simd::kExp2Least<T>, most = simd::kExp2Most<T>;
  std::vector<T> x;
  for (T integer = least; integer <= most; ++integer) {
    x.push_back(integer);
    if (integer < most) x.push_back(integer + T{0.5});
  }
  for (uint64_t i = 0; i < 200000; ++i) x.push_back(least + static_cast<T>(random_uniform(5, 0, i)) * (most - least));
  for (uint64_t i = 0; i < 200000; ++i) x.push_back(static_cast<T>(2 * random_uniform(5, 1, i) - 1));
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("2^x is as accurate as documented on every SIMD target", T, float, double) {
  const std::vector<T> x = arguments<T>();
  for (const simd::Target target : simd::targets()) {
    INFO(simd::name(target));
    std::vector<T> y(x.size());
    simd::exp2_array(target, x.data(), y.data(), static_cast<int64_t>(x.size()));
    long double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, ulps(x[i], y[i]));
    const std::string name = simd::name(target);
    const bool fused = name.rfind("AVX", 0) == 0 || name.rfind("NEON", 0) == 0;
    CHECK(worst <= (fused ? simd::kExp2UlpsFused : simd::kExp2UlpsSeparate));
  }
}

TEST_CASE_TEMPLATE("2^x at the edges: tiny below the range, NaN stays NaN, 2^0 is 1", T, float, double) {
  for (const simd::Target target : simd::targets()) {
    INFO(simd::name(target));
    const T x[] = {-std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::max(), std::numeric_limits<T>::quiet_NaN(),
                   T{0}};
    T y[4];
    simd::exp2_array(target, x, y, 4);
    CHECK(y[0] == std::exp2(simd::kExp2Least<T>));
    CHECK(y[1] == std::exp2(simd::kExp2Least<T>));
    CHECK(std::isnan(y[2]));
    CHECK(y[3] == T{1});
  }
}
