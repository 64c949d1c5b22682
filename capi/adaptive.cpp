#include "capi/adaptive.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace subquad::capi {

namespace {

using attention::AdaptivePlan;
using attention::HeadChoice;
using attention::HeadEffort;
using attention::HeadKind;
using attention::HeadPlan;

// The choice that a head's rows have but for those that had to be exact.
const HeadChoice& choice_of(const HeadPlan& plan) { return plan.stretches.back().choice; }

bool selects(const HeadPlan& plan) { return choice_of(plan).kind == HeadKind::selected; }

std::string parts_of(const HeadPlan& plan) {
  if (plan.exact()) return "exact";
  const HeadChoice& choice = choice_of(plan);
  if (!selects(plan)) return "screened";
  std::string parts = "window";
  if (!choice.heavy.empty()) parts += "+heavy";
  if (choice.expand <= 1) parts += "+selection";
  if (choice.centroids) parts += "+centroids";
  if (choice.conv) parts += "+conv";
  return parts;
}

// One value per head.
template <class Value, class Items, class Get>
void set_all(CallReport& call, int32_t key, const Items& items, const Get& get) {
  std::vector<Value> values;
  for (const auto& item : items) values.push_back(static_cast<Value>(get(item)));
  call.values().set(key, std::move(values));
}

}  // namespace

subquad_options with_method_auto(const subquad_options& options) {
  const int64_t method = options.get_int(SUBQUAD_OPTION_METHOD);
  if (method == SUBQUAD_METHOD_CONV_BASIS)
    throw Error(Status::err_conflict, "method is conv_basis, but a plan is one of method auto");
  subquad_options chosen = options;
  if (method == SUBQUAD_METHOD_AUTO) return chosen;
  if (subquad_options_set_int(&chosen, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_AUTO) != SUBQUAD_OK)
    throw Error(Status::err_internal, "method auto could not be set");
  return chosen;
}

attention::AdaptiveRequest adaptive_request(const subquad_options& options) {
  attention::AdaptiveRequest request;
  const bool tol = options.is_set(SUBQUAD_OPTION_TOL), budget = options.is_set(SUBQUAD_OPTION_BUDGET);
  if (tol && budget) {
    throw Error(Status::err_conflict, "tol is " + text(options.get_float(SUBQUAD_OPTION_TOL)) + " and budget is " +
                                          text(options.get_float(SUBQUAD_OPTION_BUDGET)) + ": give one of them");
  }
  if (!tol && !budget) throw Error(Status::err_conflict, "tol and budget are unset: method auto needs one of them");
  if (tol) request.tol = options.get_float(SUBQUAD_OPTION_TOL);
  if (budget) request.budget = options.get_float(SUBQUAD_OPTION_BUDGET);
  if (options.is_set(SUBQUAD_OPTION_ESTIMATE)) {
    request.estimate = options.get_int(SUBQUAD_OPTION_ESTIMATE) == SUBQUAD_ESTIMATE_SCREENED ? attention::Estimate::screened
                                                                                             : attention::Estimate::sampled;
  }
  request.parts = options.get_int(SUBQUAD_OPTION_PARTS);
  request.strict_causal = options.get_int(SUBQUAD_OPTION_STRICT_CAUSAL) != 0;
  if (request.strict_causal && options.get_int(SUBQUAD_OPTION_CAUSAL) == 0) {
    throw Error(Status::err_conflict, "strict_causal is 1, but causal is 0: queries that see later tokens depend on them");
  }
  request.checked = options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0;
  request.seed = static_cast<uint64_t>(options.get_int(SUBQUAD_OPTION_SEED));
  return request;
}

void set_plan(CallReport& call, const AdaptivePlan& plan, const attention::AdaptiveRequest& request) {
  const auto& heads = plan.heads;
  set_all<std::string>(call, SUBQUAD_REPORT_PARTS, heads, parts_of);
  set_all<int64_t>(call, SUBQUAD_REPORT_PAIRS_EXACT, heads, [](const HeadPlan& h) { return h.exact() ? h.pairs : 0; });
  set_all<int64_t>(call, SUBQUAD_REPORT_PAIRS_LOW, heads,
                   [](const HeadPlan& h) { return h.exact() ? 0 : h.expected.pairs.computed; });
  set_all<int64_t>(call, SUBQUAD_REPORT_PAIRS_SCREENED, heads,
                   [](const HeadPlan& h) { return h.exact() ? 0 : h.expected.pairs.looked - h.expected.pairs.computed; });
  set_all<double>(call, SUBQUAD_REPORT_ERROR, heads, [](const HeadPlan& h) { return h.error.error; });
  set_all<double>(call, SUBQUAD_REPORT_ERROR_LOW, heads, [](const HeadPlan& h) { return h.error.low; });
  set_all<double>(call, SUBQUAD_REPORT_ERROR_HIGH, heads, [](const HeadPlan& h) { return h.error.high; });
  set_all<std::string>(call, SUBQUAD_REPORT_FALLBACK, heads, [](const HeadPlan& h) { return h.fallback; });
  call.values().set<std::string>(SUBQUAD_REPORT_ESTIMATE,
                                 plan.estimate == attention::Estimate::screened ? "screened" : "sampled");
  set_all<int64_t>(call, SUBQUAD_REPORT_WINDOW, heads, [](const HeadPlan& h) { return choice_of(h).window; });
  set_all<int64_t>(call, SUBQUAD_REPORT_HEAVY_COLUMNS, heads, [](const HeadPlan& h) { return choice_of(h).heavy.size(); });
  set_all<double>(call, SUBQUAD_REPORT_SELECTED_KEYS, heads, [](const HeadPlan& h) {
    const int64_t rows = h.stretches.back().last;
    return rows > 0 ? static_cast<double>(h.expected.selected) / static_cast<double>(rows) : 0.0;
  });
  set_all<int64_t>(call, SUBQUAD_REPORT_CONV_BASES, heads, [](const HeadPlan& h) { return choice_of(h).conv ? 1 : 0; });
  set_all<double>(call, SUBQUAD_REPORT_HEAD_SECONDS_PLAN, heads, [](const HeadPlan& h) { return h.seconds; });
  int64_t sampled = 0;
  for (const HeadPlan& head : heads) sampled = std::max(sampled, head.sampled_rows);
  call.values().set<int64_t>(SUBQUAD_REPORT_SAMPLED_ROWS, sampled);
  call.values().set<int64_t>(SUBQUAD_REPORT_SEED, static_cast<int64_t>(request.seed));
}

void set_efforts(CallReport& call, const std::vector<HeadEffort>& efforts) {
  set_all<int64_t>(call, SUBQUAD_REPORT_PAIRS_EXACT, efforts, [](const HeadEffort& e) { return e.exact_pairs; });
  set_all<int64_t>(call, SUBQUAD_REPORT_PAIRS_LOW, efforts, [](const HeadEffort& e) { return e.counts.pairs.computed; });
  set_all<int64_t>(call, SUBQUAD_REPORT_PAIRS_SCREENED, efforts,
                   [](const HeadEffort& e) { return e.counts.pairs.looked - e.counts.pairs.computed; });
  set_all<double>(call, SUBQUAD_REPORT_MISSED_MASS, efforts, [](const HeadEffort& e) { return e.counts.missed; });
  set_all<double>(call, SUBQUAD_REPORT_HEAD_SECONDS_APPLY, efforts, [](const HeadEffort& e) { return e.seconds; });
}

}  // namespace subquad::capi
