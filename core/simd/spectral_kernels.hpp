// Fourier transforms of many columns at once, and products of spectra, one set per SIMD target.
//
// A *column group* holds 2 * lanes real columns as lanes complex ones: row j is [re: lanes][im: lanes], column c < lanes the real
// part of a signal whose imaginary part is column c + lanes. A real kernel's spectrum multiplies both at once. Transforms run
// along the rows, vectors across the columns; frequencies come in an order of the transform's own, the same for all signals of
// one length.
#pragma once

#include <cstdint>

#include "core/simd/target.hpp"

namespace subquad::simd {

// Entries of the table that transforms of a length, a power of two from 16 on, need, and the table.
int64_t twiddle_count(int64_t length);
template <class R>
void fill_twiddles(int64_t length, R* twiddles);

// outputs[o] = sum over inputs p of window(p, o) * inputs[p], for frequencies [first, last).
template <class R>
struct SpectralProduct {
  const R* inputs;  // column groups, input_stride apart
  int64_t input_stride, first_input, last_input;
  const R* windows;        // spectra of real kernels, lanes of them side by side: [length][re: lanes][im: lanes]
  const int64_t* offsets;  // [input][outputs of the tile]: where in `windows` a kernel has its real part at frequency 0
  R* outputs;              // column groups, output_stride apart
  int64_t output_stride;
  int64_t first, last;
};

// 2^(factor x - reference), and 0 (or as good as) where that is above 2^limit.
struct PowerRange {
  double factor, reference, limit;
};

template <class R>
struct SpectralKernels {
  int64_t lanes;
  int64_t tile;  // outputs of a tile: a product computes so many
  // In place; a row is 2 * lanes numbers. *_half: rows from length / 2 on are taken for zero, or not computed.
  void (*transform)(R* rows, int64_t length, const R* twiddles);
  void (*transform_half)(R* rows, int64_t length, const R* twiddles);
  void (*inverse_half)(R* rows, int64_t length, const R* twiddles);  // not divided by the length
  void (*product)(const SpectralProduct<R>&);
  void (*product_conjugate)(const SpectralProduct<R>&);  // with the windows' conjugates
  // Kernels' entries, of type float or R, as powers in R. No exponent below the limit may exceed what R holds.
  void (*powers_of_float)(const float* from, int64_t count, const PowerRange& range, R* to);
  void (*powers)(const R* from, int64_t count, const PowerRange& range, R* to);
  // `lanes` real signals as the real parts of a column group: rows[x] = [from[0][x], from[1][x], .. | 0 ..], signals `stride`
  // apart.
  void (*lay_side_by_side)(const R* from, int64_t stride, int64_t count, R* rows);
  // to[i][:] = from[i][:] * factors[i] * scale[:] for rows of a whole column group. factors: NULL for ones.
  void (*scale_rows)(const R* from, int64_t from_stride, int64_t count, const R* scale, const R* factors, R* to,
                     int64_t to_stride);
};

// R: float or double.
template <class R>
const SpectralKernels<R>& spectral_kernels(Target target);

}  // namespace subquad::simd
