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

namespace {

// asked_by: who named the target, for the message.
Target find(const std::string& wanted, const char* asked_by) {
  std::string offered;
  for (const Target target : targets()) {
    if (wanted == name(target)) return target;
    offered += std::string(offered.empty() ? "" : ", ") + name(target);
  }
  throw Error(Status::err_unknown,
              std::string(asked_by) + " is \"" + wanted + "\", which is no SIMD target here; there are: " + offered);
}

}  // namespace

Target find_target(const std::string& wanted) { return find(wanted, "name"); }

Target default_target() {
  const char* forced = std::getenv("SUBQUAD_SIMD_TARGET");
  return forced != nullptr && *forced != '\0' ? find(forced, "SUBQUAD_SIMD_TARGET") : targets().front();
}

}  // namespace subquad::simd
