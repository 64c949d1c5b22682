// SIMD targets: which instruction sets this build holds and this processor can run. A context carries its choice; nothing is global.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace subquad::simd {

// One bit of Highway's target mask.
struct Target {
  int64_t bit;
};

// Best first; the last is the portable reference.
const std::vector<Target>& targets();
const char* name(Target target);

// The target that SUBQUAD_SIMD_TARGET names, or the best. Throws Error(unknown) for a name that is not on offer.
Target default_target();
Target find_target(const std::string& name);

}  // namespace subquad::simd
