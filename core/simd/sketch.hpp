// The inner loops of sketches and scores, one set per SIMD target.
#pragma once

#include <cstdint>

#include "core/simd/target.hpp"

namespace subquad::simd {

inline constexpr int64_t kMixed = 64;  // columns that one Hadamard transform mixes

// Sketch of 64 columns: y_o = +-1/8 sum_c H[o][c] sign_c x_c with H the Hadamard matrix of order 64, then row bucket_o of the sketch
// gains y_o. The squares of all entries are added to `squares`.
template <class T>
struct MixedColumns {
  const T* x;  // column c at x + c * stride, contiguous rows
  int64_t stride, rows;
  uint64_t negative;                    // bit c: sign_c = -1
  uint64_t negative_results;            // bit o: y_o has the sign -1
  int64_t first_bucket, step, buckets;  // bucket_o = (first_bucket + o * step) mod buckets
  T* sketch;                            // [buckets][rows]
  double* squares;                      // [rows]
};

// Squared norms of projections of sparse columns: norms[c] += |sum_p values[p] z[rows[p] - base][:]|^2, p over the entries of c.
template <class T>
struct SparseProjections {
  const int64_t* offsets;  // [count + 1]
  const int32_t* rows;
  int32_t base;
  const T* values;
  int64_t count;
  const T* z;  // [rows of the matrix][width * lanes]
  double* norms;
};

// A strided rectangle copied to columns of contiguous rows: out[c * out_stride + r] = x[r * row_stride + c * column_stride].
template <class T>
struct CopiedColumns {
  const T* x;
  int64_t row_stride, column_stride, rows, columns;
  T* out;
  int64_t out_stride;
};

template <class T>
struct SketchKernels {
  int64_t lanes;
  void (*mix)(const MixedColumns<T>&);
  void (*sparse[3])(const SparseProjections<T>&);  // by width - 1
  void (*copy)(const CopiedColumns<T>&);
};

// T: float or double.
template <class T>
const SketchKernels<T>& sketch_kernels(Target target);

}  // namespace subquad::simd
