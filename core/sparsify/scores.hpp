// Leverage scores tau_j = |W' x_j|^2 of the columns of X.
#pragma once

#include <optional>
#include <vector>

#include "core/sparsify/column_reader.hpp"
#include "core/sparsify/packed.hpp"
#include "core/sparsify/whitening.hpp"

namespace subquad::sparsify {

// Squared norms |Z' x_j|^2 of columns for a packed Z.
template <class T>
class ColumnNorms {
 public:
  ColumnNorms(Execution& run, const Packed<T>& z) : z_(z), workspace_(run.workspace), target_(run.target) {}

  // Of columns one after the other.
  void of_panel(const T* panel, int64_t stride, int64_t count, double* norms);

  // Of columns by their entries.
  void of_lists(const ColumnLists<T>& lists, int64_t count, double* norms) const;

 private:
  const Packed<T>& z_;
  Workspace& workspace_;
  simd::Target target_;
  Lease<T> products_;
};

// Gaussian projections: with Z = W G, |Z' x|^2 is |W' x|^2 times a chi-square variable of `count` degrees of freedom over `count`.
struct Projections {
  arma::mat z;                     // n x count
  double least = 1, greatest = 1;  // bounds of that factor for all columns at once, with the probability asked for
};
Projections project(const Whitening& whitening, int64_t columns, int64_t count, double failure, uint64_t seed);

// Gaussian vectors that pay: a column's norm in full costs as many products as the rank.
template <class T>
int64_t projection_count(const Columns<T>& x);

// Whether W is better made exact than left as the sketch has it, and norms computed in full: it costs less, or hardly more.
template <class T>
bool exact_pays(const Columns<T>& x);

struct ScoreFacts {
  int64_t rank = 0, sketch_rows = 0, projections = 0, passes = 0;
  double condition = 1, factor = 1;
  bool exact = false;
};

struct ScoreRequest {
  std::optional<bool> exact;
  double delta;
  uint64_t seed;
  bool check_finite;
};

struct Basis {
  Whitening whitening;
  std::vector<double> squares;
  int64_t sketch_rows = 0, passes = 0;
};

// Makes a whitening by sketch exact, in one pass, by entries or by whitened columns; false where the sketch has missed a direction.
template <class T>
bool refined(Execution& run, Monitor& monitor, const Columns<T>& x, const std::vector<double>& squares, Whitening* whitening);

// What every method begins with. Throws where the norm of a row cannot be worked with.
template <class T>
Basis find_basis(Execution& run, Monitor& monitor, const Columns<T>& x, bool exact, double failure, uint64_t seed,
                 bool check_finite);

// scores: any stride.
template <class T>
ScoreFacts leverage_scores(Execution& run, const Columns<T>& x, const ScoreRequest& request, double* scores, int64_t stride);

}  // namespace subquad::sparsify
