#include "capi/adaptive.hpp"
#include "capi/attention_arguments.hpp"
#include "capi/barrier.hpp"
#include "capi/call_report.hpp"
#include "capi/conv_attention.hpp"
#include "core/attention/adaptive_backward.hpp"
#include "core/attention/exact.hpp"

using namespace subquad;
using capi::Argument;
using capi::check_array;
using capi::check_dtype;
using capi::check_shape;

namespace {

// An output of a prescribed shape; with `others`, all that it must stay clear of.
void check_result(const Argument& output, const std::vector<int64_t>& shape, int32_t dtype, const char* reason,
                  const std::vector<Argument>& others) {
  check_array(output, 1, SUBQUAD_MAX_NDIM);
  check_dtype(output, dtype, "as q");
  check_shape(output, shape, reason);
  check_output(output, others);
}

// What method auto is asked for; nothing for the other methods.
attention::AdaptiveRequest request_of(const capi::AttentionArguments& arguments) {
  return arguments.method() == SUBQUAD_METHOD_AUTO ? capi::adaptive_request(arguments.options) : attention::AdaptiveRequest{};
}

// The arrays of a gradient call beyond those of the forward call.
struct GradientArguments {
  Argument o, lse, d_o, dq, dk, dv, d_lag_bias;

  void check(const capi::AttentionArguments& forward) const {
    const int32_t dtype = forward.q->dtype;
    const std::vector<int64_t> o_shape = forward.output_shape(forward.v.extent(1));
    const bool read = forward.method() != SUBQUAD_METHOD_CONV_BASIS;  // of the forward call's results
    for (const Argument& argument : {o, d_o}) {
      if (!read && !argument && argument.name == o.name) continue;
      check_array(argument, 2, SUBQUAD_MAX_NDIM);
      check_dtype(argument, dtype, "as q");
      check_shape(argument, o_shape, "([.., H_q, n_q, d_v])");
    }
    if (read || lse) {
      check_array(lse, 1, SUBQUAD_MAX_NDIM - 1);
      check_dtype(lse, dtype, "as q");
      check_shape(lse, forward.lse_shape(), "([.., H_q, n_q])");
    }
    if (d_lag_bias && !forward.lag_bias) throw Error(Status::err_conflict, "d_lag_bias is given, but lag_bias is null");

    std::vector<Argument> others = forward.inputs();
    others.insert(others.end(), {o, lse, d_o});
    const std::pair<Argument, Argument> results[] = {
        {dq, forward.q}, {dk, forward.k}, {dv, forward.v}, {d_lag_bias, forward.lag_bias}};
    for (const auto& [result, input] : results) {
      if (!result) continue;
      check_result(result, {input->shape, input->shape + input->ndim}, dtype, "as its input", others);
      others.push_back(result);
    }
  }

  template <class T>
  void check_values(Execution& run) const {
    if (o) capi::check_finite<T>(run, o);
    capi::check_finite<T>(run, d_o);
    if (lse) capi::check_finite<T>(run, lse, true);
  }
};

}  // namespace

subquad_status subquad_attention(subquad_context* context, const subquad_options* options, const subquad_array* q,
                                 const subquad_array* k, const subquad_array* v, const subquad_array* lag_bias,
                                 const subquad_array* key_ranges, const subquad_array* o, const subquad_array* lse,
                                 subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    const capi::AttentionArguments arguments{
        {"q", q}, {"k", k}, {"v", v}, {"lag_bias", lag_bias}, {"key_ranges", key_ranges}, capi::options_or_default(options)};
    const Argument output{"o", o}, lse_output{"lse", lse};
    arguments.check();
    std::vector<Argument> others = arguments.inputs();
    check_result(output, arguments.output_shape(arguments.v.extent(1)), q->dtype, "([.., H_q, n_q, d_v])", others);
    others.push_back(output);
    if (lse_output) check_result(lse_output, arguments.lse_shape(), q->dtype, "([.., H_q, n_q])", others);
    const attention::AdaptiveRequest request = request_of(arguments);

    Execution run = use.execution();
    capi::with_floating(q->dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto problem = arguments.problem<T>(run);
      const auto o_view = capi::view_of<T, 4>(output);
      const auto lse_view = capi::view_of<T, 3>(lse_output);
      if (arguments.method() == SUBQUAD_METHOD_EXACT) {
        attention::exact_forward<T>(run, problem, arguments.checks_values(), o_view, lse_view);
        return call.write(report, run, "exact", problem.pairs());
      }
      if (arguments.method() == SUBQUAD_METHOD_AUTO) {
        attention::AdaptivePlan plan;
        const auto efforts =
            attention::plan_and_apply<T>(run, problem, request, arguments.checks_values(), o_view, lse_view, &plan);
        capi::set_plan(call, plan, request);
        capi::set_efforts(call, efforts);
        return call.write(report, run, "auto", problem.pairs());
      }
      capi::check_conv_problem(problem, arguments.options);
      const auto basis = capi::basis_of_problem(run, problem, arguments.options, call);
      capi::conv_attention(run, basis, problem.v, arguments.options, call, o_view, lse_view);
      call.write(report, run, "conv_basis", problem.pairs());
    });
  });
}

subquad_status subquad_attention_backward(subquad_context* context, const subquad_options* options, const subquad_array* q,
                                          const subquad_array* k, const subquad_array* v, const subquad_array* lag_bias,
                                          const subquad_array* key_ranges, const subquad_array* o, const subquad_array* lse,
                                          const subquad_array* d_o, const subquad_array* dq, const subquad_array* dk,
                                          const subquad_array* dv, const subquad_array* d_lag_bias, subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    const capi::AttentionArguments arguments{
        {"q", q}, {"k", k}, {"v", v}, {"lag_bias", lag_bias}, {"key_ranges", key_ranges}, capi::options_or_default(options)};
    const GradientArguments gradient{
        {"o", o}, {"lse", lse}, {"d_o", d_o}, {"dq", dq}, {"dk", dk}, {"dv", dv}, {"d_lag_bias", d_lag_bias}};
    arguments.check();
    gradient.check(arguments);
    const attention::AdaptiveRequest request = request_of(arguments);

    Execution run = use.execution();
    capi::with_floating(q->dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto problem = arguments.problem<T>(run);
      if (arguments.checks_values()) gradient.check_values<T>(run);
      const attention::Gradients<T> results{capi::view_of<T, 4>(gradient.dq), capi::view_of<T, 4>(gradient.dk),
                                            capi::view_of<T, 4>(gradient.dv), capi::view_of<T, 2>(gradient.d_lag_bias)};
      const auto d_o_view = capi::view_of<const T, 4>(gradient.d_o);
      if (arguments.method() == SUBQUAD_METHOD_EXACT) {
        attention::exact_backward<T>(run, problem, arguments.checks_values(), capi::view_of<const T, 4>(gradient.o),
                                     capi::view_of<const T, 3>(gradient.lse), d_o_view, results);
        return call.write(report, run, "exact", problem.pairs());
      }
      if (gradient.d_lag_bias) {
        throw Error(Status::err_unsupported, std::string("d_lag_bias is given, but method ") +
                                                 (arguments.method() == SUBQUAD_METHOD_AUTO ? "auto" : "conv_basis") +
                                                 " computes no gradient of lag_bias");
      }
      if (arguments.method() == SUBQUAD_METHOD_AUTO) {
        const attention::AdaptivePlan plan = attention::plan_attention<T>(run, problem, request);
        auto errors = attention::plan_backward<T>(run, problem, plan, request.seed, arguments.checks_values(),
                                                  capi::view_of<const T, 4>(gradient.o), capi::view_of<const T, 3>(gradient.lse),
                                                  d_o_view, results);
        capi::set_plan(call, plan, request);
        call.values().set(SUBQUAD_REPORT_ERROR_BACKWARD, std::move(errors));
        return call.write(report, run, "auto", problem.pairs());
      }
      capi::check_conv_problem(problem, arguments.options);
      const auto basis = capi::basis_of_problem(run, problem, arguments.options, call);
      const char* method = capi::conv_attention_backward(run, basis, problem, arguments.options, call, d_o_view, results);
      call.write(report, run, method, problem.pairs());
    });
  });
}
