// Counter-based randomness: a pure function of (seed, stream, index).
// Method: [Philox] Philox4x32-10 (docs/math/references.md).
#pragma once

#include <array>
#include <cstdint>

namespace subquad {

using PhiloxBlock = std::array<uint32_t, 4>;

inline PhiloxBlock philox4x32(PhiloxBlock counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiply0 = 0xD2511F53, kMultiply1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiply0 * counter[0], product1 = kMultiply1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

// Word `index` of a stream: counter (index / 4, stream), key seed.
inline uint32_t random_word(uint64_t seed, uint64_t stream, uint64_t index) {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  return philox4x32({low(index / 4), high(index / 4), low(stream), high(stream)}, {low(seed), high(seed)})[index % 4];
}

// Uniform on [0, 1) in steps of 2^-24: exact in float and double.
inline double random_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  return (random_word(seed, stream, index) >> 8) * 0x1p-24;
}

}  // namespace subquad
