// What a problem says of its mask, against a count over all pairs.
#include <doctest/doctest.h>

#include "tests/core/attention_case.hpp"

using namespace subquad;
using namespace subquad::test;

TEST_CASE("pairs, visible keys and lags agree with a count over all pairs") {
  for (uint64_t trial = 0; trial < 2000; ++trial) {
    const auto draw = [&](uint64_t stream, int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random_uniform(9, stream, trial) * static_cast<double>(high - low + 1));
    };
    const Shape shape = {draw(0, 1, 2), 2, 1, draw(1, 0, 9), draw(2, 0, 9), 1, 1};
    Settings settings = {draw(3, 0, 1) == 1, draw(4, -9, 9), draw(5, -9, 9)};
    if (draw(6, 0, 1) == 1) {
      for (int64_t b = 0; b < shape.batch; ++b) {
        const int64_t start = draw(7 + static_cast<uint64_t>(b), -12, 12);
        settings.ranges.insert(settings.ranges.end(), {start, start + draw(9 + static_cast<uint64_t>(b), 0, 12)});
      }
    }
    const AttentionCase<float> c(shape, settings, 1);
    const auto p = c.problem();
    int64_t pairs = 0, least = std::numeric_limits<int64_t>::max(), greatest = std::numeric_limits<int64_t>::min();
    for (int64_t b = 0; b < shape.batch; ++b) {
      for (int64_t i = 0; i < shape.n_q; ++i) {
        const auto visible = p.visible(p.keys_in_range(b), i);
        for (int64_t j = 0; j < shape.n_k; ++j) {
          const int64_t lag = i + settings.causal_offset - j - settings.key_offset, position = j + settings.key_offset;
          bool sees = !settings.causal || lag >= 0;
          if (!settings.ranges.empty()) {
            sees &= position >= settings.ranges[static_cast<size_t>(2 * b)] &&
                    position < settings.ranges[static_cast<size_t>(2 * b + 1)];
          }
          CHECK(sees == (visible.first <= j && j < visible.last));
          if (!sees) continue;
          ++pairs;
          least = std::min(least, lag);
          greatest = std::max(greatest, lag);
        }
      }
    }
    CHECK(p.pairs() == pairs * shape.q_heads);
    CHECK((p.visible_lags().first <= p.visible_lags().second) == (pairs > 0));
    if (pairs > 0) CHECK(p.visible_lags() == std::make_pair(least, greatest));
  }
}
