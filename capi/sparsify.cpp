// Leverage scores, and sparsifiers made from matrices.
#include <memory>

#include "capi/barrier.hpp"
#include "capi/call_report.hpp"
#include "capi/context.hpp"
#include "capi/matrix.hpp"
#include "capi/options.hpp"
#include "capi/sparsifier.hpp"
#include "core/base/text.hpp"
#include "core/sparsify/scores.hpp"

using namespace subquad;
using capi::Argument;
using capi::MatrixArgument;
using capi::required;
using sparsify::Certificate;
using sparsify::Certify;
using sparsify::Method;

namespace {

const char* name_of(Method method) {
  return method == Method::leverage ? "leverage" : method == Method::deterministic ? "deterministic" : "gram";
}

Method method_of(const subquad_options& options) {
  const int64_t id = options.get_int(SUBQUAD_OPTION_SPARSIFY_METHOD);
  return id == SUBQUAD_SPARSIFIER_LEVERAGE        ? Method::leverage
         : id == SUBQUAD_SPARSIFIER_DETERMINISTIC ? Method::deterministic
                                                  : Method::gram;
}

Certify certify_of(const subquad_options& options) {
  switch (options.get_int(SUBQUAD_OPTION_SPARSIFY_CERTIFY)) {
    case SUBQUAD_CERTIFICATE_NONE:
      return Certify::none;
    case SUBQUAD_CERTIFICATE_EXACT:
      return Certify::exact;
    case SUBQUAD_CERTIFICATE_ESTIMATE:
      return Certify::estimate;
    default:
      return Certify::automatic;
  }
}

sparsify::Request request_of(const subquad_options& options) {
  sparsify::Request request{method_of(options),
                            {},
                            {},
                            options.get_float(SUBQUAD_OPTION_SPARSIFY_DELTA),
                            certify_of(options),
                            static_cast<uint64_t>(options.get_int(SUBQUAD_OPTION_SEED)),
                            options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0};
  if (options.is_set(SUBQUAD_OPTION_SPARSIFY_COLUMNS)) request.columns = options.get_int(SUBQUAD_OPTION_SPARSIFY_COLUMNS);
  if (options.is_set(SUBQUAD_OPTION_SPARSIFY_EPS)) request.eps = options.get_float(SUBQUAD_OPTION_SPARSIFY_EPS);
  const std::string method = std::string("method ") + name_of(request.method);
  if (request.method == Method::gram && (request.columns || request.eps)) {
    throw Error(Status::err_conflict,
                (request.columns ? "sparsify_columns is " + text(*request.columns) : "sparsify_eps is " + text(*request.eps)) +
                    ", but " + method + " takes neither columns nor eps");
  }
  if (request.method != Method::gram && request.columns && request.eps) {
    throw Error(Status::err_conflict, "sparsify_columns is " + text(*request.columns) + " and sparsify_eps " +
                                          text(*request.eps) + ": give one of the two");
  }
  if (request.method != Method::gram && !request.columns && !request.eps)
    throw Error(Status::err_conflict, "sparsify_columns and sparsify_eps are unset: " + method + " needs one of the two");
  return request;
}

void check_certificate(const sparsify::Request& request, bool in_memory) {
  if (in_memory || request.certify != Certify::estimate) return;
  throw Error(Status::err_unsupported,
              "sparsify_certify is estimate, but x is read in blocks: an estimate takes more passes over it; ask for exact");
}

void put(subquad_report& report, int32_t key, const std::optional<int64_t>& value) {
  if (value) report.set<int64_t>(key, *value);
}
void put(subquad_report& report, int32_t key, const std::optional<double>& value) {
  if (value) report.set<double>(key, *value);
}
void put_scores(subquad_report& report, bool exact) {
  report.set<std::string>(SUBQUAD_REPORT_SCORES, exact ? "exact" : "sketch");
}

template <class T>
void describe(subquad_report& report, const sparsify::Sparsifier<T>& sparsifier, const sparsify::Facts& facts) {
  report.set<int64_t>(SUBQUAD_REPORT_WIDTH, sparsifier.width);
  put(report, SUBQUAD_REPORT_RANK, facts.rank);
  put(report, SUBQUAD_REPORT_CONDITION, facts.condition);
  put(report, SUBQUAD_REPORT_STEPS, facts.steps);
  put(report, SUBQUAD_REPORT_EPSILON_BOUND, facts.bound);
  put(report, SUBQUAD_REPORT_EPSILON_BARRIERS, facts.epsilon_barriers);
  put(report, SUBQUAD_REPORT_SKETCH_ROWS, facts.sketch_rows);
  put(report, SUBQUAD_REPORT_PROJECTIONS, facts.projections);
  if (facts.exact_scores) put_scores(report, *facts.exact_scores);
  if (sparsifier.certificate != Certificate::none) {
    report.set<double>(SUBQUAD_REPORT_EPSILON, sparsifier.epsilon);
    report.set<std::string>(SUBQUAD_REPORT_CERTIFICATE, sparsifier.certificate == Certificate::exact ? "exact" : "estimate");
  }
  report.set<int64_t>(SUBQUAD_REPORT_PASSES, facts.passes);
  report.set<double>(SUBQUAD_REPORT_SECONDS_SELECT, facts.seconds_select);
  report.set<double>(SUBQUAD_REPORT_SECONDS_CERTIFY, facts.seconds_certify);
}

subquad_status make(subquad_context* context, const subquad_options* given, std::initializer_list<MatrixArgument> list,
                    subquad_sparsifier** sparsifier_out, subquad_report* report) {
  return capi::guarded([&] {
    *required(sparsifier_out, "sparsifier_out") = nullptr;
    const capi::ContextUse use(context);
    capi::CallReport call;
    const std::vector<MatrixArgument> matrices(list);
    capi::check_matrices(matrices);
    const sparsify::Request request = request_of(capi::options_or_default(given));
    Execution run = use.execution();
    auto sparsifier = std::make_unique<subquad_sparsifier>();
    capi::with_floating(matrices[0].matrix->dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto columns = capi::columns_of<T>(matrices);
      check_certificate(request, columns.in_memory());
      sparsify::Facts facts;
      auto value = sparsify::sparsify<T>(run, columns, request, &facts);
      describe(call.values(), value, facts);
      sparsifier->value = std::move(value);
    });
    call.write(report, run, name_of(request.method));
    *sparsifier_out = sparsifier.release();
  });
}

}  // namespace

subquad_status subquad_sparsify(subquad_context* context, const subquad_options* options, const subquad_matrix* x,
                                subquad_sparsifier** sparsifier_out, subquad_report* report) {
  return make(context, options, {{"x", x}}, sparsifier_out, report);
}

subquad_status subquad_sparsify_pair(subquad_context* context, const subquad_options* options, const subquad_matrix* q,
                                     const subquad_matrix* k, subquad_sparsifier** sparsifier_out, subquad_report* report) {
  return make(context, options, {{"q", q}, {"k", k}}, sparsifier_out, report);
}

subquad_status subquad_leverage_scores(subquad_context* context, const subquad_options* given, const subquad_matrix* x,
                                       const subquad_array* scores, subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    const subquad_options& options = capi::options_or_default(given);
    capi::check_matrices({{"x", x}});
    const Argument output{"scores", scores};
    capi::check_array(output, 1, 1);
    capi::check_dtype(output, SUBQUAD_FLOAT64, "(scores, whatever the dtype of x)");
    capi::check_shape(output, {x->columns}, "(one per column of x)");
    x->check_apart("x", output);

    sparsify::ScoreRequest request{{},
                                   options.get_float(SUBQUAD_OPTION_SPARSIFY_DELTA),
                                   static_cast<uint64_t>(options.get_int(SUBQUAD_OPTION_SEED)),
                                   options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0};
    if (options.is_set(SUBQUAD_OPTION_SPARSIFY_SCORES))
      request.exact = options.get_int(SUBQUAD_OPTION_SPARSIFY_SCORES) == SUBQUAD_SCORE_EXACT;
    Execution run = use.execution();
    capi::with_floating(x->dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto columns = capi::columns_of<T>({{"x", x}});
      const auto view = capi::view_of<double, 1>(output);
      const auto facts = sparsify::leverage_scores<T>(run, columns, request, view.data, view.strides[0]);
      subquad_report& values = call.values();
      values.set<int64_t>(SUBQUAD_REPORT_RANK, facts.rank);
      values.set<double>(SUBQUAD_REPORT_CONDITION, facts.condition);
      values.set<double>(SUBQUAD_REPORT_SCORE_FACTOR, facts.factor);
      values.set<int64_t>(SUBQUAD_REPORT_SKETCH_ROWS, facts.sketch_rows);
      values.set<int64_t>(SUBQUAD_REPORT_PROJECTIONS, facts.projections);
      values.set<int64_t>(SUBQUAD_REPORT_PASSES, facts.passes);
      put_scores(values, facts.exact);
    });
    call.write(report, run, "leverage_scores");
  });
}
