// The far field of one causal head (n_q = n_k = n, offset 0): logits of pairs at least `window` apart as r_i + c_j + f(i - j), so that
// weights times values are one convolution of values scaled by exp(c_j). Some keys are left out: those that somebody attends to exactly.
// The model, its fit and its calibration are our own; products are those of conv bases (docs/math/conv_basis.md).
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// Weights exp(row[i] + key[j] + kernel[i - j - window]) for i - j >= window.
template <class T>
struct ConvFarField {
  int64_t window = 0;
  std::vector<double> row;  // [n]
  std::vector<double> key;  // [n]; -inf for keys that are left out or nobody's far key
  std::vector<T> kernel;    // [max(n - window, 0)]
  std::vector<double> lse;  // [n]: log of the sum of a row's weights, which errs relatively by kMassTolerance; -inf for none

  int64_t n() const { return static_cast<int64_t>(row.size()); }
  int64_t size() const { return static_cast<int64_t>(kernel.size()); }  // far rows, and keys that one of them sees
};

inline constexpr double kMassTolerance = 1e-10;

// What transforms may err in a row by a bound in norms, relative to the column's largest |v|: hundreds of times what they were seen to err
// (2e-6 in float on heads of a real model), and small beside what the model does.
template <class T>
inline constexpr double kFarTolerance = sizeof(T) == 4 ? 1e-3 : 1e-9;

// The least squares fit to scale q k' over all far pairs whose key is not heavy, every pair counting alike. Then all rows are shifted by
// one number, such that over the sampled rows the shares that the far field has in the rows' whole sums come closest, in least squares,
// to the true ones; without a sampled row that has far pairs nothing is shifted.
// q, k: n x d with contiguous columns; window >= 1; heavy: rising; sampled_rows: in [0, n). O(n (d log n + heavy) + rows n d).
// Error(overflow) where sums of logits are not finite.
template <class T>
ConvFarField<T> fit_conv_far_field(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k,
                                   double scale, int64_t window, const std::vector<int64_t>& heavy,
                                   const std::vector<int64_t>& sampled_rows);

// o[i] = sum_j w_ij v_j / sum_j w_ij, zero where row i has no far pair; with far.lse a partial result to be merged. v: n x d_v with
// contiguous columns. Errs by at most kFarTolerance<T> and the round-off of sums, relative to the column's largest |v|,
// whatever rows, keys and lags vary over. Returns how many rows no transform could serve, O(n) each.
template <class T>
int64_t apply_conv_far_field(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 2>& v,
                             const View<T, 2>& o);

// The same of some rows directly, O(n d_v) each: o is rows.size() x d_v.
template <class T>
void far_field_rows(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 2>& v,
                    const std::vector<int64_t>& rows, const View<T, 2>& o);

// dv[j] += sum_i w_ij exp(-lse[i]) d_o[i], lse the rows' log-sum-exp over all parts: at least far.lse, finite. d_o: n x d_v with
// contiguous columns. A transform's error here is u log2(N) |exp(kernel)| |x| exp(key[j]), x the factors exp(row - lse) times d_o of the
// rows of each block; by the choice of rows at most sqrt(rows of a block) kFarTolerance<T> max|d_o| per block.
template <class T>
void apply_conv_far_field_transposed(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 1>& lse,
                                     const View<const T, 2>& d_o, const View<T, 2>& dv);

}  // namespace subquad::attention
