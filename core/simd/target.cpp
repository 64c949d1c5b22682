#include "core/simd/target.hpp"

#include <cstdlib>

#include <hwy/highway.h>

#include "core/base/error.hpp"

namespace subquad::simd {

const std::vector<Target>& targets() {
  static const std::vector<Target> list = [] {
    std::vector<Target> found;
    // Highway numbers its targets so that a lower bit is a better target.
    const int64_t usable = hwy::SupportedTargets() & HWY_TARGETS;
    for (int shift = 0; shift < 63; ++shift) {
      if (const int64_t bit = int64_t{1} << shift; (usable & bit) != 0) found.push_back({bit});
    }
    return found;
  }();
  return list;
}

const char* name(Target target) { return hwy::TargetName(target.bit); }

Target find_target(const std::string& wanted) {
  std::string offered;
  for (const Target target : targets()) {
    if (wanted == name(target)) return target;
    offered += std::string(offered.empty() ? "" : ", ") + name(target);
  }
  throw Error(Status::err_unknown, "no SIMD target is called \"" + wanted + "\" here; there are: " + offered);
}

Target default_target() {
  const char* forced = std::getenv("SUBQUAD_SIMD_TARGET");
  return forced != nullptr && *forced != '\0' ? find_target(forced) : targets().front();
}

}  // namespace subquad::simd
