// The inner loops of products with weights that depend on the lag, one set per SIMD target. Query groups as in
// attention_kernels.hpp.
#pragma once

#include <cstdint>

#include "core/simd/attention_kernels.hpp"

namespace subquad::simd {

// The weights of one query group and one block of keys:
//   W[t,i] = table[i - t], or 2^(table[i - t] - lse[i]) where lse is given, for t <= i + diagonal; 0 elsewhere.
// Exponents come as a sum of two numbers: their difference is small where the weight matters, and keeps its digits.
template <class T>
struct ToeplitzBlock {
  int64_t keys;                // at most kKeyBlock
  int64_t diagonal;            // query i of the group sees key t of the block where t <= i + diagonal
  const T *table, *table_low;  // readable from -keys + 1 to the last lane of the group
  const T *lse, *lse_low;      // [group] or NULL
  T* weights;                  // [kKeyBlock][group], scratch
};

// By width - 1. lanes: elements of a vector.
template <class T>
struct ToeplitzKernels {
  int64_t lanes;
  // o_t[c][i] += sum_t W[t,i] v[t][c]: rows of v are v_stride apart, o_t is [columns][group].
  void (*forward[kMaxWidth])(const ToeplitzBlock<T>&, const T* v, int64_t v_stride, int64_t columns, T* o_t);
  // out[t][c] += sum_i W[t,i] x[i][c]: rows of x and out are `padded` apart, a multiple of lanes; rows beyond the queries are 0.
  void (*transposed[kMaxWidth])(const ToeplitzBlock<T>&, const T* x, int64_t padded, T* out);
};

// T: float or double.
template <class T>
const ToeplitzKernels<T>& toeplitz_kernels(Target target);

}  // namespace subquad::simd
