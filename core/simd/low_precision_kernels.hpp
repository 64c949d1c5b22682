// The inner loops of attention in 8-bit integers, one set per SIMD target.
//
// Keys lie across the lanes of vectors, in groups of 16 that are read in any order, four at a time: a *tile* of 64 keys. A tile of up
// to 48 queries goes over tiles of keys, online. A query leaves a tile of keys out, weights and values, where the tile's largest
// logit bounds it, and all that is left out, by given multiples of what the query has seen: of the weights, and of the weights times
// the scales of their values. Every result of a query depends on its own row alone, and on keys that it sees.
#pragma once

#include <cstdint>

#include "core/simd/target.hpp"

namespace subquad::simd {

inline constexpr int64_t kGroupKeys = 16;
inline constexpr int64_t kTileGroups = 4;
inline constexpr int64_t kTileKeys = kGroupKeys * kTileGroups;
inline constexpr int64_t kTileQueries = 48;
inline constexpr float kHiddenLogit = -1e30f;  // of a pair that does not count

// Keys and values of a head. Rows are padded with zeros: d to a multiple of 4, d_v to one of 16.
// A key's integers are u = levels + 1 + round(x / scale), a value's round(x / scale).
struct LowKeys {
  int64_t d, d_v;           // padded
  const uint8_t* k;         // [group][d / 4][key][4]
  const float* k_scale;     // [group][key]
  const float* offset;      // [group][key]: added to logits, in units of log 2; holds log2 of the value's scale, see value_unit
  const float* unit;        // [group][key]: weight of the key = 2^(logit + offset) unit
  const int8_t* v;          // [group][key / 4][d_v / 16][16][key % 4]
  const int32_t* position;  // [group][key]: a query sees those from first to last
};

// One tile of queries and what it has gathered. Arrays hold kTileQueries entries, aligned to 64 bytes.
struct LowQueries {
  int64_t rows;
  const int8_t* q;             // [kTileQueries][d]: round(x / scale)
  const float* q_scale;        // times scale / log 2
  const int32_t* q_start;      // -(levels + 1) sum of the row: where sums of products start
  const int32_t* last;         // position of the last key that the query sees; -1 beyond rows
  const int32_t* row;          // number of the row, for the bias
  const int32_t* first;        // position of the first key that the query sees
  float *max, *sum;            // 2^max sum = weights so far
  float* mass;                 // 2^max mass = weights times the scales of their values so far
  float *missed, *missed_sum;  // bounds of what of mass and sum was left out
  float* o;                    // [kTileQueries][d_v]: 2^max o = weights times values so far
};

struct LowScratch {
  float* logits;         // [kTileQueries][kTileKeys]
  float *tops, *masses;  // [kTileQueries][16]
  uint8_t* weights;      // [kTileQueries][kTileKeys]
};

// What a query may leave out, as multiples of what it has seen: one tile of keys, and all together. Never a tile with one of the last
// `near` keys that it sees.
struct LowLimits {
  float tile = 0, all = 0;
  int32_t near = 0;
};

struct LowTile {
  const LowKeys* keys;
  int64_t group[kTileGroups];
  bool masked;                  // whether lanes and positions are looked at
  uint16_t lanes[kTileGroups];  // where masked: keys of each group that count
  const float* bias;            // NULL, or bias[p - i] is added to the logit of row i and position p, in units of log 2
  LowLimits limits;
};

struct LowPrecisionKernels {
  int32_t key_levels, weight_levels;  // integers run from -levels to levels; weights from 0 to weight_levels
  // Seconds per pair relative to exact attention in float32, d = d_v = 64: of its logit, of its weight and value beyond the logit.
  double logit_cost, weight_cost;
  // Rows of the tile that the keys mattered to.
  int64_t (*attend)(const LowTile&, const LowQueries&, const LowScratch&);
  // logits[row][key] only, kHiddenLogit where masked out.
  void (*logits)(const LowTile&, const LowQueries&, const LowScratch&);
  // Of rows of kTileKeys logits, with w = 2^(logit - reference[row]): row_sums[row] += its sum over the keys, totals[key] = its sum over
  // the rows.
  void (*shares)(const float* logits, const float* reference, int64_t rows, float* row_sums, float* totals);
  // largest[key] = most of logit - reference[row] over the rows.
  void (*tops)(const float* logits, const float* reference, int64_t rows, float* largest);
  // x - center (center may be NULL) as integers from -levels to levels; returns the scale, 0 for a row of zeros.
  float (*quantize)(const float* x, const float* center, int64_t n, int32_t levels, int8_t* out);
};

const LowPrecisionKernels& low_precision_kernels(Target target);

}  // namespace subquad::simd
