// Sums of inner products of queries and keys at each lag, over ranges of keys, by transforms in blocks.
#pragma once

#include <complex>
#include <cstdint>

#include "core/base/views.hpp"
#include "core/fft/plan_cache.hpp"
#include "core/parallel/execution.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// One head: q and k are n x d. Everything is computed in double precision.
template <class T>
class LagSums {
 public:
  LagSums(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k);

  // sums[t] = sum over keys first <= j < last with j + t < n of <q[j+t], k[j]>, for 0 <= t < n - first. The error of sums[t] is at most
  // of the order of 2^-53 log2(block) |q| |k|, with Euclidean norms over the rows of each block: not relative to sums[t].
  void compute(const Team& team, int64_t first, int64_t last, double* sums);

 private:
  // Spectra of pieces: [chunk of frequencies][piece][channel][re | im].
  struct Spectra {
    double* data;
    int64_t pieces;
  };
  int64_t chunk_entries(const Spectra& spectra) const;
  void transform(const Team& team, const View<const T, 2>& rows, int64_t first, int64_t last, int64_t piece_rows, int64_t piece,
                 const Spectra& spectra);
  void multiply(const Team& team, int64_t first, int64_t last);

  Execution& run_;
  const View<const T, 2> q_, k_;
  const int64_t n_, d_, block_, blocks_, chunks_;
  const fft::Rows rows_;
  const fft::ForwardPlan<double>& forward_;
  const fft::InversePlan<double>& inverse_;
  Lease<double> q_data_, k_data_, cut_data_, scratch_;
  Lease<std::complex<double>> spectrum_scratch_, products_;
  Spectra q_spectra_, k_spectra_, cut_spectra_;
};

}  // namespace subquad::attention
