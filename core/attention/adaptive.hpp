// Adaptive attention: each head gets the cheapest of several approximations whose estimated error meets a tolerance.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/attention/adaptive_pass.hpp"
#include "core/attention/problem.hpp"
#include "core/attention/visited_tiles.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Bits of AdaptiveRequest::parts.
inline constexpr int64_t kPartHeavy = 1, kPartSelection = 2, kPartCentroids = 4, kPartConv = 8, kPartScreening = 16;

enum class Estimate { screened, sampled };

struct AdaptiveRequest {
  std::optional<double> tol;     // relative Frobenius error of a head's output
  std::optional<double> budget;  // or: share of the pairs up to 1, pairs per query above
  std::optional<Estimate> estimate;
  int64_t parts = 31;
  bool strict_causal = false;
  bool checked = true;  // the inputs are known to be finite
  uint64_t seed = 0;
};

// Relative Frobenius error and the ends of its 95 % confidence interval.
struct ErrorEstimate {
  double error = 0, low = 0, high = 0;
};

// Consecutive rows of a head with one choice.
struct Stretch {
  int64_t first, last;
  HeadChoice choice;
};

struct HeadPlan {
  std::vector<Stretch> stretches;
  ErrorEstimate error;
  std::string fallback;  // why it is exact; empty where it is not
  int64_t pairs = 0;     // visible ones
  PassCounts expected;   // from the sampled rows
  int64_t sampled_rows = 0;
  double seconds = 0;  // of one thread

  bool exact() const {
    for (const Stretch& stretch : stretches) {
      if (stretch.choice.kind != HeadKind::exact) return false;
    }
    return true;
  }
};

struct AdaptivePlan {
  Estimate estimate = Estimate::screened;
  bool strict_causal = false;
  std::vector<HeadPlan> heads;              // [batch][q_heads]
  std::vector<std::vector<float>> centers;  // [batch][kv_heads][d]
};

// What an application took, per head.
struct HeadEffort {
  PassCounts counts;
  int64_t exact_pairs = 0;
  double seconds = 0;  // of one thread
};

template <class T>
AdaptivePlan plan_attention(Execution& run, const Problem<T>& problem, const AdaptiveRequest& request);

// visited: NULL, or what to tell of the pairs that were computed.
template <class T>
std::vector<HeadEffort> apply_plan(Execution& run, const Problem<T>& problem, const AdaptivePlan& plan, bool check_overflow,
                                   const View<T, 4>& o, const View<T, 3>& lse, VisitedTiles* visited);

// Both, with what they share computed once.
template <class T>
std::vector<HeadEffort> plan_and_apply(Execution& run, const Problem<T>& problem, const AdaptiveRequest& request,
                                       bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse, AdaptivePlan* plan_out);

}  // namespace subquad::attention
