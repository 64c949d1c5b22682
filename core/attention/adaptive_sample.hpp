// Which rows of a head stand for all, and what their errors say of the head.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/adaptive.hpp"

namespace subquad::attention {

// A tile of consecutive rows, and those of them that are looked at.
struct SampleTile {
  int64_t first, count;
  std::vector<int64_t> rows;  // increasing
};

// Two disjoint samples of rows [first, last), both stratified: one to choose by, one that no choice has seen to judge by.
struct RowSample {
  std::vector<SampleTile> choosing, fresh;
};
RowSample sample_rows(int64_t first, int64_t last, int64_t tiles, uint64_t seed, uint64_t stream);

std::vector<int64_t> rows_of(const std::vector<SampleTile>& tiles);

// Squared errors and squared norms of the sampled rows of each tile.
struct TileErrors {
  std::vector<double> error, norm;
  void add_tile() {
    error.push_back(0);
    norm.push_back(0);
  }
  void append(const TileErrors& other) {
    error.insert(error.end(), other.error.begin(), other.error.end());
    norm.insert(norm.end(), other.norm.begin(), other.norm.end());
  }
  // sqrt(sum error / sum norm)
  double relative() const;
  // With the interval that its tiles' spread gives.
  ErrorEstimate estimate() const;
};

}  // namespace subquad::attention
