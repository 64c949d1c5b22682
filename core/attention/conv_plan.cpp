// A transform's error is the same for all its rows: about log2(N) units of round-off of |kernel| |operand|, Euclidean norms,
// summed over pieces. A row's result is divided by its own sum of weights. So a row is served where its sum is large against the
// error of its block; the others see none of the largest entries (their sum would be larger) and are served by a transform
// without those, or directly. Derivation and measurements: docs/math/conv_basis.md.
#include "core/attention/conv_plan.hpp"

#include <algorithm>
#include <cmath>

namespace subquad::attention {

namespace {

// What a row may err, of max|v|: half of what the header promises, so that the other half is left for sums and divisions.
template <class T>
constexpr double kRowTolerance = sizeof(T) == 4 ? 5e-5 : 5e-10;

// Kernels are kept relative to their largest entry; a row whose sum is smaller by more than this is near the end of the type's
// range.
template <class T>
constexpr double kLog2Range = sizeof(T) == 4 ? 80 : 900;

constexpr int64_t kLeastBlock = 32, kMostBlock = int64_t{1} << 20;
constexpr int64_t kStrictBlock = 512;  // does not depend on n, so that neither do results
constexpr int64_t kMostLayers = 64;

// Costs in floating-point operations at the rate of products of spectra; the factors are those rates' ratios, measured by
// bench/run spectral_rates on one machine (docs/decisions/0009): only their order of magnitude matters.
double product_cost(double length, double columns) { return 4 * length * columns; }
double transform_cost(double length, double columns) { return 2 * length * std::log2(length) * columns; }
double window_cost(double length) { return 4 * length * std::log2(length) + 60 * length; }
double direct_cost(double pairs, double columns) { return pairs * (2 * columns + 16); }

double padded_columns(const ConvCosts& costs) { return static_cast<double>(round_up(costs.columns, 2 * costs.lanes)); }

// Cost of one product with blocks of b rows.
template <class T>
double geometry_cost(const std::vector<ConvSegment<T>>& segments, int64_t n, int64_t b, const ConvCosts& costs) {
  const double columns = padded_columns(costs), length = 2.0 * static_cast<double>(b);
  const int64_t blocks = (n + b - 1) / b;
  double pieces = 0, pairs = 0, windows = 0;
  for (const auto& segment : segments) {
    const int64_t first = segment.first / b, last = (segment.last - 1) / b;
    const auto count = static_cast<double>(last - first + 1);
    pieces += count;
    pairs += count * (static_cast<double>(blocks) - static_cast<double>(first + last) / 2);
    windows += static_cast<double>(blocks - first);
  }
  return pairs * product_cost(length, columns) + (pieces + static_cast<double>(blocks)) * transform_cost(length, columns) +
         windows * window_cost(length);
}

// Rows per block, 0 where direct products are cheaper, and the cost.
template <class T>
std::pair<int64_t, double> cheapest_block(const std::vector<ConvSegment<T>>& segments, int64_t n, const ConvCosts& costs) {
  const auto pairs = static_cast<double>(n) * (static_cast<double>(n) + 1) / 2;
  std::pair<int64_t, double> best{0, direct_cost(pairs, static_cast<double>(costs.columns))};
  for (int64_t b = kLeastBlock; b <= kMostBlock && b < 2 * n; b *= 2) {
    const double cost = geometry_cost(segments, n, b, costs);
    if (cost < best.second) best = {b, cost};
  }
  return best;
}

template <class T>
void cut_into_pieces(const std::vector<ConvSegment<T>>& segments, ConvGeometry& geometry) {
  for (size_t s = 0; s < segments.size(); ++s) {
    geometry.first_block.push_back(segments[s].first / geometry.block);
    for (int64_t c = geometry.first_block.back(); c * geometry.block < segments[s].last; ++c) {
      geometry.pieces.push_back({c, static_cast<int64_t>(s), std::max(c * geometry.block, segments[s].first),
                                 std::min((c + 1) * geometry.block, segments[s].last)});
    }
  }
  std::stable_sort(geometry.pieces.begin(), geometry.pieces.end(),
                   [](const ConvPiece& a, const ConvPiece& b) { return a.block < b.block; });
}

// Assigns rows to jobs, block by block.
template <class T>
class SoftmaxPlan {
 public:
  SoftmaxPlan(ConvGeometry geometry, const ConvRowSums& sums, const ConvCosts& costs) : sums_(sums), costs_(costs) {
    plan_.geometry = std::move(geometry);
    plan_.row_job.assign(static_cast<size_t>(g().n), 0);
  }

  ConvPlan make() {
    const double headroom = sizeof(T) == 4 ? 40 : 400;  // bits above the largest entry for sums over rows and pieces
    for (int64_t block = 0; block < g().blocks(); ++block) {
      plan_.jobs.push_back({block, 0, sums_.log2_highest - headroom});
      plan_.most_layers = std::max<int64_t>(plan_.most_layers, 1);
      std::vector<int64_t> unserved;
      const double least = std::max(log2_error(block, kUnlimited, sizeof(T) == 4 ? 0x1p-24 : 0x1p-53) - log2_tolerance(),
                                    sums_.log2_highest - kLog2Range<T>);
      for (int64_t i = first_row(block); i < last_row(block); ++i) {
        if (std::isnan(log2_sum(i))) {
          leave_to_direct({i});
        } else if (!(log2_sum(i) >= least)) {
          unserved.push_back(i);
        }
      }
      if (!unserved.empty()) serve(block, std::move(unserved));
    }
    return std::move(plan_);
  }

 private:
  static constexpr double kUnlimited = std::numeric_limits<double>::infinity();

  const ConvGeometry& g() const { return plan_.geometry; }
  int64_t first_row(int64_t block) const { return block * g().block; }
  int64_t last_row(int64_t block) const { return std::min((block + 1) * g().block, g().n); }
  double log2_sum(int64_t i) const { return sums_.log2_sums[static_cast<size_t>(i)]; }
  static double log2_tolerance() { return std::log2(kRowTolerance<T>); }

  // log2 of sum K^2 over the window of lags between an output block and a piece.
  double log2_window_energy(int64_t block, const ConvPiece& piece) const {
    const auto& energy = sums_.log2_energy[static_cast<size_t>(piece.segment)];
    const auto at = static_cast<size_t>(block - piece.block);
    const double own = at < energy.size() ? energy[at] : -kUnlimited, before = at > 0 ? energy[at - 1] : -kUnlimited;
    const double most = std::max(own, before);
    return most == -kUnlimited ? most : most + std::log2(std::exp2(own - most) + std::exp2(before - most));
  }

  // log2 of the error of a transform's row, for operands in [-1, 1], with kernel entries of at most 2^cutoff.
  double log2_error(int64_t block, double cutoff, double roundoff) const {
    const double length = static_cast<double>(g().length());
    const int64_t seen = g().pieces_seen(block);
    std::vector<double> log2_norms;
    for (int64_t p = 0; p < seen; ++p) {
      const ConvPiece& piece = g().pieces[static_cast<size_t>(p)];
      const double energy = std::min(log2_window_energy(block, piece), 2 * cutoff + std::log2(length));
      log2_norms.push_back((energy + std::log2(static_cast<double>(piece.last - piece.first))) / 2);
    }
    const double most = seen > 0 ? *std::max_element(log2_norms.begin(), log2_norms.end()) : -kUnlimited;
    if (most == -kUnlimited) return most;
    double total = 0;
    for (const double norm : log2_norms) total += std::exp2(norm - most);
    return most + std::log2(roundoff * std::log2(length) * total);
  }

  // Rows that the block's first job does not serve: further jobs while these are cheaper than direct products.
  void serve(int64_t block, std::vector<int64_t> rows) {
    std::sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) { return log2_sum(a) > log2_sum(b); });
    int32_t layers = 1;
    while (!rows.empty()) {
      const double most = log2_sum(rows.front());  // these rows see no larger entry, but for rounding
      const double cutoff = most + 1, least = log2_error(block, cutoff, 0x1p-53) - log2_tolerance();
      if (most < least || layers == kMostLayers || direct_rows_cost(rows) <= job_cost(block)) return leave_to_direct(rows);
      const int32_t id = layers++;
      plan_.extra_jobs.push_back({block, id, cutoff, cutoff});
      size_t served = 0;
      for (; served < rows.size() && log2_sum(rows[served]) >= std::max(least, most - kLog2Range<double>); ++served)
        plan_.row_job[static_cast<size_t>(rows[served])] = id;
      rows.erase(rows.begin(), rows.begin() + static_cast<int64_t>(served));
      plan_.most_layers = std::max<int64_t>(plan_.most_layers, layers);
    }
  }

  double job_cost(int64_t block) const {
    const auto length = static_cast<double>(g().length()), pieces = static_cast<double>(g().pieces_seen(block)),
               columns = padded_columns(costs_);
    constexpr double kDouble = 2;  // half the lanes
    return kDouble * (pieces * (product_cost(length, columns) + window_cost(length)) + 2 * transform_cost(length, columns));
  }

  double direct_rows_cost(const std::vector<int64_t>& rows) const {
    double pairs = 0;
    std::vector<bool> counted(static_cast<size_t>(g().block / kDirectRows + 2));
    for (const int64_t i : rows) {
      const int64_t group = i / kDirectRows, local = group - first_row(i / g().block) / kDirectRows;
      if (counted[static_cast<size_t>(local)]) continue;
      counted[static_cast<size_t>(local)] = true;
      pairs += static_cast<double>(kDirectRows * (i + 1));
    }
    return direct_cost(pairs, static_cast<double>(costs_.columns));
  }

  // With the rows of their groups, which come for free.
  void leave_to_direct(const std::vector<int64_t>& rows) {
    for (const int64_t row : rows) {
      const int64_t first = row / kDirectRows * kDirectRows;
      for (int64_t i = first; i < std::min(first + kDirectRows, g().n); ++i) plan_.row_job[static_cast<size_t>(i)] = kDirectRow;
    }
  }

  const ConvRowSums& sums_;
  const ConvCosts& costs_;
  ConvPlan plan_;
};

}  // namespace

int64_t ConvGeometry::pieces_seen(int64_t output_block) const {
  const int64_t end = strict_causal ? output_block : output_block + 1;
  const auto found =
      std::lower_bound(pieces.begin(), pieces.end(), end, [](const ConvPiece& p, int64_t b) { return p.block < b; });
  return found - pieces.begin();
}

template <class T>
ConvGeometry conv_geometry(const std::vector<ConvSegment<T>>& segments, int64_t n, bool strict_causal, const ConvCosts& costs) {
  ConvGeometry geometry;
  geometry.n = n;
  geometry.strict_causal = strict_causal;
  if (segments.empty()) return geometry;
  geometry.block = strict_causal ? (n > kStrictBlock ? kStrictBlock : 0) : cheapest_block(segments, n, costs).first;
  if (geometry.block > 0) cut_into_pieces(segments, geometry);
  return geometry;
}

template <class T>
double conv_product_cost(const std::vector<ConvSegment<T>>& segments, int64_t n, const ConvCosts& costs) {
  return cheapest_block(segments, n, costs).second;
}

template <class T>
ConvPlan conv_plan_softmax(ConvGeometry geometry, const ConvRowSums& sums, const ConvCosts& costs) {
  return SoftmaxPlan<T>(std::move(geometry), sums, costs).make();
}

ConvPlan conv_plan_logits(ConvGeometry geometry, double log2_largest) {
  ConvPlan plan;
  plan.geometry = std::move(geometry);
  plan.row_job.assign(static_cast<size_t>(plan.geometry.n), 0);
  for (int64_t block = 0; block < plan.geometry.blocks(); ++block) plan.jobs.push_back({block, 0, log2_largest});
  plan.most_layers = 1;
  return plan;
}

#define SUBQUAD_INSTANTIATE(T)                                                                                 \
  template ConvGeometry conv_geometry<T>(const std::vector<ConvSegment<T>>&, int64_t, bool, const ConvCosts&); \
  template double conv_product_cost<T>(const std::vector<ConvSegment<T>>&, int64_t, const ConvCosts&);         \
  template ConvPlan conv_plan_softmax<T>(ConvGeometry, const ConvRowSums&, const ConvCosts&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
