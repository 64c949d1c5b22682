// The inner loops of attention, one set per SIMD target.
//
// Queries lie across the lanes of vectors: a *query group* holds width * lanes queries (width 1 .. kMaxWidth), and its arrays are
// stored transposed, [row][queries of the group]. So the softmax needs no sums across lanes, and keys and values are read one
// element at a time, from where the caller has them.
#pragma once

#include <cstdint>

#include "core/simd/target.hpp"

namespace subquad::simd {

inline constexpr int64_t kMaxWidth = 3;      // vectors per query group
inline constexpr int64_t kKeyBlock = 128;    // most keys per call of a kernel; sums over a block are kept apart from the total
inline constexpr int64_t kBlockSlack = 8;    // a last tile may write so many rows beyond its block
inline constexpr int64_t kBiasMargin = 256;  // a bias table must be readable so far beyond the lags in use
inline constexpr int kMaximumSlack = 8;  // logits may exceed the running maximum by so much before it moves (docs/math/exact.md)

// Which pairs of a block count, and what is added to their logits.
template <class T>
struct BlockMask {
  int64_t diagonal;  // query i of the group sees key t of the block where t <= i + diagonal
  const T* bias;     // NULL, or such that query i and key t gain bias[i - t] (in units of log 2)
};

// One query group and one block of keys, online: afterwards the state is that of all keys so far,
//   row_max >= largest logit - slack,  row_sum + row_sum_low = sum_j 2^(logit_j - row_max),  o_t = sum_j 2^(logit_j - row_max) v_j.
template <class T>
struct ForwardBlock {
  int64_t d, d_v, keys;
  const T* k;  // keys rows of d, k_stride apart
  int64_t k_stride;
  const T* v;  // keys rows of d_v, v_stride apart
  int64_t v_stride;
  BlockMask<T> mask;
  const T* q_t;                        // [d][group]: queries, times scale / log 2
  T* o_t;                              // [d_v][group]
  T *row_max, *row_sum, *row_sum_low;  // [group]; row_max starts at -inf, the others and o_t at 0
  T* weights;                          // [kKeyBlock + kBlockSlack][group], scratch
};

// One query and one block of keys, online, for calls with few queries: here the lanes run along the columns of q, k, v. State as in
// ForwardBlock.
template <class T>
struct RowBlock {
  int64_t d, d_v, keys;
  const T* k;
  int64_t k_stride;
  const T* v;
  int64_t v_stride;
  const T* bias;  // NULL, or such that key t gains bias[-t] (in units of log 2)
  const T* q;     // [d]: the query, times scale / log 2
  T* o;           // [d_v]
  T *row_max, *row_sum, *row_sum_low;
  T* weights;  // [kKeyBlock], scratch
};

// One query group and one block of keys, backward, in two steps: `keys` leaves dS in d_logits and adds to dk, dv and d_bias,
// which belong to the block of keys; `queries` then adds to dq_t, which belongs to the query group.
template <class T>
struct BackwardBlock {
  int64_t d, d_v, keys;
  const T* k;
  int64_t k_stride;
  const T* v;
  int64_t v_stride;
  BlockMask<T> mask;
  const T* q_t;     // [d][group]: queries, times scale / log 2
  const T* d_o_t;   // [d_v][group]
  const T* q_rows;  // [group] rows of d, padded to whole vectors, q_rows_stride apart
  int64_t q_rows_stride;
  const T* d_o_rows;  // [group] rows of d_v, likewise
  int64_t d_o_rows_stride;
  const T *lse, *delta;   // [group]: log-sum-exp / log 2, and rowsum(do * o)
  T most;                 // log2 of the largest weight; more is cut, where lse is not of all that is visited
  T* dq_t;                // [d][group]:         += k' dS'
  T* dk;                  // [keys][padded d]:   += dS' q
  T* dv;                  // [keys][padded d_v]: += P' do
  T* d_bias;              // NULL, or such that query i and key t add dS to d_bias[i - t]
  T *weights, *d_logits;  // [kKeyBlock + kBlockSlack][group], scratch
};

// The kernels of one SIMD target, by width - 1. lanes: elements of a vector; padded row lengths are multiples of it.
template <class T>
struct ForwardKernels {
  int64_t lanes;
  void (*block[kMaxWidth])(const ForwardBlock<T>&);
  void (*row)(const RowBlock<T>&);
};
template <class T>
struct BackwardKernels {
  int64_t lanes;
  void (*keys[kMaxWidth])(const BackwardBlock<T>&);
  void (*queries[kMaxWidth])(const BackwardBlock<T>&);
};

// T: float or double.
template <class T>
const ForwardKernels<T>& forward_kernels(Target target);
template <class T>
const BackwardKernels<T>& backward_kernels(Target target);

}  // namespace subquad::simd
