// Method: coordinate descent on the potentials of [BSS] for barriers at 1 +- h, tr (1 + h - A)^-1 + tr (A - 1 + h)^-1, which is convex
// in the weights; h comes closer to epsilon from one sweep to the next (docs/math/sparsify.md).
#include "core/sparsify/reweighting.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/linalg/symmetric.hpp"

namespace subquad::sparsify {

namespace {

constexpr int64_t kSweeps = 8;        // epsilon is then mostly within 3 % of its minimum over all weights
constexpr double kFirstMargin = 0.3;  // h = (1 + margin) epsilon; halved by each sweep
constexpr int64_t kSmallRank = 192;   // below, a thread works on a block for less time than it takes to wake

}  // namespace

Reweighting::Reweighting(Execution& run, const linalg::Panels& panels, const double* columns, int64_t count)
    : run_(run),
      panels_(panels),
      columns_(columns),
      count_(count),
      sum_(run.workspace, panels.elements()),
      square_(run.workspace, panels.size() * panels.size()),
      upper_(side(1)),
      lower_(side(-1)) {}

Reweighting::Side Reweighting::side(double sign) {
  return {sign, Lease<double>(run_.workspace, panels_.elements()), Lease<double>(run_.workspace, panels_.inverse_scratch()),
          Lease<double>(run_.workspace, linalg::Panels::kRows * panels_.padded())};
}

Team Reweighting::team(Monitor& monitor) const { return panels_.size() < kSmallRank ? Team(monitor) : Team(run_.pool, monitor); }

void Reweighting::sum(Monitor& monitor, const double* w) {
  std::fill(sum_.get(), sum_.get() + panels_.elements(), 0.0);
  for (int64_t j = 0; j < count_; j += linalg::Panels::kRows) {
    const int64_t rows = std::min(linalg::Panels::kRows, count_ - j);
    panels_.add_squares(team(monitor), columns_ + j * panels_.padded(), rows, w + j, sum_.get());
    monitor.advance(0);
  }
}

double Reweighting::center(Monitor& monitor, double* w) {
  sum(monitor, w);
  panels_.unpack(sum_.get(), square_.get());
  const linalg::Distance distance = linalg::distance_from_identity(square_.get(), panels_.size());
  for (int64_t j = 0; j < count_; ++j) w[j] *= distance.factor;
  for (int64_t e = 0; e < panels_.elements(); ++e) sum_.get()[e] *= distance.factor;
  return distance.epsilon;
}

double Reweighting::improve(Monitor& monitor, double epsilon, double* w) {
  std::vector<double> trial(w, w + count_);
  double now = center(monitor, trial.data()), best = epsilon;
  double margin = kFirstMargin;
  for (int64_t sweep = 0; sweep < kSweeps; ++sweep) {
    const double distance = now * (1 + margin);
    if (!(place(monitor, upper_, distance) && place(monitor, lower_, distance))) break;
    descend(monitor, trial.data());
    now = center(monitor, trial.data());
    margin /= 2;
    if (now < best) {
      best = now;
      std::copy(trial.begin(), trial.end(), w);
    }
  }
  return best;
}

// False where the barrier is so near that rounding hides it.
bool Reweighting::place(Monitor& monitor, Side& side, double distance) {
  double *const m = side.inverse.get(), *const sum = sum_.get();
  for (int64_t e = 0; e < panels_.elements(); ++e) m[e] = -side.sign * sum[e];
  for (int64_t i = 0; i < panels_.padded(); ++i) m[panels_.at(i, i)] += i < panels_.size() ? side.sign + distance : 1;
  return panels_.invert(team(monitor), m, side.scratch.get());
}

void Reweighting::descend(Monitor& monitor, double* w) {
  for (int64_t j = 0; j < count_; j += linalg::Panels::kRows) {
    descend_block(monitor, j, std::min(linalg::Panels::kRows, count_ - j), w + j);
    monitor.advance(0);
  }
}

// One column after the other; the inverses follow at the end of the block, the images of its columns at once.
void Reweighting::descend_block(Monitor& monitor, int64_t first, int64_t rows, double* w) {
  const int64_t stride = panels_.padded();
  const double* const v = columns_ + first * stride;
  double factors[2][linalg::Panels::kRows];
  for (Side* side : {&upper_, &lower_}) panels_.multiply_rows(team(monitor), v, rows, side->inverse.get(), side->images.get());
  for (int64_t k = 0; k < rows; ++k) {
    double products[2][linalg::Panels::kRows], squares[2];  // <v_i, M v_k> for i >= k, |M v_k|^2
    for (int64_t s = 0; s < 2; ++s) {
      const double* const image = (s == 0 ? upper_ : lower_).images.get() + k * stride;
      panels_.dots(v + k * stride, rows - k, image, products[s]);
      panels_.dots(image, 1, image, &squares[s]);
    }
    // The minimum is where |M_l v|^2 / (1 + x v' M_l v)^2 = |M_u v|^2 / (1 - x v' M_u v)^2.
    const double ratio = std::sqrt(squares[1] / squares[0]);
    const double change = std::max((ratio - 1) / (products[1][0] + ratio * products[0][0]), -w[k]);
    if (!std::isfinite(change)) {
      factors[0][k] = factors[1][k] = 0;
      continue;
    }
    w[k] += change;
    for (int64_t s = 0; s < 2; ++s) {
      const Side& side = s == 0 ? upper_ : lower_;
      double* const images = side.images.get();
      factors[s][k] = side.sign * change / (1 - side.sign * change * products[s][0]);
      for (int64_t i = k + 1; i < rows; ++i) {
        const double factor = factors[s][k] * products[s][i - k];
        for (int64_t e = 0; e < stride; ++e) images[i * stride + e] += factor * images[k * stride + e];
      }
    }
  }
  panels_.add_squares(team(monitor), upper_.images.get(), rows, factors[0], upper_.inverse.get());
  panels_.add_squares(team(monitor), lower_.images.get(), rows, factors[1], lower_.inverse.get());
}

}  // namespace subquad::sparsify
