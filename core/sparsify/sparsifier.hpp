// Sparsifiers: Y with (1 - e) X X' <= Y Y' <= (1 + e) X X', and e.
#pragma once

#include <optional>
#include <vector>

#include "core/sparsify/columns.hpp"

namespace subquad::sparsify {

enum class Method { leverage, deterministic, gram };
enum class Certify { none, automatic, exact, estimate };
enum class Certificate { none, exact, estimate };

struct Request {
  Method method;
  std::optional<int64_t> columns;
  std::optional<double> eps;
  double delta;
  Certify certify;
  uint64_t seed;
  bool check_finite;
};

template <class T>
struct Sparsifier {
  using value_type = T;
  Method method;
  int64_t rows = 0, width = 0;
  int64_t query_rows = -1;       // of a pair; -1: a single matrix
  bool has_columns = true;       // Y is made of columns of X, with indices and weights
  std::vector<int64_t> indices;  // [width], increasing
  std::vector<double> weights;   // [width]
  std::vector<T> y;              // [rows][width]
  double epsilon = 0;            // NaN without a certificate
  Certificate certificate = Certificate::none;
  double radius = 0;  // max_i G_ii, or max |q_i| max |k_j|
};

// What a call did. Absent: nothing to say.
struct Facts {
  std::optional<int64_t> rank, steps, sketch_rows, projections;
  std::optional<double> condition, bound, epsilon_barriers;
  std::optional<bool> exact_scores;
  int64_t passes = 0;
  double seconds_select = 0, seconds_certify = 0;
};

// x: one part, or two, queries above keys.
template <class T>
Sparsifier<T> sparsify(Execution& run, const Columns<T>& x, const Request& request, Facts* facts);

}  // namespace subquad::sparsify
