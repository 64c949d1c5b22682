// The choice for one head: candidates in order of cost, measured on sampled rows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/attention/adaptive.hpp"
#include "core/attention/adaptive_sample.hpp"
#include "core/attention/conv_far_field.hpp"
#include "core/attention/exact_sample.hpp"
#include "core/attention/low_problem.hpp"

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

// Why the heads of a batch element are exact whatever their queries and keys are; empty where that has to be seen.
template <class T>
std::string exact_by_shape(const Problem<T>& problem, int64_t batch, const AdaptiveRequest& request);

// Adds what the passes of a choice read to `keys`, which may hold that of another choice with the same heavy keys.
template <class T>
void add_pass_keys(Workspace& workspace, Monitor& monitor, const LowProblem<T>& low, int64_t batch, int64_t head,
                   const HeadChoice& choice, PassKeys& keys);

// The conv far field of a choice that has one.
template <class T>
ConvFarField<T> fit_far_field(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k,
                              double scale, const HeadChoice& choice);

// For heads that are not exact by their shape. pass: of this worker. keys: what the choice's passes read. far: the choice's conv far field,
// if it has one.
template <class T>
HeadPlan choose_head(const ChoiceInput<T>& input, int64_t batch, int64_t head, HeadPass& pass, PassKeys& keys,
                     std::optional<ConvFarField<T>>& far);

}  // namespace subquad::attention
