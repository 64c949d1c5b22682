// Sums of the logits of far pairs by row, by key and by lag: all that a fit of r_i + c_j + f(i - j) to them asks for.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// Far pairs of one head as a triangle of `size` rows: row a is query window + a, and sees the keys j <= a that are kept.
struct FarPairs {
  int64_t size;
  std::vector<bool> kept;         // [size]
  std::vector<int64_t> left_out;  // the keys below `size` that are not kept, rising

  // heavy: keys, rising.
  FarPairs(int64_t n, int64_t window, const std::vector<int64_t>& heavy);
};

// Logits are row_part[a] + key_part[j] + rest[a][j]; sums are of the rest, from queries and keys less their means: what the means
// contribute is known without a fit, and often most of it.
struct FarSums {
  std::vector<double> row_part, key_part;  // key_part: 0 for keys that are not kept
  std::vector<double> rows, keys, lags;    // lags[s]: over pairs a - j = s
};

// q and k: n x d with contiguous columns, logits scale q k'. pairs.size > 0. Sums over rows and keys err by few units of T's round-off
// of the sum of |terms|; those over lags, which come from transforms, by u log2(block) |q| |k| with Euclidean norms of blocks of rows less
// their means, block near 4 sqrt(size).
template <class T>
FarSums far_sums(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
                 const FarPairs& pairs);

}  // namespace subquad::attention
