// Needles: one far key that one query needs. Screening finds every one; selection those whose group of keys stands out.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/attention/low_keys.hpp"
#include "tests/core/adaptive_case.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::attention;
using namespace subquad::test;

namespace {

constexpr int64_t kColumns = 64, kValueColumns = 16;
constexpr double kExp2Error = 1.1e-4;  // of a kernel's power of two

struct Needle {
  int64_t head, row, key;
};

double logit(const AttentionCase<float>& c, int64_t head, int64_t row, int64_t key) {
  const int64_t kv_head = head / (c.shape.q_heads / c.shape.kv_heads);
  double sum = 0;
  for (int64_t l = 0; l < kColumns; ++l)
    sum += static_cast<double>(c.q(0, head, row, l)) * static_cast<double>(c.k(0, kv_head, key, l));
  return sum * c.problem().scale;
}

// Of a logit in 8-bit integers: either factor errs by half a step of its row's largest entry, of 63 steps at worst; centres of keys
// may double theirs.
double logit_error(const AttentionCase<float>& c, const Needle& needle) {
  const int64_t kv_head = needle.head / (c.shape.q_heads / c.shape.kv_heads);
  double q_most = 0, q_sum = 0, k_most = 0;
  for (int64_t l = 0; l < kColumns; ++l) {
    const auto q = std::fabs(static_cast<double>(c.q(0, needle.head, needle.row, l)));
    q_most = std::max(q_most, q);
    q_sum += q;
  }
  for (int64_t j = 0; j < c.shape.n_k; ++j) {
    for (int64_t l = 0; l < kColumns; ++l) k_most = std::max(k_most, std::fabs(static_cast<double>(c.k(0, kv_head, j, l))));
  }
  return c.problem().scale * (q_sum * 2 * k_most / 126 + kColumns * 2 * k_most * q_most / 254);
}

// The row's output is its needle's value, but for the weight of all other keys, which may be left out, and for round-off.
void check_found(const AttentionCase<float>& c, const Output<float>& out, const Needle& needle, double error_of_logits) {
  const int64_t kv_head = needle.head / (c.shape.q_heads / c.shape.kv_heads);
  const double own = logit(c, needle.head, needle.row, needle.key);
  double rest = 0, largest = 0;
  for (int64_t j = 0; j <= needle.row; ++j) {
    if (j != needle.key) rest += std::exp(logit(c, needle.head, needle.row, j) - own);
    for (int64_t e = 0; e < kValueColumns; ++e)
      largest = std::max(largest, std::fabs(static_cast<double>(c.v(0, kv_head, j, e))));
  }
  REQUIRE(rest < 0.01);
  const double budget = largest * (2 * rest * std::exp(2 * error_of_logits) + 0.5 / 127 + 4 * kExp2Error);
  for (int64_t e = 0; e < kValueColumns; ++e)
    expect_within(out.o(0, needle.head, needle.row, e), c.v(0, kv_head, needle.key, e), budget);
}

}  // namespace

TEST_CASE("screening finds every needle, at any position, in any head, up to 65536 keys") {
  Pool pool(2);
  for (const int64_t n : {2048, 4096, 16384, 65536}) {
    const int64_t kv_heads = n > 16384 ? 1 : 2, q_heads = 2 * kv_heads;
    AttentionCase<float> c = blank_case<float>({1, q_heads, kv_heads, n, n, kColumns, kValueColumns}, {true});
    for (int64_t g = 0; g < kv_heads; ++g) {
      fill_head(c.k, g, 1, 21, 1);
      fill_head(c.v, g, 1.5, 21, 2);
    }
    // Every query looks at its own key, so that rows leave nearly all tiles out; but for those with a needle.
    std::vector<Needle> needles;
    for (int64_t h = 0; h < q_heads; ++h) {
      std::vector<int64_t> looks_at(static_cast<size_t>(n));
      std::iota(looks_at.begin(), looks_at.end(), int64_t{0});
      for (int64_t number = 0; number < 16; ++number) {
        const auto random = [&](uint64_t stream, int64_t below) {
          return static_cast<int64_t>(random_uniform(5, stream, static_cast<uint64_t>(16 * h + number)) *
                                      static_cast<double>(below));
        };
        const int64_t row = number == 15 ? n - 1 : n / 2 + number * (n / 32) + random(1, n / 32);
        const int64_t edges[] = {0, 1, 15, 16, 63, 64, 127, n / 2 - 1, row - 200};
        const int64_t key = number < 9 ? edges[number] : random(2, row);
        needles.push_back({h, row, key});
        looks_at[static_cast<size_t>(row)] = key;
      }
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t l = 0; l < kColumns; ++l) c.q(0, h, i, l) = 12 * c.k(0, h / 2, looks_at[static_cast<size_t>(i)], l);
      }
    }
    AdaptiveRequest request;
    request.tol = 0.1;
    request.estimate = Estimate::screened;
    const auto a = adapt(c, request, execution(pool));
    for (const HeadPlan& head : a.plan.heads) CHECK(!head.exact());
    for (const Needle& needle : needles) {
      INFO("n " << n << ", head " << needle.head << ", row " << needle.row << ", key " << needle.key);
      check_found(c, a.out, needle, logit_error(c, needle));
    }
  }
}

// A group of m keys (16, or 16 groups of 16 where there are too many) is taken apart where, for some row of the tile,
//   m exp(logit of its mean key) > expand * (sum of exp(logit) over the row's window and the heavy keys + the same of all groups),
// at every level from the top one down. That is the margin which a needle's group has to have.
TEST_CASE("selection finds the needles whose groups stand out by the stated margin") {
  Pool pool(2);
  constexpr int64_t kWindow = 128;
  constexpr double kExpand = 0x1p-6;
  for (const int64_t n : {8192, 49152}) {
    const int64_t levels = n > 8192 ? 2 : 1;
    AttentionCase<float> c = blank_case<float>({1, 1, 1, n, n, kColumns, kValueColumns}, {true});
    fill_head(c.q, 0, 0.3, 22, 1);
    fill_head(c.k, 0, 0.5, 22, 2);
    fill_head(c.v, 0, 1.5, 22, 3);
    // A needle in a block of keys of its own; the others of the block look towards it a little, by more and more.
    std::vector<Needle> needles;
    for (int64_t number = 0; number < 15; ++number) {
      const int64_t block = 256 * (number + 1), key = block + (37 * number) % 256, row = n / 2 + 48 * 5 * number + number;
      const double others = 0.05 * static_cast<double>(number);
      for (int64_t l = 0; l < kColumns; ++l) {
        const auto sign =
            static_cast<float>(random_uniform(6, static_cast<uint64_t>(number), static_cast<uint64_t>(l)) < 0.5 ? -1 : 1);
        c.q(0, 0, row, l) = sign;
        for (int64_t j = block; j < block + 256; ++j) c.k(0, 0, j, l) += static_cast<float>(j == key ? 2.5 : others) * sign;
      }
      needles.push_back({0, row, key});
    }
    HeadChoice choice;
    choice.kind = HeadKind::selected;
    choice.limits = {0x1p-3f, 1, 0};
    choice.window = kWindow;
    choice.heavy = {0, 1, 2, 3};
    choice.expand = static_cast<float>(kExpand);
    const Output<float> out = apply(c, plan_of(c, choice), execution(pool));
    int64_t above = 0, below = 0;
    for (const Needle& needle : needles) {
      const int64_t tile = needle.row / kQueryTile * kQueryTile, start = (tile - kWindow + 1) / 16 * 16;
      double seen = 0;
      for (int64_t j = start; j <= needle.row; ++j) seen += std::exp(logit(c, 0, needle.row, j));
      for (const int64_t j : choice.heavy) seen += std::exp(logit(c, 0, needle.row, j));
      double margin = std::numeric_limits<double>::infinity();
      for (int64_t level = 1, size = 16; level <= levels; ++level, size *= 16) {
        const auto weight = [&](int64_t group) {
          double mean = 0;
          for (int64_t j = group * size; j < (group + 1) * size; ++j)
            mean += logit(c, 0, needle.row, j) / static_cast<double>(size);
          return static_cast<double>(size) * std::exp(mean);
        };
        double all = seen;
        for (int64_t group = 0; (group + 1) * size <= start; ++group) all += weight(group);
        margin = std::min(margin, std::log(weight(needle.key / size) / (kExpand * all)));
      }
      const double error = logit_error(c, needle);
      INFO("n " << n << ", row " << needle.row << ", key " << needle.key << ", margin " << margin);
      below += margin < 0 ? 1 : 0;
      if (margin < 2 * error + kExp2Error) continue;  // either side's logits err
      ++above;
      check_found(c, out, needle, error);
    }
    CHECK(above >= 3);
    CHECK(below >= 1);
  }
}
