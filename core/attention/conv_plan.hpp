// How a conv basis is multiplied: block size, pieces, and which rows one transform serves.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/attention/conv_row_sums.hpp"
#include "core/attention/conv_segments.hpp"

namespace subquad::attention {

// Rows [first, last) of the operand that lie in one block and one segment: what is transformed at once.
struct ConvPiece {
  int64_t block, segment, first, last;
};

struct ConvGeometry {
  int64_t n = 0, block = 0;          // rows per block; 0: no transforms
  bool strict_causal = false;        // pairs inside a block are left to direct products
  std::vector<ConvPiece> pieces;     // by block, then segment
  std::vector<int64_t> first_block;  // of each segment

  int64_t blocks() const { return (n + block - 1) / block; }
  int64_t length() const { return 2 * block; }  // of a transform
  // Pieces that a block of outputs sums.
  int64_t pieces_seen(int64_t output_block) const;
};

// The rows of one block that share a transform, with kernels relative to 2^log2_reference, and without the entries above
// 2^log2_cutoff, which these rows do not see and whose rounding errors would drown them.
struct ConvJob {
  int64_t block;
  int32_t id;
  double log2_reference, log2_cutoff = std::numeric_limits<double>::infinity();
};

inline constexpr int32_t kDirectRow = -1;
inline constexpr int64_t kDirectRows =
    48;  // rows go to direct products by so many: a query group of every SIMD target divides it

struct ConvPlan {
  ConvGeometry geometry;
  std::vector<ConvJob> jobs, extra_jobs;  // one per block, sharing kernels' spectra; the others, in double precision
  std::vector<int32_t> row_job;           // id of the job that serves a row, or kDirectRow
  int64_t most_layers = 0;                // jobs of one block
};

// lanes: of the transforms' vectors; columns: of the operand.
struct ConvCosts {
  int64_t columns, lanes;
};

// The cheapest geometry; no transforms where direct products are cheaper.
template <class T>
ConvGeometry conv_geometry(const std::vector<ConvSegment<T>>& segments, int64_t n, bool strict_causal, const ConvCosts& costs);

// What a product costs with that geometry, in floating-point operations of the exact kernels.
template <class T>
double conv_product_cost(const std::vector<ConvSegment<T>>& segments, int64_t n, const ConvCosts& costs);

// Jobs and rows. sums: of softmax weights, with energies by blocks of geometry.block lags. T: the arrays' type.
template <class T>
ConvPlan conv_plan_softmax(ConvGeometry geometry, const ConvRowSums& sums, const ConvCosts& costs);
// For the logits themselves: one job per block serves all rows.
ConvPlan conv_plan_logits(ConvGeometry geometry, double log2_largest);

}  // namespace subquad::attention
