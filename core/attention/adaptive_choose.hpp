// The choice for one head: candidates in order of cost, tried on sampled rows.
#pragma once

#include <optional>
#include <string>

#include "core/attention/adaptive.hpp"
#include "core/attention/adaptive_trial.hpp"

namespace subquad::attention {

// Why the heads of a batch element, of so many visible pairs each, are exact whatever their queries and keys are; empty where that has to
// be seen.
template <class T>
std::string exact_by_shape(const Problem<T>& problem, int64_t batch, int64_t pairs, const AdaptiveRequest& request);

// For heads that are not exact by their shape. pass: of this worker. keys: what the choice's passes read. far: the choice's conv far field,
// if it has one.
template <class T>
HeadPlan choose_head(const ChoiceInput<T>& input, int64_t batch, int64_t head, int64_t pairs, HeadPass& pass, PassKeys& keys,
                     std::optional<ConvFarField<T>>& far);

}  // namespace subquad::attention
