// The two barriers around the sum of the columns chosen so far, and what they say of one more column.
#pragma once

#include <cstdint>

#include "core/base/workspace.hpp"

namespace subquad::sparsify {

// A = sum of t v v' over the steps so far; its eigenvalues stay between the barriers. Matrices are rank x rank with both triangles.
class BarrierFunctions {
 public:
  // ratio: steps per entry of v, more than 1.
  BarrierFunctions(Workspace& workspace, int64_t rank, double ratio);

  // Moves both barriers up by a step. Columns with <test(), v v'> >= 0 may be added, and there always are some.
  void advance();
  const double* test() const { return test_.get(); }

  // Adds a column with a weight that lets neither potential grow; returns that weight.
  double add(const double* v);

  const double* sum() const { return sum_.get(); }

 private:
  // With M the inverse of (barrier - A) or (A - barrier), whichever is positive, the potential is tr M.
  struct Side {
    double sign, barrier, step, potential;
    double change;  // of the potential, by the step
    Lease<double> inverse;
    double linear, square;  // v' M v and |M v|^2 of the column that is being added
  };
  void move(Side& side);
  void measure(Side& side, const double* v);

  int64_t rank_;
  Side upper_, lower_;
  Lease<double> sum_, test_, left_, right_;
};

}  // namespace subquad::sparsify
