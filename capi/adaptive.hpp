// What method auto takes from options, and what it reports.
#pragma once

#include "capi/call_report.hpp"
#include "capi/options.hpp"
#include "core/attention/adaptive.hpp"

namespace subquad::capi {

// The same options with METHOD AUTO; throws where they name another method than the default.
subquad_options with_method_auto(const subquad_options& options);

// Throws unless TOL or BUDGET is set, and not both.
attention::AdaptiveRequest adaptive_request(const subquad_options& options);

// What was decided; with `efforts` what it took.
void set_plan(CallReport& call, const attention::AdaptivePlan& plan, const attention::AdaptiveRequest& request);
void set_efforts(CallReport& call, const std::vector<attention::HeadEffort>& efforts);

}  // namespace subquad::capi
