// Products of spectra with the conjugates of others, summed over columns: what cross-correlations of rows take.
#pragma once

#include <cstdint>

#include "core/simd/target.hpp"

namespace subquad::simd {

// sums[f] += sum over s < count and all columns of a_s[f] conj(b_s[f]), for frequencies [first, last) of column groups
// (core/simd/spectral_kernels.hpp). Two real columns a' + i a'' and b' + i b'' make a'b' + a''b'' the real part of the signal whose
// spectrum this is: the imaginary part is of no use.
template <class R>
struct SpectralCorrelation {
  const R *a, *b;  // column groups, stride apart
  int64_t stride, count, first, last;
  R* sums;  // real parts, row apart, the imaginary ones `lanes` behind them
  int64_t row;
};

// R: float or double.
template <class R>
void correlate(Target target, const SpectralCorrelation<R>& correlation);

}  // namespace subquad::simd
