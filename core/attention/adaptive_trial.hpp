// Candidates for a head, tried on sampled rows: their errors against exact attention, what they would cost, what they compute.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "core/attention/adaptive_keys.hpp"
#include "core/attention/adaptive_sample.hpp"
#include "core/attention/exact_sample.hpp"

namespace subquad::attention {

// What all heads of a call have in common.
template <class T>
struct ChoiceInput {
  Execution& run;
  Monitor& monitor;
  const LowProblem<T>& low;
  const ExactSample<T>& exact;
  const AdaptiveRequest& request;
  Estimate estimate;
};

// What a candidate did on a sample.
struct Trial {
  TileErrors errors;
  double cost = 0;      // relative to exact attention
  double computed = 0;  // share of the visible pairs
  PassCounts counts;
  int64_t pairs = 0;  // visible ones of the rows that it ran
};

template <class T>
class HeadTrials {
 public:
  // pass: of this worker. keys, far: what the last candidate's passes read.
  HeadTrials(const ChoiceInput<T>& input, int64_t batch, int64_t head, HeadPass& pass, PassKeys& keys,
             std::optional<ConvFarField<T>>& far);

  // New samples, and their exact outputs.
  void take(RowSample sample);
  const RowSample& sample() const { return sample_; }

  // Runs a candidate on some of the sampled tiles; not on all of them where those before already make it err by more than `most`.
  Trial attempt(const HeadChoice& choice, const std::vector<SampleTile>& tiles,
                double most = std::numeric_limits<double>::infinity());
  // What exact attention does on them: no error.
  TileErrors exact(const std::vector<SampleTile>& tiles) const;

  // After a screened candidate that left nothing out: the mass of each key beyond the window, summed over the rows that it ran.
  std::vector<float> key_mass(int64_t window) { return pass_.column_mass(*keys_.all, window); }

  // Exact pairs that all attempts so far took the time of.
  double spent_pairs() const { return spent_; }
  // Costs per pair relative to exact attention, and the exact pairs that a conv far field takes the time of.
  double logit_cost() const;
  double weight_cost() const;
  double conv_pairs() const;

 private:
  void prepare(const HeadChoice& choice);
  void attempt_rows(const HeadChoice& choice, const std::vector<SampleTile>& tiles, Trial& trial);
  void attempt_tiles(const HeadChoice& choice, const std::vector<SampleTile>& tiles, double most, Trial& trial);
  void attempt_tile(const HeadChoice& choice, const SampleTile& tile, Trial& trial);
  void take_far_rows(const std::vector<int64_t>& rows);
  void add_error(int64_t row, int64_t r, TileErrors& errors);
  const T* exact_row(int64_t row) const;
  double exact_operations() const;

  const ChoiceInput<T>& in_;
  const Problem<T>& p_;
  const int64_t batch_, head_;
  const LowHead<T> low_;
  HeadPass& pass_;
  PassKeys& keys_;
  std::optional<ConvFarField<T>>& far_;
  double spent_ = 0;
  RowSample sample_;
  SampledRows<T> exact_;
  std::vector<int64_t> prepared_heavy_;
  std::vector<T> output_, far_o_;  // of a row; of the far field of far_rows_
  std::vector<int64_t> far_rows_;
};

}  // namespace subquad::attention
