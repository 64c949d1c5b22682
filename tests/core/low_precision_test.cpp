// The kernels of attention in 8-bit integers against their definition in double, on every SIMD target.
//
// A logit is made of an exact integer and five roundings. A weight takes one power of two when it is computed, one when its tile is
// scaled to the row's maximum, and one each time that maximum rises afterwards; as a byte it errs by half a step of its tile's largest
// weight.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/base/aligned.hpp"
#include "core/random/philox.hpp"
#include "core/simd/low_precision_kernels.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::simd;
using subquad::test::expect_within;

namespace {

constexpr float kAllPerTile = 16;      // what rows may leave out, relative to what a tile may be
constexpr double kExp2Error = 1.1e-4;  // relative, of a kernel's power of two
const double kRoundoff = static_cast<double>(subquad::test::unit_roundoff<float>());

// Random whole numbers and fractions.
class Dice {
 public:
  explicit Dice(uint64_t seed) : seed_(seed) {}
  double uniform(double low, double high) { return low + (high - low) * random_uniform(seed_, 0, next_++); }
  int32_t whole(int32_t low, int32_t high) { return low + static_cast<int32_t>(uniform(0, high - low + 1)); }

 private:
  uint64_t seed_, next_ = 0;
};

struct LowShape {
  int64_t d, d_v, rows, groups;
  bool bias = false;
  double falling = 0;  // units of log 2 by which logits fall from one group to the next
};

// Keys, values and queries as plain integers, and packed as the kernels read them.
struct LowCase {
  LowShape shape;
  int64_t d, d_v, keys;  // padded columns
  std::vector<int32_t> k, v, q;
  std::vector<float> k_scale, offset, unit, bias;
  std::vector<int32_t> position, last, row;

  LowCase(const LowShape& s, const LowPrecisionKernels& kernels, uint64_t seed)
      : shape(s), d(round_up(s.d, 4)), d_v(round_up(s.d_v, 16)), keys(s.groups * kGroupKeys) {
    Dice dice(seed);
    k.assign(static_cast<size_t>(keys * d), 0);
    v.assign(static_cast<size_t>(keys * d_v), 0);
    q.assign(static_cast<size_t>(s.rows * d), 0);
    for (int64_t j = 0; j < keys; ++j) {
      for (int64_t c = 0; c < s.d; ++c) k[at(j, d, c)] = dice.whole(-kernels.key_levels, kernels.key_levels);
      for (int64_t c = 0; c < s.d_v; ++c) v[at(j, d_v, c)] = dice.whole(-127, 127);
      k_scale.push_back(static_cast<float>(dice.uniform(0.5, 1) / kernels.key_levels));
      offset.push_back(static_cast<float>(dice.uniform(-1, 1) - s.falling * static_cast<double>(j / kGroupKeys)));
      unit.push_back(static_cast<float>(dice.uniform(0.25, 4)));
      position.push_back(static_cast<int32_t>(j));
    }
    for (int64_t r = 0; r < s.rows; ++r) {
      for (int64_t c = 0; c < s.d; ++c) q[at(r, d, c)] = dice.whole(-127, 127);
      row.push_back(static_cast<int32_t>(keys / 2 + r));
      last.push_back(row.back());
    }
    if (s.bias) {
      for (int64_t x = 0; x < 2 * keys + kTileQueries; ++x) bias.push_back(static_cast<float>(dice.uniform(-3, 3)));
    }
  }

  static size_t at(int64_t i, int64_t columns, int64_t c) { return static_cast<size_t>(i * columns + c); }
  float q_scale() const { return static_cast<float>(4 / (127 * std::sqrt(static_cast<double>(shape.d)))); }
  const float* bias_origin() const { return bias.empty() ? nullptr : bias.data() + keys + kTileQueries; }

  double product(int64_t r, int64_t j) const {
    int64_t sum = 0;
    for (int64_t c = 0; c < d; ++c) sum += int64_t{q[at(r, d, c)]} * k[at(j, d, c)];
    const auto key = static_cast<size_t>(j);
    return static_cast<double>(sum) * static_cast<double>(k_scale[key]) * static_cast<double>(q_scale());
  }
  double bias_of(int64_t r, int64_t j) const {
    return bias.empty() ? 0 : static_cast<double>(bias_origin()[j - row[static_cast<size_t>(r)]]);
  }
  double logit(int64_t r, int64_t j) const {
    return product(r, j) + static_cast<double>(offset[static_cast<size_t>(j)]) + bias_of(r, j);
  }
  double logit_budget(int64_t r, int64_t j) const {
    return 5 * kRoundoff *
           (std::fabs(product(r, j)) + std::fabs(static_cast<double>(offset[static_cast<size_t>(j)])) + std::fabs(bias_of(r, j)));
  }
};

// Four groups of keys, and which of them count.
struct Step {
  std::array<int64_t, kTileGroups> group{};
  bool masked = false;
  std::array<uint16_t, kTileGroups> lanes{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF};

  bool counts(const LowCase& c, int64_t r, int64_t j, int32_t first) const {
    if (!masked) return true;
    const auto g = static_cast<size_t>(std::find(group.begin(), group.end(), j / kGroupKeys) - group.begin());
    const int32_t position = c.position[static_cast<size_t>(j)];
    return (lanes[g] >> j % kGroupKeys & 1) != 0 && position >= first && position <= c.last[static_cast<size_t>(r)];
  }
};

// The kernels at work on some rows of a case.
class Machine {
 public:
  Machine(const LowPrecisionKernels& kernels, const LowCase& c, int64_t first_row, int64_t rows, int32_t first_key)
      : kernels_(kernels), c_(c), k_(c.keys * c.d), v_(c.keys * c.d_v), q_(kTileQueries * c.d), o(kTileQueries * c.d_v) {
    for (int64_t j = 0; j < c.keys; ++j) {
      const int64_t group = j / kGroupKeys, lane = j % kGroupKeys;
      for (int64_t l = 0; l < c.d; ++l)
        k_.get()[((group * c.d / 4 + l / 4) * kGroupKeys + lane) * 4 + l % 4] =
            static_cast<uint8_t>(c.k[LowCase::at(j, c.d, l)] + kernels.key_levels + 1);
      for (int64_t e = 0; e < c.d_v; ++e)
        v_.get()[(j / 4 * c.d_v + e) * 4 + j % 4] = static_cast<int8_t>(c.v[LowCase::at(j, c.d_v, e)]);
    }
    std::fill_n(q_.get(), kTileQueries * c.d, int8_t{0});
    for (int64_t r = 0; r < kTileQueries; ++r) {
      const auto own = static_cast<size_t>(first_row + std::min(r, rows - 1));
      const bool there = r < rows;
      int32_t sum = 0;
      for (int64_t l = 0; l < c.d && there; ++l) {
        const int32_t x = c.q[LowCase::at(first_row + r, c.d, l)];
        q_.get()[r * c.d + l] = static_cast<int8_t>(x);
        sum += x;
      }
      q_scale_.get()[r] = there ? c.q_scale() : 0;
      q_start_.get()[r] = -(kernels.key_levels + 1) * sum;
      last_.get()[r] = there ? c.last[own] : -1;
      first_.get()[r] = first_key;
      row_.get()[r] = c.row[own];
      max.get()[r] = kHiddenLogit;
      sum_.get()[r] = mass.get()[r] = missed.get()[r] = missed_sum.get()[r] = 0;
    }
    std::fill_n(o.get(), kTileQueries * c.d_v, 0.0f);
    std::fill_n(tops_.get(), kTileQueries * 16, 0.0f);
    std::fill_n(masses_.get(), kTileQueries * 16, 0.0f);
    keys_ = {c.d, c.d_v, k_.get(), c.k_scale.data(), c.offset.data(), c.unit.data(), v_.get(), c.position.data()};
    queries_ = {rows,      q_.get(),   q_scale_.get(), q_start_.get(), last_.get(),      row_.get(), first_.get(),
                max.get(), sum_.get(), mass.get(),     missed.get(),   missed_sum.get(), o.get()};
    scratch_ = {logits.get(), tops_.get(), masses_.get(), weights_.get()};
  }

  // From now on no tile with one of the last `near` keys that a row sees is left out.
  void keep(int32_t near) { near_ = near; }
  int64_t attend(const Step& step, float share) { return kernels_.attend(tile(step, share), queries_, scratch_); }
  void look(const Step& step) { kernels_.logits(tile(step, 0), queries_, scratch_); }

  // What a row's numbers stand for.
  double seen_mass(int64_t r) const { return scaled(r, mass.get()[r]); }
  double seen_sum(int64_t r) const { return scaled(r, sum_.get()[r]); }
  double missed_mass(int64_t r) const { return scaled(r, missed.get()[r]); }
  double missed_weights(int64_t r) const { return scaled(r, missed_sum.get()[r]); }
  double output(int64_t r, int64_t e) const { return scaled(r, o.get()[r * c_.d_v + e]); }

  // Every number of a row.
  std::vector<float> state(int64_t r) const {
    std::vector<float> all = {max.get()[r], sum_.get()[r], mass.get()[r], missed.get()[r], missed_sum.get()[r]};
    all.insert(all.end(), o.get() + r * c_.d_v, o.get() + (r + 1) * c_.d_v);
    return all;
  }

 private:
  double scaled(int64_t r, float x) const { return std::exp2(static_cast<double>(max.get()[r])) * static_cast<double>(x); }

  LowTile tile(const Step& step, float share) const {
    LowTile tile{&keys_, {}, step.masked, {}, c_.bias_origin(), {share, kAllPerTile * share, near_}};
    std::copy(step.group.begin(), step.group.end(), tile.group);
    std::copy(step.lanes.begin(), step.lanes.end(), tile.lanes);
    return tile;
  }

  const LowPrecisionKernels& kernels_;
  const LowCase& c_;
  int32_t near_ = 0;
  Aligned<uint8_t> k_;
  Aligned<int8_t> v_, q_;
  Aligned<float> q_scale_{kTileQueries}, tops_{kTileQueries * 16}, masses_{kTileQueries * 16}, sum_{kTileQueries};
  Aligned<int32_t> q_start_{kTileQueries}, first_{kTileQueries}, last_{kTileQueries}, row_{kTileQueries};
  Aligned<uint8_t> weights_{kTileQueries * kTileKeys};
  LowKeys keys_{};
  LowQueries queries_{};
  LowScratch scratch_{};

 public:
  Aligned<float> logits{kTileQueries * kTileKeys}, max{kTileQueries}, mass{kTileQueries}, missed{kTileQueries},
      missed_sum{kTileQueries}, o;
};

// A row's mass, sum and outputs over the pairs that count, and what the kernels may err by where they leave nothing out.
struct Expected {
  double mass = 0, sum = 0, relative = 0;
  std::vector<double> o, o_budget;
};

Expected expected_row(const LowCase& c, const LowPrecisionKernels& kernels, const std::vector<Step>& steps, int64_t r,
                      int32_t first) {
  Expected x;
  x.o.assign(static_cast<size_t>(c.d_v), 0);
  x.o_budget = x.o;
  double logit_budget = 0;
  for (const Step& step : steps) {
    double top = 0;
    std::vector<double> sizes(static_cast<size_t>(c.d_v), 0);
    for (const int64_t group : step.group) {
      for (int64_t j = group * kGroupKeys; j < (group + 1) * kGroupKeys; ++j) {
        if (!step.counts(c, r, j, first)) continue;
        const double weight = std::exp2(c.logit(r, j));
        logit_budget = std::max(logit_budget, c.logit_budget(r, j));
        top = std::max(top, weight);
        x.mass += weight;
        x.sum += weight * static_cast<double>(c.unit[static_cast<size_t>(j)]);
        for (int64_t e = 0; e < c.d_v; ++e) {
          const double value = c.v[LowCase::at(j, c.d_v, e)];
          x.o[static_cast<size_t>(e)] += weight * value;
          x.o_budget[static_cast<size_t>(e)] += weight * std::fabs(value);  // times the relative error, below
          sizes[static_cast<size_t>(e)] += std::fabs(value);
        }
      }
    }
    for (size_t e = 0; e < sizes.size(); ++e) x.o_budget[e] += top * sizes[e] * 0.5 / kernels.weight_levels / kExp2Error;
  }
  const auto tiles = static_cast<double>(steps.size());
  x.relative = std::expm1((tiles + 2) * kExp2Error + 2 * std::log(2.0) * logit_budget + (kTileKeys + 4 * tiles + 8) * kRoundoff);
  for (double& budget : x.o_budget) budget *= x.relative;
  return x;
}

enum class Mask { none, causal, lanes };

// All groups of a case once, in any order.
std::vector<Step> steps_over(const LowCase& c, Mask mask, uint64_t seed) {
  Dice dice(seed);
  std::vector<int64_t> order(static_cast<size_t>(c.shape.groups));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (c.shape.falling == 0) {
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[static_cast<size_t>(dice.whole(0, static_cast<int32_t>(i) - 1))]);
  }
  std::vector<Step> steps;
  for (size_t i = 0; i < order.size(); i += kTileGroups) {
    Step step;
    std::copy_n(order.begin() + static_cast<int64_t>(i), kTileGroups, step.group.begin());
    step.masked = mask != Mask::none;
    if (mask == Mask::lanes) {
      for (uint16_t& lanes : step.lanes) lanes = static_cast<uint16_t>(dice.whole(0, 0xFFFF));
    }
    steps.push_back(step);
  }
  return steps;
}

std::vector<LowShape> shapes() {
  std::vector<LowShape> list;
  const int64_t columns[] = {1, 3, 17, 64, 80};
  for (size_t i = 0; i < 5; ++i) {
    for (const bool bias : {false, true}) list.push_back({columns[i], columns[(2 * i + 1) % 5], 48, 12, bias});
  }
  for (const int64_t rows : {1, 2, 3, 5, 6, 7, 11, 13, 15, 16, 17, 31, 32, 33, 47})
    list.push_back({20, 18, rows, 8, rows % 2 == 0});
  return list;
}

template <class F>
void for_each_case(const F& f) {
  uint64_t seed = 1;
  for (const Target target : targets()) {
    INFO(std::string(name(target)));
    const LowPrecisionKernels& kernels = low_precision_kernels(target);
    for (const LowShape& shape : shapes()) {
      INFO("d " << shape.d << ", d_v " << shape.d_v << ", rows " << shape.rows << ", bias " << shape.bias);
      f(kernels, LowCase(shape, kernels, ++seed));
    }
  }
}

constexpr Mask kMasks[] = {Mask::none, Mask::causal, Mask::lanes};
constexpr int32_t kFirstKey = 5;  // of those that masked tiles count

}  // namespace

TEST_CASE("8-bit logits are those of their integers, and hidden where a pair does not count") {
  for_each_case([](const LowPrecisionKernels& kernels, const LowCase& c) {
    for (const Mask mask : kMasks) {
      Machine machine(kernels, c, 0, c.shape.rows, kFirstKey);
      for (const Step& step : steps_over(c, mask, 3)) {
        machine.look(step);
        for (int64_t r = 0; r < c.shape.rows; ++r) {
          for (int64_t slot = 0; slot < kTileKeys; ++slot) {
            const int64_t j = step.group[static_cast<size_t>(slot / kGroupKeys)] * kGroupKeys + slot % kGroupKeys;
            const float logit = machine.logits.get()[r * kTileKeys + slot];
            if (step.counts(c, r, j, kFirstKey)) {
              expect_within(logit, c.logit(r, j), c.logit_budget(r, j));
            } else {
              CHECK(logit == kHiddenLogit);
            }
          }
        }
      }
    }
  });
}

TEST_CASE("8-bit attention that leaves nothing out has the sums of its definition") {
  for_each_case([](const LowPrecisionKernels& kernels, const LowCase& c) {
    for (const Mask mask : kMasks) {
      const std::vector<Step> steps = steps_over(c, mask, 4);
      Machine machine(kernels, c, 0, c.shape.rows, kFirstKey);
      for (const Step& step : steps) {
        const int64_t active = machine.attend(step, 0);
        int64_t seeing = 0;
        for (int64_t r = 0; r < c.shape.rows; ++r) {
          bool sees = false;
          for (const int64_t group : step.group) {
            for (int64_t j = group * kGroupKeys; j < (group + 1) * kGroupKeys; ++j) sees |= step.counts(c, r, j, kFirstKey);
          }
          seeing += sees ? 1 : 0;
        }
        CHECK(active == seeing);
      }
      for (int64_t r = 0; r < c.shape.rows; ++r) {
        const Expected x = expected_row(c, kernels, steps, r, kFirstKey);
        expect_within(machine.seen_mass(r), x.mass, x.relative * x.mass);
        expect_within(machine.seen_sum(r), x.sum, x.relative * x.sum);
        CHECK(machine.missed_mass(r) == 0);
        for (int64_t e = 0; e < c.d_v; ++e)
          expect_within(machine.output(r, e), x.o[static_cast<size_t>(e)], x.o_budget[static_cast<size_t>(e)]);
      }
    }
  });
}

TEST_CASE("what an 8-bit row leaves out is bounded as it says, and stays below its share of what was seen") {
  for (const Target target : targets()) {
    INFO(std::string(name(target)));
    const LowPrecisionKernels& kernels = low_precision_kernels(target);
    for (const double falling : {0.0, 0.5, 2.0}) {
      const LowCase c({24, 16, 48, 32, false, falling}, kernels, 11);
      for (const Mask mask : {Mask::none, Mask::causal}) {
        const std::vector<Step> steps = steps_over(c, mask, 5);
        int64_t all = 0;
        for (const float share : {0.0f, 0x1p-9f, 0x1p-5f, 0x1p-1f, 4.0f}) {
          INFO("falling " << falling << ", share " << share);
          Machine machine(kernels, c, 0, c.shape.rows, 0);
          int64_t active = 0;
          for (const Step& step : steps) active += machine.attend(step, share);
          if (share == 0) all = active;
          CHECK(active <= all);
          if (falling == 2 && share > 0) CHECK(active < all);
          if (share == 4) {
            Machine near(kernels, c, 0, c.shape.rows, 0);
            near.keep(static_cast<int32_t>(c.keys));
            int64_t kept = 0;
            for (const Step& step : steps) kept += near.attend(step, share);
            CHECK(kept == all);
          }
          // Both sides of a comparison are scaled down alike, tile by tile, and rounded.
          const double most = static_cast<double>(share * kAllPerTile),
                       slack = 1 + 4 * static_cast<double>(steps.size()) * kRoundoff;
          for (int64_t r = 0; r < c.shape.rows; ++r) {
            const Expected x = expected_row(c, kernels, steps, r, 0);
            const double missed = machine.missed_mass(r), missed_sum = machine.missed_weights(r);
            CHECK(missed <= most * machine.seen_mass(r) * slack);
            CHECK(missed_sum <= most * machine.seen_sum(r) * slack);
            CHECK(x.mass - machine.seen_mass(r) <= missed * (1 + x.relative) + x.relative * x.mass);
            CHECK(x.sum - machine.seen_sum(r) <= missed_sum * (1 + x.relative) + x.relative * x.sum);
            for (int64_t e = 0; e < c.d_v; ++e)
              expect_within(machine.output(r, e), x.o[static_cast<size_t>(e)],
                            127 * missed * (1 + x.relative) + x.o_budget[static_cast<size_t>(e)]);
          }
        }
      }
    }
  }
}

TEST_CASE("an 8-bit row has the same bits alone, and whatever the keys that it does not see are") {
  for (const Target target : targets()) {
    INFO(std::string(name(target)));
    const LowPrecisionKernels& kernels = low_precision_kernels(target);
    for (const float share : {0.0f, 0x1p-3f, 2.0f}) {
      const LowCase c({24, 20, 48, 32, false, 0.3}, kernels, 12);
      const std::vector<Step> steps = steps_over(c, Mask::causal, 6);
      Machine together(kernels, c, 0, c.shape.rows, 0);
      for (const Step& step : steps) together.attend(step, share);
      for (int64_t r = 0; r < c.shape.rows; ++r) {
        LowCase other = c;
        Dice dice(static_cast<uint64_t>(r));
        for (int64_t j = c.last[static_cast<size_t>(r)] + 1; j < c.keys; ++j) {
          const auto key = static_cast<size_t>(j);
          for (int64_t l = 0; l < c.d; ++l) other.k[LowCase::at(j, c.d, l)] = dice.whole(-kernels.key_levels, kernels.key_levels);
          for (int64_t e = 0; e < c.d_v; ++e) other.v[LowCase::at(j, c.d_v, e)] = dice.whole(-127, 127);
          other.k_scale[key] *= 100;
          other.offset[key] += 20;
          other.unit[key] *= 0x1p10f;
        }
        Machine alone(kernels, c, r, 1, 0), later(kernels, other, r, 1, 0);
        for (const Step& step : steps) {
          alone.attend(step, share);
          later.attend(step, share);
        }
        INFO("share " << share << ", row " << r);
        CHECK(alone.state(0) == together.state(r));
        CHECK(later.state(0) == alone.state(0));
      }
    }
  }
}

TEST_CASE("shares of logits: powers of two to the documented error, exact for whole numbers, summed both ways; and the largest") {
  for (const Target target : targets()) {
    INFO(std::string(name(target)));
    const LowPrecisionKernels& kernels = low_precision_kernels(target);
    constexpr int64_t kRows = 48;
    Dice dice(7);
    std::vector<float> logits(kRows * kTileKeys), reference(kRows), row_sums(kRows, 1.0f), tops(kTileKeys), totals(kTileKeys);
    for (float& x : reference) x = static_cast<float>(dice.whole(-40, 40));
    for (size_t i = 0; i < logits.size(); ++i) {
      const double x = i % 5 == 0 ? dice.whole(-120, 20) : i % 5 == 1 ? -200.0 : dice.uniform(-100, 20);
      logits[i] = i % 7 == 0 ? kHiddenLogit : static_cast<float>(x) + reference[i / kTileKeys];
    }
    // One row at a time: the shares themselves.
    std::vector<double> shares(logits.size());
    for (size_t r = 0; r < kRows; ++r) {
      float sum = 0;
      kernels.shares(logits.data() + r * kTileKeys, &reference[r], 1, &sum, totals.data());
      for (size_t key = 0; key < kTileKeys; ++key) {
        const double x = static_cast<double>(logits[r * kTileKeys + key]) - static_cast<double>(reference[r]);
        shares[r * kTileKeys + key] = static_cast<double>(totals[key]);
        const double exact = std::exp2(x);
        if (x < -130) {
          CHECK(static_cast<double>(totals[key]) <= exact * (1 + kExp2Error));
        } else if (x == std::floor(x)) {
          CHECK(static_cast<double>(totals[key]) == exact);
        } else {
          // The subtraction rounds, by half a unit in the last place of a number below 128.
          expect_within(totals[key], exact, exact * (kExp2Error + std::log(2.0) * 128 * kRoundoff));
        }
      }
    }
    kernels.shares(logits.data(), reference.data(), kRows, row_sums.data(), totals.data());
    kernels.tops(logits.data(), reference.data(), kRows, tops.data());
    for (size_t key = 0; key < kTileKeys; ++key) {
      float most = kHiddenLogit;
      double total = 0;
      for (size_t r = 0; r < kRows; ++r) {
        most = std::max(most, logits[r * kTileKeys + key] - reference[r]);
        total += shares[r * kTileKeys + key];
      }
      CHECK(tops[key] == most);
      expect_within(totals[key], total, kRows * kRoundoff * total);
    }
    for (size_t r = 0; r < kRows; ++r) {
      const double sum = std::accumulate(shares.begin() + static_cast<int64_t>(r) * kTileKeys,
                                         shares.begin() + static_cast<int64_t>(r + 1) * kTileKeys, 1.0);
      expect_within(row_sums[r], sum, (kTileKeys + 1) * kRoundoff * sum);
    }
  }
}

TEST_CASE("rows as 8-bit integers: the nearest ones, the largest entry at the last level") {
  for (const Target target : targets()) {
    INFO(std::string(name(target)));
    const LowPrecisionKernels& kernels = low_precision_kernels(target);
    for (const int32_t levels : {kernels.key_levels, 127}) {
      for (const int64_t n : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 80, 127}) {
        for (const double magnitude : {1.0, 1e-30, 1e30}) {
          Dice dice(static_cast<uint64_t>(n));
          std::vector<float> x, center;
          for (int64_t i = 0; i < n; ++i) {
            x.push_back(static_cast<float>(magnitude * dice.uniform(-2, 2)));
            center.push_back(static_cast<float>(magnitude * dice.uniform(-1, 1)));
          }
          for (const float* const c : {static_cast<const float*>(nullptr), static_cast<const float*>(center.data())}) {
            std::vector<int8_t> out(static_cast<size_t>(n), int8_t{0});
            const double scale = static_cast<double>(kernels.quantize(x.data(), c, n, levels, out.data()));
            double largest = 0;
            int32_t most = 0;
            for (size_t i = 0; i < x.size(); ++i) {
              const double entry = static_cast<double>(c == nullptr ? x[i] : x[i] - c[i]);
              largest = std::max(largest, std::fabs(entry));
              most = std::max(most, std::abs(int32_t{out[i]}));
              // Three roundings of a number of `levels` steps.
              expect_within(out[i] * scale, entry, scale * (0.5 + 3 * kRoundoff * levels));
            }
            CHECK(most == levels);
            expect_within(scale, largest / levels, kRoundoff * largest / levels);
          }
        }
        std::vector<int8_t> out(static_cast<size_t>(n), int8_t{1});
        const std::vector<float> zeros(static_cast<size_t>(n), 0.0f);
        CHECK(kernels.quantize(zeros.data(), nullptr, n, levels, out.data()) == 0);
        CHECK(std::all_of(out.begin(), out.end(), [](int8_t i) { return i == 0; }));
      }
    }
  }
}
