// Recovery of conv bases: what the theorem promises, on hundreds of problems; counts; layouts; refusals.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>

#include "core/attention/conv_recover.hpp"
#include "core/base/error.hpp"
#include "tests/core/budgets.hpp"
#include "tests/core/conv_case.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

template <class T>
attention::ConvBasis<T> recover(const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                                const attention::RecoveryLimits& limits, attention::RecoveryCounts* counts = nullptr,
                                int64_t threads = 1, simd::Target target = simd::targets().front()) {
  Pool pool(threads);
  Execution run = execution(pool, target);
  attention::RecoveryCounts own;
  return attention::recover_conv_basis<T>(run, q, k, scale, limits, counts != nullptr ? counts : &own);
}

template <class T>
attention::ConvBasis<T> recover(const ConvCase<T>& c, int64_t bases, attention::RecoveryCounts* counts = nullptr,
                                int64_t threads = 1, simd::Target target = simd::targets().front()) {
  return recover<T>(read(c.q), read(c.k), 1, {bases, c.shape.window, static_cast<double>(c.delta())}, counts, threads, target);
}

// The first problem from `seed` on whose distances leave room for rounding: columns that differ are 0.6 delta apart, others 0.4 at most,
// and the threshold is in the middle.
template <class T>
ConvCase<T> problem(int64_t n, int64_t window, int64_t bases, int64_t least, double noise_share, uint64_t seed) {
  for (;; seed += 1000) {
    ConvCase<T> c(random_shape(n, window, bases, least, seed), noise_share, seed);
    if (2 * static_cast<long double>(window) * c.rounding() < 0.05L * c.delta()) return c;
  }
}

int64_t ceil_log2(int64_t n) {
  int64_t bits = 0;
  while ((int64_t{1} << bits) < n) ++bits;
  return bits;
}

template <class T>
void check_kernels(const ConvCase<T>& c, const attention::ConvHead<T>& head) {
  for (int64_t r = 0; r < head.bases(); ++r) {
    long double worst = 0;
    const int64_t step = std::max<int64_t>(head.length(r) / 512, 1);
    for (int64_t t = 0; t < head.length(r); t += step) worst = std::max(worst, std::fabs(head.kernel(r)[t] - c.kernel(r, t)));
    CHECK(worst <= c.noise + c.rounding());
  }
}

// |O~ - O| on some rows, from the arrays as they are and the recovered basis, against both forms of the bound.
template <class T>
void check_theorem(const ConvCase<T>& c, const attention::ConvHead<T>& head, uint64_t seed) {
  const int64_t n = c.shape.n, rows = std::min<int64_t>(n, 24);
  const long double eps = c.noise + c.rounding();
  for (int64_t s = 0; s < rows; ++s) {
    const int64_t i =
        s == 0 ? n - 1 : static_cast<int64_t>(random_uniform(seed, 20, static_cast<uint64_t>(s)) * static_cast<double>(n));
    const auto exact = softmax_row(i, [&](int64_t j) { return c.logit(i, j); });
    const auto found = softmax_row(i, [&](int64_t j) { return entry(head, i, j); });
    // The values that are worst for this row are the signs of its differences; |V|_max = 1.
    long double random = 0, worst = 0;
    for (int64_t j = 0; j <= i; ++j) {
      const long double difference = found[static_cast<size_t>(j)] - exact[static_cast<size_t>(j)];
      random += difference * (2 * random_uniform(seed, 21, static_cast<uint64_t>(j)) - 1);
      worst += std::fabs(difference);
    }
    CHECK(std::fabs(random) <= worst);
    CHECK(worst <= 2 * (std::exp(2 * eps) - 1));
    CHECK(worst <= 2 * std::tanh(eps));
  }
}

template <class T>
void check_problem(const ConvCase<T>& c, int64_t spare, uint64_t seed) {
  CAPTURE(c.shape.n);
  CAPTURE(c.shape.window);
  CAPTURE(c.bases());
  CAPTURE(c.noise);
  attention::RecoveryCounts counts;
  const int64_t asked = c.bases() + spare;
  const auto basis = recover(c, asked, &counts);
  REQUIRE(basis.list.size() == 1);
  const attention::ConvHead<T>& head = basis.list.front();
  REQUIRE(head.starts() == c.shape.starts);
  CHECK(counts.probes <= asked * ceil_log2(c.shape.n) + asked);
  CHECK(counts.columns == c.bases());
  check_kernels(c, head);
  check_theorem(c, head, seed);
}

template <class T>
bool same_basis(const attention::ConvHead<T>& a, const attention::ConvHead<T>& b) {
  if (a.n() != b.n() || a.starts() != b.starts()) return false;
  for (int64_t r = 0; r < a.bases(); ++r) {
    if (std::memcmp(a.kernel(r), b.kernel(r), static_cast<size_t>(a.length(r)) * sizeof(T)) != 0) return false;
  }
  return true;
}

Status status_of(const std::function<void()>& action, std::string* text = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (text != nullptr) *text = error.what();
    return error.status();
  }
  return Status::ok;
}

}  // namespace

TEST_CASE_TEMPLATE("all starts are recovered exactly and attention errs within both bounds", T, float, double) {
  uint64_t seed = 1;
  const int64_t sizes[] = {1, 2, 3, 5, 8, 16, 17, 31, 64, 65, 100, 127, 128, 129, 255, 256, 257, 500, 512, 777, 1024};
  for (const int64_t n : sizes) {
    for (const int64_t bases : {1, 2, 5, 16, 32}) {
      for (const double share : {0.0, 0.5, 1.0}) {
        for (const bool at_zero : {true, false}) {
          ++seed;
          const int64_t window =
              1 + static_cast<int64_t>(random_uniform(seed, 30, 0) * static_cast<double>(std::min<int64_t>(n, 40)));
          if (n - window < bases) continue;  // not so many starts fit, the first of them after 0
          check_problem(problem<T>(n, window, bases, at_zero ? 0 : 1, share, seed), static_cast<int64_t>(seed % 3), seed);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("the same at n = 4096", T, float, double) {
  uint64_t seed = 5000;
  for (const int64_t bases : {1, 3, 16, 32}) {
    for (const double share : {0.0, 1.0}) {
      for (const int64_t window : {1, 64, 1000}) {
        ++seed;
        check_problem(problem<T>(4096, window, bases, static_cast<int64_t>(seed % 2), share, seed), 1, seed);
      }
    }
  }
}

TEST_CASE_TEMPLATE("starts that follow one another, and the first and last places they may have", T, float, double) {
  for (const int64_t window : {1, 7, 20}) {
    std::vector<int64_t> starts;
    for (int64_t j = 0; j <= 60 - window; ++j) starts.push_back(j);
    starts.resize(20);
    starts.push_back(60 - window);
    for (uint64_t seed = 1;; ++seed) {
      const ConvCase<T> c({60, window, starts}, 1, seed);
      if (2 * static_cast<long double>(window) * c.rounding() >= 0.05L * c.delta()) continue;
      check_problem(c, 0, seed);
      break;
    }
  }
}

TEST_CASE_TEMPLATE("fewer bases than asked for are found where there are no more, and the first ones where fewer are asked for",
                   T, float, double) {
  const auto c = problem<T>(300, 8, 6, 1, 1, 3);
  for (int64_t asked = 0; asked <= 9; ++asked) {
    const auto basis = recover(c, asked);
    const std::vector<int64_t> expected(c.shape.starts.begin(), c.shape.starts.begin() + std::min<int64_t>(asked, 6));
    CHECK(basis.list.front().starts() == expected);
    CHECK(basis.most_bases() == std::min<int64_t>(asked, 6));
  }
  const Tensor<T> zero(1, 1, 50, 4);
  attention::RecoveryCounts counts;
  CHECK(recover<T>(read(zero), read(zero), 1, {5, 8, 0.1}, &counts).most_bases() == 0);
  CHECK(counts.probes == 1);
  CHECK(counts.columns == 0);
}

TEST_CASE_TEMPLATE("queries turned by their position, queries and keys otherwise constant: one basis, to round-off", T, float,
                   double) {
  for (const int64_t n : {1, 2, 33, 1000}) {
    ConvCase<T> c({n, 1, {0}, 8}, 0, 7);
    check_problem(c, 1, 7);
  }
}

TEST_CASE_TEMPLATE("constant queries, keys constant on pieces: one basis for each, to round-off", T, float, double) {
  for (const int64_t pieces : {1, 2, 9, 32}) {
    const int64_t n = 640;
    ConvShape shape{n, 4, {}, 1};  // one frequency, which is 0
    for (int64_t r = 0; r < pieces; ++r) shape.starts.push_back(r * n / pieces + (r > 0 ? r % 3 : 0));
    for (uint64_t seed = 11;; ++seed) {
      const ConvCase<T> c(shape, 0, seed);
      if (2 * 4 * c.rounding() >= 0.05L * c.delta()) continue;
      check_problem(c, 1, seed);
      break;
    }
  }
}

TEST_CASE_TEMPLATE("an empty sequence has no bases", T, float, double) {
  const Tensor<T> none(2, 3, 0, 4);
  attention::RecoveryCounts counts;
  const auto basis = recover<T>(read(none), read(none), 1, {4, 1, 1.0}, &counts);
  CHECK(basis.list.size() == 6);
  CHECK(basis.n == 0);
  CHECK(basis.most_bases() == 0);
  CHECK(counts.probes == 0);
}

TEST_CASE_TEMPLATE("the scale multiplies the logits", T, float, double) {
  const auto c = problem<T>(200, 8, 4, 1, 0, 9);
  for (const double scale : {0.5, -4.0}) {  // powers of two: nothing is rounded
    const auto delta = static_cast<double>(c.delta()) * std::fabs(scale);
    const auto basis = recover<T>(read(c.q), read(c.k), scale, {4, 8, delta}), plain = recover(c, 4);
    REQUIRE(basis.list.front().starts() == plain.list.front().starts());
    for (int64_t r = 0; r < 4; ++r) {
      for (int64_t t = 0; t < basis.list.front().length(r); ++t) {
        CHECK(basis.list.front().kernel(r)[t] == static_cast<T>(scale) * plain.list.front().kernel(r)[t]);
      }
    }
  }
}

TEST_CASE_TEMPLATE("heads, grouped heads, batches, strides, threads and targets change no bit", T, float, double) {
  // Four query heads on two key heads, two batch elements; each key head is a problem of its own.
  constexpr int64_t kBatch = 2, kHeads = 4, kKeyHeads = 2, kN = 1500, kWindow = 16;
  std::vector<ConvCase<T>> cases;
  for (int64_t i = 0; i < kBatch * kKeyHeads; ++i) {
    cases.push_back(problem<T>(kN, kWindow, 3 + 9 * i, i % 2, 0, 40));
  }
  const int64_t d = cases.front().d();
  double delta = std::numeric_limits<double>::infinity();
  for (const auto& c : cases) delta = std::min(delta, static_cast<double>(c.delta()));
  Tensor<T> q(kBatch, kHeads, kN, d), k(kBatch, kKeyHeads, kN, d);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t i = 0; i < kN * d; ++i) {
      for (int64_t h = 0; h < kHeads; ++h)
        (&q(b, h, 0, 0))[i] = cases[static_cast<size_t>(b * kKeyHeads + h / 2)].q.data[static_cast<size_t>(i)];
      for (int64_t h = 0; h < kKeyHeads; ++h)
        (&k(b, h, 0, 0))[i] = cases[static_cast<size_t>(b * kKeyHeads + h)].k.data[static_cast<size_t>(i)];
    }
  }
  const attention::RecoveryLimits limits{40, kWindow, delta};
  attention::RecoveryCounts counts, alone;
  const auto all = recover<T>(read(q), read(k), 1, limits, &counts);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t h = 0; h < kHeads; ++h) {
      const auto& c = cases[static_cast<size_t>(b * kKeyHeads + h / 2)];
      attention::RecoveryCounts own;
      CHECK(all.head(b, h).starts() == c.shape.starts);
      CHECK(same_basis(all.head(b, h), recover<T>(read(c.q), read(c.k), 1, limits, &own).list.front()));
      alone.probes = std::max(alone.probes, own.probes);
      alone.columns = std::max(alone.columns, own.columns);
    }
  }
  CHECK(counts.probes == alone.probes);
  CHECK(counts.columns == alone.columns);

  // Columns first in memory, rows in reverse order.
  Tensor<T> q_columns(kBatch, kHeads, d, kN), k_columns(kBatch, kKeyHeads, d, kN);
  const auto turned = [&](const Tensor<T>& from, Tensor<T>& to) {
    for (int64_t b = 0; b < from.shape[0]; ++b) {
      for (int64_t h = 0; h < from.shape[1]; ++h) {
        for (int64_t i = 0; i < kN; ++i) {
          for (int64_t l = 0; l < d; ++l) to(b, h, l, kN - 1 - i) = from(b, h, i, l);
        }
      }
    }
    View<const T, 4> view = read(to);
    return View<const T, 4>{view.data + kN - 1, from.shape, {view.strides[0], view.strides[1], -1, kN}};
  };
  const auto strided = recover<T>(turned(q, q_columns), turned(k, k_columns), 1, limits);
  for (size_t i = 0; i < all.list.size(); ++i) CHECK(same_basis(all.list[i], strided.list[i]));
  for (const int64_t threads : {2, 3, 5}) {
    const auto again = recover<T>(read(q), read(k), 1, limits, nullptr, threads);
    for (size_t i = 0; i < all.list.size(); ++i) CHECK(same_basis(all.list[i], again.list[i]));
  }
  for (const simd::Target target : simd::targets()) {
    CAPTURE(simd::name(target));
    const auto other = recover<T>(read(q), read(k), 1, limits, nullptr, 1, target);
    for (int64_t b = 0; b < kBatch; ++b) {
      for (int64_t h = 0; h < kHeads; ++h) {
        const auto& c = cases[static_cast<size_t>(b * kKeyHeads + h / 2)];
        CHECK(other.head(b, h).starts() == c.shape.starts);
        check_kernels(c, other.head(b, h));
      }
    }
  }
}

TEST_CASE_TEMPLATE("a logit that overflows is an error that names its row", T, float, double) {
  for (const int64_t row : {0, 40, 99}) {
    Tensor<T> q(1, 2, 100, 3), k(1, 1, 100, 3);
    std::fill(q.data.begin(), q.data.end(), T{1});
    std::fill(k.data.begin(), k.data.end(), T{1});
    q(0, 1, row, 1) = std::numeric_limits<T>::max();
    k(0, 0, 0, 1) = T{4};
    std::string text;
    CHECK(status_of([&] { recover<T>(read(q), read(k), 1, {3, 2, 0.5}); }, &text) == Status::err_overflow);
    CHECK(text.find("batch 0, head 1, query " + std::to_string(row)) != std::string::npos);
  }
}

TEST_CASE("a cancelled recovery ends with an error") {
  const Tensor<float> q(1, 1, 1 << 17, 64);
  Tensor<float> k = q;
  std::fill(k.data.begin(), k.data.end(), 1.0F);
  Pool pool(2);
  fft::PlanCache plans;
  Execution run{pool, Ticker([](double) { return true; }), simd::targets().front(), Workspace(0), plans};
  attention::RecoveryCounts counts;
  // No column differs from nothing until the callback is due: so many probes of so many rows take longer than that.
  const attention::RecoveryLimits limits{1 << 16, 1 << 16, 1e-30};
  CHECK(status_of([&] {
          for (int calls = 0; calls < 1000; ++calls)
            attention::recover_conv_basis<float>(run, read(q), read(k), 1, limits, &counts);
        }) == Status::err_cancelled);
}

TEST_CASE("a recovery needs no more workspace than its limit allows") {
  const auto c = problem<float>(1000, 8, 4, 1, 0, 2);
  Pool pool(1);
  fft::PlanCache plans;
  Execution run{pool, Ticker({}), simd::targets().front(), Workspace(100), plans};
  attention::RecoveryCounts counts;
  CHECK(status_of([&] {
          attention::recover_conv_basis<float>(run, read(c.q), read(c.k), 1, {4, 8, 1.0}, &counts);
        }) == Status::err_workspace);
}
