// Method: docs/adaptive.md, section on estimates: a ratio of sums over stratified clusters, its interval on the scale of logarithms.
#include "core/attention/adaptive_sample.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random/philox.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kRowsPerTile = 3;
// Errors are heavy-tailed over rows, so that Student's interval is too narrow: bench/run real_heads, table in docs/adaptive.md.
constexpr double kHeavyTails = 1.5;

SampleTile sample_tile(int64_t tile, int64_t first, int64_t last, uint64_t seed, uint64_t stream, uint64_t index) {
  SampleTile sample{first + tile * kQueryTile, 0, {}};
  sample.count = std::min(kQueryTile, last - sample.first);
  const int64_t rows = std::min(kRowsPerTile, sample.count);
  for (int64_t r = 0; r < rows; ++r) {
    const double u = random_uniform(seed, stream, index + static_cast<uint64_t>(r));
    const auto place =
        static_cast<int64_t>((static_cast<double>(r) + u) * static_cast<double>(sample.count) / static_cast<double>(rows));
    sample.rows.push_back(sample.first + std::min(place, sample.count - 1));
  }
  return sample;
}

// Student's t for 95 % and few degrees of freedom, to a percent (Cornish-Fisher).
double student_95(double degrees) {
  constexpr double z = 1.959964;
  const double g1 = (z * z * z + z) / 4, g2 = (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / 96;
  const double g3 = (3 * std::pow(z, 7) + 19 * std::pow(z, 5) + 17 * z * z * z - 15 * z) / 384;
  return z + g1 / degrees + g2 / (degrees * degrees) + g3 / (degrees * degrees * degrees);
}

}  // namespace

RowSample sample_rows(int64_t first, int64_t last, int64_t tiles, uint64_t seed, uint64_t stream) {
  const int64_t available = (last - first + kQueryTile - 1) / kQueryTile;
  const int64_t strata = std::min(tiles, available / 2);
  RowSample sample;
  for (int64_t s = 0; s < strata; ++s) {
    // Two different tiles of each stratum.
    const int64_t from = s * available / strata, size = (s + 1) * available / strata - from;
    const auto index = static_cast<uint64_t>(s) * 16;
    const auto draw = [&](uint64_t place, int64_t count) {
      const double u = random_uniform(seed, stream, index + place);
      return std::min(static_cast<int64_t>(u * static_cast<double>(count)), count - 1);
    };
    const int64_t one = draw(0, size), other = (one + 1 + draw(1, size - 1)) % size;
    sample.choosing.push_back(sample_tile(from + one, first, last, seed, stream, index + 2));
    sample.fresh.push_back(sample_tile(from + other, first, last, seed, stream, index + 2 + kRowsPerTile));
  }
  return sample;
}

std::vector<int64_t> rows_of(const std::vector<SampleTile>& tiles) {
  std::vector<int64_t> rows;
  for (const SampleTile& tile : tiles) rows.insert(rows.end(), tile.rows.begin(), tile.rows.end());
  return rows;
}

double TileErrors::relative() const {
  double errors = 0, norms = 0;
  for (size_t t = 0; t < error.size(); ++t) {
    errors += error[t];
    norms += norm[t];
  }
  if (norms > 0) return std::sqrt(errors / norms);
  return norms == 0 && errors == 0 ? 0 : std::numeric_limits<double>::infinity();  // of a NaN, too
}

ErrorEstimate TileErrors::estimate() const {
  const double e = relative(), ratio = e * e, count = static_cast<double>(error.size());
  if (!(e > 0) || !std::isfinite(e) || error.size() < 2) return {e, error.size() < 2 ? 0 : e, e};
  double squares = 0, norms = 0;
  for (size_t t = 0; t < error.size(); ++t) {
    const double residual = error[t] - ratio * norm[t];
    squares += residual * residual;
    norms += norm[t];
  }
  // Half the relative standard error of the ratio is that of its root.
  const double spread = std::sqrt(squares * count / (count - 1)) / norms / ratio / 2 * student_95(count - 1) * kHeavyTails;
  return {e, e * std::exp(-spread), e * std::exp(spread)};
}

}  // namespace subquad::attention
