// Streams of random words that sparsifiers draw from, apart from each other for every seed.
#pragma once

#include <cstdint>

namespace subquad::sparsify {

inline constexpr uint64_t kGaussianStream = 0x5350415253000002;  // projections of scores
inline constexpr uint64_t kArrivalStream = 0x5350415253000003;   // arrival times of sampled columns, two words each
inline constexpr uint64_t kSketchStream = 0x5350415253000100;  // signs and rows of sketches, by column or block; one per attempt

}  // namespace subquad::sparsify
