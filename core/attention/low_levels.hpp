// A head's keys summed up: groups of 16 keys by their mean key and mean value, groups of 16 such groups, and so on.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/low_keys.hpp"

namespace subquad::attention {

// Level 0 is the keys themselves, without those left out; node i of level l stands for the keys from i 16^l to (i + 1) 16^l - 1 that
// are not left out, and its position is the last of them.
class LowLevels {
 public:
  // keys, and what is left out of them (increasing). center: as of the keys.
  template <class T>
  static LowLevels build(const Team& team, Workspace& workspace, const simd::LowPrecisionKernels& kernels,
                         const View<const T, 2>& k, const View<const T, 2>& v, const std::vector<float>& center,
                         const LowKeys& keys, const std::vector<int64_t>& left_out);

  int64_t top() const { return static_cast<int64_t>(levels_.size()) - 1; }
  const LowKeys& level(int64_t l) const { return levels_[static_cast<size_t>(l)]; }

 private:
  std::vector<LowKeys> levels_;
};

}  // namespace subquad::attention
