// Calls a function of HWY_EXPORT on a target of the caller's choice, where HWY_DYNAMIC_DISPATCH would use a global one.
#pragma once

#include <hwy/highway.h>

#include "core/simd/target.hpp"

namespace subquad::simd {

inline size_t dispatch_index(Target target) {
  hwy::ChosenTarget chosen;
  chosen.Update(target.bit);
  return chosen.GetIndex();
}

}  // namespace subquad::simd

#if (HWY_TARGETS & (HWY_TARGETS - 1)) == 0
#define SUBQUAD_DISPATCH(function, target) (static_cast<void>(target), HWY_STATIC_DISPATCH(function))
#else
#define SUBQUAD_DISPATCH(function, target) (*(HWY_DISPATCH_TABLE(function)[::subquad::simd::dispatch_index(target)]))
#endif
