// Method: [BSS, section 3]: barriers u and l, potentials tr (u - A)^-1 and tr (A - l)^-1, constants for c = ratio steps per dimension.
// With U and L the paper's U_A(v) and L_A(v), weights from 1 / L to 1 / U let the potentials stay within their bounds. Differs: what a
// step has left of those bounds brings the barriers closer before the next step, as far as the potentials are known to allow
// (docs/math/sparsify.md); so they are never further apart than the paper's.
#include "core/sparsify/barrier_functions.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/linalg/symmetric.hpp"

namespace subquad::sparsify {

namespace {

constexpr int64_t kSmallRank = 96;    // below, a thread works on a matrix for less time than it takes to wake
constexpr int64_t kLargeRank = 1024;  // from here on, all threads work on one inverse

// Bounds this much wider are: at first, when A = 0, those of all columns are equal but for rounding.
constexpr double kWider = 1 + 1e-6;

}  // namespace

BarrierFunctions::BarrierFunctions(Execution& run, int64_t rank, double ratio, int64_t most_columns)
    : run_(run),
      rank_(rank),
      panels_(run.target, rank),
      sum_(run.workspace, panels_.elements()),
      test_(run.workspace, rank * rank),
      left_(run.workspace, panels_.elements()),
      right_(run.workspace, panels_.elements()),
      difference_(run.workspace, panels_.elements()) {
  const double n = static_cast<double>(rank), root = std::sqrt(ratio);
  const double upper_bound = (root - 1) / (ratio + root), lower_bound = 1 / root;
  upper_ = side(1, n / upper_bound, (root + 1) / (root - 1), upper_bound, most_columns);
  lower_ = side(-1, -n / lower_bound, 1, lower_bound, most_columns);
  std::fill(sum_.get(), sum_.get() + panels_.elements(), 0.0);
}

// Before the first step, A = 0 and the potential is at its bound.
BarrierFunctions::Side BarrierFunctions::side(double sign, double place, double step, double bound, int64_t most_columns) {
  return {sign,
          place,
          step,
          bound,
          bound,
          bound * bound / static_cast<double>(rank_),
          0,
          Lease<double>(run_.workspace, panels_.elements()),
          Lease<double>(run_.workspace, panels_.inverse_scratch()),
          Lease<double>(run_.workspace, most_columns * stride()),
          true};
}

Team BarrierFunctions::team(Monitor& monitor) const { return rank_ < kSmallRank ? Team(monitor) : Team(run_.pool, monitor); }

void BarrierFunctions::move(const Team& team, Side& side) const {
  // With F^2 = tr M^2, a barrier that comes closer by x raises the potential by at most x F^2 / (1 - x F), since no eigenvalue of M
  // is above F. A negative slack, from rounding, moves it back by as much as the same bound asks for.
  const double slack = side.bound - side.potential;
  const double closer = slack / (side.squares + slack * std::sqrt(side.squares));
  side.barrier += side.step - side.sign * closer;

  double *const m = side.inverse.get(), *const sum = sum_.get();
  for (int64_t e = 0; e < panels_.elements(); ++e) m[e] = -side.sign * sum[e];
  for (int64_t i = 0; i < rank_; ++i) m[panels_.at(i, i)] += side.sign * side.barrier;
  for (int64_t i = rank_; i < panels_.padded(); ++i) m[panels_.at(i, i)] = 1;
  side.inside = panels_.invert(team, m, side.scratch.get());
  for (int64_t i = rank_; i < panels_.padded(); ++i) m[panels_.at(i, i)] = 0;
  side.potential = 0;
  for (int64_t i = 0; i < rank_; ++i) side.potential += m[panels_.at(i, i)];
  side.squares = panels_.square_sum(m);
  // The lower barrier may have been left with some slack; then the change is at least that of the step alone.
  const double least = side.step * side.squares / (1 + side.step * std::sqrt(side.squares));
  side.change = side.sign > 0 ? side.bound - side.potential : std::max(side.potential - side.bound, least);
}

void BarrierFunctions::advance(Monitor& monitor) {
  const Team all(run_.pool, monitor), alone(monitor);
  const Team &outer = rank_ < kSmallRank || rank_ >= kLargeRank ? alone : all, &inner = rank_ < kLargeRank ? alone : all;
  outer.run(2, [&](int64_t which, int64_t) { move(inner, which == 0 ? upper_ : lower_); });
  if (!upper_.inside || !lower_.inside) throw Error(Status::err_internal, "the sum of the chosen columns has left its barriers");
}

// L - U = M_l^2 / change_l - M_l - M_u^2 / change_u - M_u, where both M are functions of A and so commute.
const double* BarrierFunctions::test(Monitor& monitor) {
  const double upper_factor = 1 / std::sqrt(upper_.change), lower_factor = 1 / std::sqrt(lower_.change);
  const double *const upper = upper_.inverse.get(), *const lower = lower_.inverse.get();
  for (int64_t e = 0; e < panels_.elements(); ++e) {
    left_.get()[e] = lower_factor * lower[e] - upper_factor * upper[e];
    right_.get()[e] = lower_factor * lower[e] + upper_factor * upper[e];
    difference_.get()[e] = -lower[e] - upper[e];
  }
  panels_.add_commuting(team(monitor), left_.get(), right_.get(), difference_.get());
  panels_.unpack(difference_.get(), test_.get());
  return test_.get();
}

// v' M v
double BarrierFunctions::linear(const Side& side, const double* columns, int64_t column) const {
  return panels_.dot(columns + column * stride(), side.images.get() + column * stride());
}

// |M v|^2
double BarrierFunctions::square(const Side& side, int64_t column) const {
  const double* const image = side.images.get() + column * stride();
  return panels_.dot(image, image);
}

BarrierFunctions::Choice BarrierFunctions::choose(Monitor& monitor, const double* columns, int64_t count) {
  for (const Side* side : {&upper_, &lower_}) {
    panels_.multiply_rows(team(monitor), columns, count, side->inverse.get(), side->images.get());
  }
  Choice choice{0, -1, 0};
  for (int64_t column = 0; column < count; ++column) {
    const double most = square(upper_, column) / upper_.change + linear(upper_, columns, column);   // U
    const double least = square(lower_, column) / lower_.change - linear(lower_, columns, column);  // L
    // Where rounding leaves no room between them, the upper barrier is held.
    const double room = std::max(least / most, 0.0);
    if (room > kWider * choice.room) choice = {column, room, 2 / (most + std::max(most, least))};
  }
  return choice;
}

// The potential and tr M^2 with the column added, by the Sherman-Morrison formula.
void BarrierFunctions::update(Monitor& monitor, Side& side, const double* columns, const Choice& choice) const {
  const double* const image = side.images.get() + choice.column * stride();
  double* const second = side.scratch.get();
  panels_.multiply_rows(Team(monitor), image, 1, side.inverse.get(), second);
  const double first = square(side, choice.column), weight = side.sign * choice.weight;
  const double factor = weight / (1 - weight * linear(side, columns, choice.column));
  side.potential += factor * first;
  side.squares += 2 * factor * panels_.dot(image, second) + factor * factor * first * first;
}

void BarrierFunctions::add(Monitor& monitor, const double* columns, const Choice& choice) {
  update(monitor, upper_, columns, choice);
  update(monitor, lower_, columns, choice);
  panels_.add_squares(Team(monitor), columns + choice.column * stride(), 1, &choice.weight, sum_.get());
}

double BarrierFunctions::epsilon() {
  panels_.unpack(sum_.get(), test_.get());
  return linalg::distance_from_identity(test_.get(), rank_).epsilon;
}

}  // namespace subquad::sparsify
