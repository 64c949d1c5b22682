// The two barriers around the sum of the columns chosen so far, and what they say of one more column.
#pragma once

#include <cstdint>

#include "core/linalg/panels.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::sparsify {

// A = sum of t v v' over the steps so far; its eigenvalues stay between the barriers. Columns come `stride()` elements apart, with
// zeros beyond their entries, at most `most_columns` at once.
class BarrierFunctions {
 public:
  // ratio: steps per entry of v, more than 1.
  BarrierFunctions(Execution& run, int64_t rank, double ratio, int64_t most_columns);

  int64_t stride() const { return panels_.padded(); }

  // Moves both barriers up by a step.
  void advance(Monitor& monitor);

  // rank x rank: columns with <test, v v'> >= 0 may be added now, and there always are some.
  const double* test(Monitor& monitor);

  // Of some columns, the one whose weight has the widest bounds; and a weight that lets neither potential exceed its own bound.
  struct Choice {
    int64_t column;
    double room;  // largest by smallest weight that does; below 1 when none does
    double weight;
  };
  Choice choose(Monitor& monitor, const double* columns, int64_t count);

  // Adds a column as it was chosen.
  void add(Monitor& monitor, const double* columns, const Choice& choice);

  // |x A - 1|_2 for the best factor x.
  double epsilon();

 private:
  // With M the inverse of (barrier - A) or (A - barrier), whichever is positive, the potential is tr M.
  struct Side {
    double sign, barrier, step, bound;  // bound: of the potential
    double potential, squares;          // tr M and tr M^2
    double change;                      // of the potential from its bound, since the barrier has moved
    Lease<double> inverse, scratch;
    Lease<double> images;  // M v of the columns
    bool inside;
  };
  Side side(double sign, double place, double step, double bound, int64_t most_columns);
  Team team(Monitor& monitor) const;
  void move(const Team& team, Side& side) const;
  double linear(const Side& side, const double* columns, int64_t column) const;
  double square(const Side& side, int64_t column) const;
  void update(Monitor& monitor, Side& side, const double* columns, const Choice& choice) const;

  Execution& run_;
  int64_t rank_;
  linalg::Panels panels_;
  Lease<double> sum_, test_, left_, right_, difference_;
  Side upper_, lower_;
};

}  // namespace subquad::sparsify
