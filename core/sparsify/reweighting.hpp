// Better weights for columns that have been chosen.
#pragma once

#include <cstdint>

#include "core/linalg/panels.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::sparsify {

// Of A(w) = sum_j w_j v_j v_j' over a few columns v_j.
class Reweighting {
 public:
  // columns: [count][panels.padded()], zeros beyond the entries of v. Both must outlive this.
  Reweighting(Execution& run, const linalg::Panels& panels, const double* columns, int64_t count);

  // Scales w to the multiple for which |A(w) - 1|_2 is least, and returns that.
  double center(Monitor& monitor, double* w);

  // Makes w better where it can, and returns what center(w) then says; epsilon: what it said before. Weights may become 0.
  double improve(Monitor& monitor, double epsilon, double* w);

 private:
  // M is the inverse of (barrier - A) or (A - barrier), whichever is positive; images are M v for the columns of a block.
  struct Side {
    double sign;
    Lease<double> inverse, scratch, images;
  };
  Side side(double sign);
  Team team(Monitor& monitor) const;
  void sum(Monitor& monitor, const double* w);
  bool place(Monitor& monitor, Side& side, double distance);
  void descend(Monitor& monitor, double* w);
  void descend_block(Monitor& monitor, int64_t first, int64_t rows, double* w);

  Execution& run_;
  const linalg::Panels& panels_;
  const double* columns_;
  int64_t count_;
  Lease<double> sum_, square_;
  Side upper_, lower_;
};

}  // namespace subquad::sparsify
