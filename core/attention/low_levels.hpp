// A head's keys summed up: groups of 16 keys by their mean key and mean value, groups of 16 such groups, and so on.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/low_keys.hpp"

namespace subquad::attention {

// Node i of level l >= 1 stands for the keys from i 16^l to (i + 1) 16^l - 1 that are not left out; its position is the last of them.
class LowLevels {
 public:
  // left_out: keys, increasing. center: taken off every key.
  template <class T>
  static LowLevels build(const Team& team, Workspace& workspace, const simd::LowPrecisionKernels& kernels,
                         const View<const T, 2>& k, const View<const T, 2>& v, const std::vector<float>& center,
                         const std::vector<int64_t>& left_out);

  int64_t top() const { return static_cast<int64_t>(levels_.size()); }
  const LowKeys& level(int64_t l) const { return levels_[static_cast<size_t>(l - 1)]; }

 private:
  std::vector<LowKeys> levels_;  // from level 1 on
};

}  // namespace subquad::attention
