// The backward pass over visited tiles: against its definition, and against the pass over all pairs.
#include <doctest/doctest.h>

#include <cstring>

#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::attention;
using namespace subquad::test;

namespace {

struct Named {
  const char* name;
  Shape shape;
  Settings settings;
};

std::vector<Named> cases() {
  return {
      {"one pair", {1, 1, 1, 1, 1, 1, 1}, {}},
      {"causal square", {1, 1, 1, 257, 257, 16, 16}, {true}},
      {"not causal, no multiple of anything", {1, 2, 1, 101, 331, 7, 9}, {}},
      {"causal, more keys, grouped heads", {2, 6, 3, 97, 201, 8, 11}, {true, 104}},
      {"one key/value head", {1, 4, 1, 193, 193, 64, 64}, {true}},
      {"rows that see nothing", {1, 1, 1, 161, 140, 5, 3}, {true, -60}},
      {"bias per head, ranges that start inside of tiles", {2, 4, 2, 149, 331, 3, 5}, {true, 182, 3, 4, {60, 330, 131, 250}}},
      {"bias, one row, not causal", {1, 2, 1, 53, 259, 5, 4}, {false, 6, 0, 1, {101, 259}}},
      {"long rows, blocks of 120 keys", {1, 1, 1, 20, 300, 4369, 4369}, {false, 0, 0, 0, {}, 0.1}},
  };
}

// Each tile with probability `share`; of several heads the last one whole.
VisitedTiles random_tiles(const Shape& s, double share, uint64_t seed) {
  VisitedTiles tiles(s.batch, s.q_heads, s.n_q, s.n_k);
  uint64_t draw = 0;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.q_heads; ++h) {
      if (h > 0 && h == s.q_heads - 1) tiles.set_all(b, h);
      for (int64_t i = 0; i * kQueryTile < s.n_q; ++i) {
        for (int64_t j = 0; j * kKeyTile < s.n_k; ++j) {
          if (random_uniform(seed, 0, draw++) < share) tiles.set(b, h, i, j);
        }
      }
    }
  }
  return tiles;
}

template <class T>
GradientTensors<T> backward_of(const AttentionCase<T>& c, const Output<T>& out, Execution run, const VisitedTiles* visited) {
  const Shape& s = c.shape;
  GradientTensors<T> g{c.q, c.k, c.v, c.bias};
  Gradients<T> views{g.dq.view(), g.dk.view(), g.dv.view(), {}};
  if (!c.bias.data.empty()) views.d_lag_bias = {g.d_bias.data.data(), {c.bias.shape[2], c.bias.shape[3]}, {c.bias.shape[3], 1}};
  exact_backward<T>(run, c.problem(), true, out.o.view(),
                    {out.lse.data.data(), {s.batch, s.q_heads, s.n_q}, {s.q_heads * s.n_q, s.n_q, 1}}, c.d_o.view(), views,
                    visited);
  return g;
}

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.data.size() == b.data.size() &&
         (a.data.empty() || std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(T)) == 0);
}

template <class T>
void check_same_bits(const GradientTensors<T>& a, const GradientTensors<T>& b) {
  CHECK(same_bits(a.dq, b.dq));
  CHECK(same_bits(a.dk, b.dk));
  CHECK(same_bits(a.dv, b.dv));
  CHECK(same_bits(a.d_bias, b.d_bias));
}

// The gradient by its definition with P = exp(s - lse) in visited tiles and 0 elsewhere, for given o and lse, with the magnitudes that
// its budgets need.
template <class T>
struct VisitedOracle {
  GradientTensors<long double> gradient;
  Tensor<long double> key_weight;  // [batch][kv_heads][n_k][1]
  long double logit_scale = 0, product_scale = 0, lse_scale = 0, row_weight = 0;

  VisitedOracle(const AttentionCase<T>& c, const Output<T>& out, const VisitedTiles& tiles) {
    const Shape& s = c.shape;
    gradient = {{s.batch, s.q_heads, s.n_q, s.d},
                {s.batch, s.kv_heads, s.n_k, s.d},
                {s.batch, s.kv_heads, s.n_k, s.d_v},
                {1, 1, c.settings.bias_rows, c.bias.shape[3]}};
    key_weight = {s.batch, s.kv_heads, s.n_k, 1};
    const Problem<T> p = c.problem();
    for (int64_t b = 0; b < s.batch; ++b) {
      for (int64_t h = 0; h < s.q_heads; ++h) {
        for (int64_t i = 0; i < s.n_q; ++i) add_row(c, p, out, tiles, b, h, i);
      }
    }
  }

 private:
  void add_row(const AttentionCase<T>& c, const Problem<T>& p, const Output<T>& out, const VisitedTiles& tiles, int64_t b,
               int64_t h, int64_t i) {
    const Shape& s = c.shape;
    const int64_t g = h / (s.q_heads / s.kv_heads), bias_row = c.settings.bias_rows > 1 ? h : 0;
    const KeyRange visible = p.visible(p.keys_in_range(b), i);
    if (visible.size() == 0) return;
    const long double lse = out.lse(b, h, i, 0), scale = p.scale;
    lse_scale = std::max(lse_scale, std::fabs(lse));
    long double delta = 0, delta_size = 0, row = 0;
    for (int64_t e = 0; e < s.d_v; ++e) {
      const long double term = static_cast<long double>(c.d_o(b, h, i, e)) * out.o(b, h, i, e);
      delta += term;
      delta_size += std::fabs(term);
    }
    product_scale = std::max(product_scale, delta_size);
    for (int64_t j = visible.first; j < visible.last; ++j) {
      if (!tiles.any(b, h, i, 1, j, 1)) continue;
      long double logit = 0, size = 0, product = 0, product_size = 0;
      for (int64_t l = 0; l < s.d; ++l) {
        const long double term = scale * c.q(b, h, i, l) * c.k(b, g, j, l);
        logit += term;
        size += std::fabs(term);
      }
      if (c.settings.bias_rows > 0) {
        logit += c.bias(0, 0, bias_row, p.lag(i, j) - c.lag_min);
        size += std::fabs(c.bias(0, 0, bias_row, p.lag(i, j) - c.lag_min));
      }
      for (int64_t e = 0; e < s.d_v; ++e) {
        const long double term = static_cast<long double>(c.d_o(b, h, i, e)) * c.v(b, g, j, e);
        product += term;
        product_size += std::fabs(term);
      }
      logit_scale = std::max(logit_scale, size);
      product_scale = std::max(product_scale, product_size);
      const long double weight = std::exp(logit - lse), d_logit = weight * (product - delta);
      row += weight;
      key_weight(b, g, j, 0) += weight;
      for (int64_t l = 0; l < s.d; ++l) {
        gradient.dq(b, h, i, l) += scale * d_logit * c.k(b, g, j, l);
        gradient.dk(b, g, j, l) += scale * d_logit * c.q(b, h, i, l);
      }
      for (int64_t e = 0; e < s.d_v; ++e) gradient.dv(b, g, j, e) += weight * c.d_o(b, h, i, e);
      if (c.settings.bias_rows > 0) gradient.d_bias(0, 0, bias_row, p.lag(i, j) - c.lag_min) += d_logit;
    }
    row_weight = std::max(row_weight, row);
  }
};

template <class T>
void expect_all(const Tensor<T>& value, const Tensor<long double>& expected, long double budget) {
  for (size_t i = 0; i < value.data.size(); ++i) expect_within(value.data[i], expected.data[i], budget);
}

// Budgets as of the pass over all pairs (tests/core/exact_test.cpp), without the errors of o and lse, which are given: a sum over pairs
// of total weight w errs by w (error of a term + size of a term * summation).
template <class T>
void check(const AttentionCase<T>& c, const VisitedOracle<T>& oracle, const GradientTensors<T>& g) {
  const Shape& s = c.shape;
  const long double u = unit_roundoff<T>(), m = c.settings.magnitude, scale = c.problem().scale,
                    least = m * std::numeric_limits<T>::min(), size = 2 * oracle.product_scale;
  const long double weight = u * ((static_cast<long double>(s.d) + 6) * oracle.logit_scale + 3 + 2 * oracle.lse_scale);
  const long double d_logit = size * (weight + u * static_cast<long double>(s.d_v + 4));
  const auto sum = [&](long double total, long double error, long double term, long double summation) {
    return total * (error + term * (summation + 4 * u)) + least;
  };
  // A block of keys may fall into two runs.
  expect_all(g.dq, oracle.gradient.dq, scale * m * sum(oracle.row_weight, d_logit, size, sum_error<T>(2 * s.n_k)));
  const long double queries = query_sum_error<T>(s.n_q * s.q_heads / s.kv_heads);
  for (size_t i = 0; i < g.dk.data.size(); ++i) {
    const long double total = oracle.key_weight.data[i / static_cast<size_t>(s.d)];
    expect_within(g.dk.data[i], oracle.gradient.dk.data[i], scale * m * sum(total, d_logit, size, queries));
  }
  for (size_t i = 0; i < g.dv.data.size(); ++i) {
    const long double total = oracle.key_weight.data[i / static_cast<size_t>(s.d_v)];
    expect_within(g.dv.data[i], oracle.gradient.dv.data[i], m * sum(total, weight, 1, queries));
  }
  const long double pairs = static_cast<long double>(s.n_q * s.batch * s.q_heads);  // of one lag, at most
  expect_all(g.d_bias, oracle.gradient.d_bias, sum(pairs, d_logit, size, query_sum_error<T>(s.n_q)));
}

}  // namespace

TEST_CASE("what tiles say of rectangles and runs agrees with a look at every pair") {
  const Shape shape = {2, 3, 1, 331, 1000, 1, 1};
  const VisitedTiles tiles = random_tiles(shape, 0.04, 1);
  for (uint64_t trial = 0; trial < 3000; ++trial) {
    const auto draw = [&](uint64_t stream, int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random_uniform(3, stream, trial) * static_cast<double>(high - low + 1));
    };
    const int64_t b = draw(0, 0, 1), h = draw(1, 0, 2), first = draw(2, 0, 330), rows = draw(3, 0, 331 - first);
    const int64_t most = draw(6, 0, 1) == 1 ? KeyRuns::kMostKeys : shape.n_k;
    const int64_t key = draw(4, 0, 999), keys = draw(5, 0, std::min(most, 1000 - key));
    std::vector<bool> touched(static_cast<size_t>(keys));
    for (int64_t t = 0; t < keys; ++t) {
      for (int64_t i = first; i < first + rows; ++i) {
        if (tiles.any(b, h, i, 1, key + t, 1)) touched[static_cast<size_t>(t)] = true;
      }
    }
    CHECK(tiles.any(b, h, first, rows, key, keys) == (std::find(touched.begin(), touched.end(), true) != touched.end()));
    if (keys > KeyRuns::kMostKeys) continue;
    std::vector<bool> covered(static_cast<size_t>(keys));
    for (const KeyRange& run : tiles.runs(b, h, first, rows, key, keys)) {
      for (int64_t t = run.first; t < run.last; ++t) covered[static_cast<size_t>(t)] = true;
    }
    CHECK(covered == touched);
  }
}

TEST_CASE("a set tile touches its own pairs and no others") {
  VisitedTiles tiles(2, 2, 200, 10000);
  tiles.set(1, 0, 2, 131);
  for (const int64_t i : {95, 96, 143, 144}) {
    for (const int64_t j : {131 * 64 - 1, 131 * 64, 131 * 64 + 63, 132 * 64}) {
      CHECK(tiles.any(1, 0, i, 1, j, 1) == (i / 48 == 2 && j / 64 == 131));
    }
  }
  CHECK(!tiles.any(0, 0, 0, 200, 0, 10000));
  CHECK(!tiles.any(1, 1, 0, 200, 0, 10000));
  CHECK(tiles.any(1, 0, 0, 200, 0, 10000));
  CHECK(!tiles.all(1, 0));
  tiles.set_all(0, 1);
  CHECK(tiles.all(0, 1));
  CHECK(tiles.any(0, 1, 199, 1, 9999, 1));
}

TEST_CASE_TEMPLATE("with all tiles visited the gradients are those of all pairs, to the bit", T, float, double) {
  Pool pool(2);
  for (const Named& named : cases()) {
    INFO(named.name);
    const AttentionCase<T> c(named.shape, named.settings, 7);
    const VisitedTiles set = random_tiles(c.shape, 2, 1);  // every tile
    VisitedTiles whole(c.shape.batch, c.shape.q_heads, c.shape.n_q, c.shape.n_k);
    for (int64_t b = 0; b < c.shape.batch; ++b) {
      for (int64_t h = 0; h < c.shape.q_heads; ++h) whole.set_all(b, h);
    }
    for (const simd::Target target : simd::targets()) {
      const Output<T> out = forward(c, execution(pool, target));
      const auto all = backward(c, out, execution(pool, target));
      check_same_bits(backward_of(c, out, execution(pool, target), &set), all);
      check_same_bits(backward_of(c, out, execution(pool, target), &whole), all);
    }
  }
}

TEST_CASE_TEMPLATE("gradients over random tiles match their definition on every SIMD target", T, float, double) {
  Pool pool(2);
  for (const Named& named : cases()) {
    INFO(named.name);
    const AttentionCase<T> c(named.shape, named.settings, 7);
    const Output<T> out = forward(c, execution(pool));
    for (const double share : {0.0, 0.15, 0.6}) {
      const VisitedTiles tiles = random_tiles(c.shape, share, 11);
      const VisitedOracle<T> oracle(c, out, tiles);
      for (const simd::Target target : simd::targets()) {
        INFO("target " << simd::name(target) << ", share " << share);
        check(c, oracle, backward_of(c, out, execution(pool, target), &tiles));
      }
    }
  }
}

TEST_CASE_TEMPLATE("gradients over tiles have the same bits for any number of threads", T, float, double) {
  const auto check_threads = [](const AttentionCase<T>& c, double share) {
    Pool one(1);
    const Output<T> out = forward(c, execution(one));
    const VisitedTiles tiles = random_tiles(c.shape, share, 5);
    const auto expected = backward_of(c, out, execution(one), &tiles);
    for (const int64_t threads : {2, 3, 5}) {
      Pool many(threads);
      for (int repeat = 0; repeat < 3; ++repeat) check_same_bits(backward_of(c, out, execution(many), &tiles), expected);
    }
  };
  for (const double share : {0.05, 0.3})
    check_threads(AttentionCase<T>({2, 4, 2, 1100, 1120, 9, 10}, {true, 20, 0, 1, {0, 1120, 5, 1100}}, 1), share);
  // Heads so large that a wave holds one of the three of a group.
  check_threads(AttentionCase<T>({1, 3, 1, 15, 10, 70000, 70000}, {false, 0, 0, 1}, 1), 0.5);
}

TEST_CASE_TEMPLATE("gradients that are not asked for are left out, tiles or not", T, float, double) {
  Pool pool(2);
  const AttentionCase<T> c({1, 2, 1, 300, 300, 8, 8}, {true}, 1);
  const Output<T> out = forward(c, execution(pool));
  const VisitedTiles tiles = random_tiles(c.shape, 0.4, 5);
  const auto expected = backward_of(c, out, execution(pool), &tiles);
  GradientTensors<T> g{c.q, c.k, c.v, {}};
  Execution run = execution(pool);
  exact_backward<T>(run, c.problem(), true, out.o.view(), {out.lse.data.data(), {1, 2, 300}, {600, 300, 1}}, c.d_o.view(),
                    {{}, g.dk.view(), g.dv.view(), {}}, &tiles);
  CHECK(same_bits(g.dk, expected.dk));
  CHECK(same_bits(g.dv, expected.dv));
}
