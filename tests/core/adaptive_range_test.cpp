// Numbers that 8-bit integers with scales in single precision do not hold: their heads are exact.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/core/adaptive_case.hpp"

namespace subquad::test {

namespace {

using attention::AdaptivePlan;
using attention::AdaptiveRequest;
using attention::apply_plan;
using attention::HeadPlan;
using attention::plan_attention;

constexpr int64_t kTokens = 3000;

template <class T>
AttentionCase<T> scene() {
  return pattern_case<T>({1, 5, 5, kTokens, kTokens, 16, 12}, {true}, 9);
}

AdaptiveRequest to_tolerance() {
  AdaptiveRequest request;
  request.tol = 0.2;
  return request;
}

AdaptiveRequest to_budget() {
  AdaptiveRequest request;
  request.budget = 0.5;
  return request;
}

template <class T>
void scale(Tensor<T>& x, double factor) {
  for (T& entry : x.data) entry = static_cast<T>(static_cast<double>(entry) * factor);
}

// Largest deviation over largest entry; squares of either may overflow.
template <class T>
double deviation(const Tensor<T>& x, const Tensor<T>& y) {
  double most = 0, largest = 0;
  for (size_t i = 0; i < x.data.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(x.data[i]) - static_cast<double>(y.data[i])));
    largest = std::max(largest, std::abs(static_cast<double>(y.data[i])));
  }
  return most / largest;
}

// Bit for bit, or both not a number.
template <class T>
bool same_head(const Tensor<T>& x, const Tensor<T>& y, int64_t head) {
  for (int64_t i = 0; i < x.shape[2]; ++i) {
    for (int64_t c = 0; c < x.shape[3]; ++c) {
      const T a = x(0, head, i, c), b = y(0, head, i, c);
      if (a != b && !(std::isnan(a) && std::isnan(b))) return false;
    }
  }
  return true;
}

bool all_exact(const AdaptivePlan& plan) {
  return std::all_of(plan.heads.begin(), plan.heads.end(), [](const HeadPlan& head) { return head.exact(); });
}

}  // namespace

TEST_CASE("values of any size: exact where 8 bits do not hold them, with the reason") {
  Pool pool(2);
  for (const double factor : {1e-300, 1e-200, 1e-45, 1e-26, 1e-17, 1.0, 1e25, 1e40, 1e300}) {
    auto c = scene<double>();
    scale(c.v, factor);
    const auto exact = forward(c, execution(pool));
    for (const AdaptiveRequest& request : {to_tolerance(), to_budget()}) {
      const auto a = adapt(c, request, execution(pool));
      INFO("factor " << factor);
      const bool held = factor > 1e-18 && factor < 1e27;
      CHECK(all_exact(a.plan) == !held);
      if (held) continue;
      CHECK(deviation(a.out.o, exact.o) < 1e-12);
      for (const HeadPlan& head : a.plan.heads) CHECK(head.fallback.find("values") == 0);
    }
  }
}

TEST_CASE("a plan applied to values of any size") {
  Pool pool(2);
  const auto planned = scene<double>();
  Execution run = execution(pool);
  const AdaptivePlan plan = plan_attention<double>(run, planned.problem(), to_tolerance());
  REQUIRE(!all_exact(plan));
  for (const double factor : {1e-200, 1e-26, 1e40}) {
    auto c = planned;
    scale(c.v, factor);
    INFO("factor " << factor);
    CHECK(deviation(apply(c, plan, execution(pool)).o, forward(c, execution(pool)).o) < 1e-12);
  }
}

TEST_CASE_TEMPLATE("what is not finite gives what exact attention gives", T, float, double) {
  Pool pool(2);
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    for (const int which : {0, 1, 2}) {
      auto c = scene<T>();
      (which == 0 ? c.q : which == 1 ? c.k : c.v)(0, 2, kTokens - 1, 3) = bad;
      AdaptiveRequest request = to_tolerance();
      request.checked = false;
      const auto a = adapt(c, request, execution(pool), false);
      Output<T> exact = empty_output(c);
      Execution run = execution(pool);
      attention::exact_forward<T>(run, c.problem(), false, exact.o.view(), lse_view(c, exact));
      INFO("bad " << bad << ", in " << which);
      CHECK(a.plan.heads[2].exact());
      CHECK(!a.plan.heads[2].fallback.empty());
      CHECK(same_head(a.out.o, exact.o, 2));
      CHECK(!all_exact(a.plan));
    }
  }
}

}  // namespace subquad::test
