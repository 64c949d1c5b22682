// Matrix products with few columns, and inner products, one set per SIMD target.
#pragma once

#include <cstdint>

#include "core/simd/attention_kernels.hpp"
#include "core/simd/target.hpp"

namespace subquad::simd {

inline constexpr int64_t kFrequencies = 16;  // that a chunk of spectra holds: so many real parts, then so many imaginary parts

// Rows of a matrix with few columns.
template <class T>
struct RowProducts {
  const T* a;  // element l of row i at a[i * a_row + l * a_step]
  int64_t a_row, a_step, rows, depth;
  const T* b;  // [depth][width * lanes]
  T* c;        // [rows][width * lanes]: c[i][:] = sum_l a[i][l] b[l][:], or gains it
};

// Rows with rows, summed in double precision.
template <class T>
struct RowDots {
  const T *a, *b;  // rows of `depth` contiguous elements, a_row and b_row apart
  int64_t a_row, b_row, rows, depth;
  double* y;  // [rows]: y[i] = sum_l a[i][l] b[i][l]
};

template <class T>
struct ProductKernels {
  int64_t lanes;                                   // elements of a vector
  void (*rows[kMaxWidth])(const RowProducts<T>&);      // by width - 1
  void (*add_rows[kMaxWidth])(const RowProducts<T>&);  // the same, adding to c
  void (*dots)(const RowDots<T>&);
};

// T: float or double.
template <class T>
const ProductKernels<T>& product_kernels(Target target);

// sum[f] += sum over s < count of a[s][f] conj(b[s][f]), chunks one after the other.
void add_spectra(Target target, const double* a, const double* b, int64_t count, double* sum);

}  // namespace subquad::simd
