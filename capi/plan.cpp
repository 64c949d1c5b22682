// Plans of adaptive attention.
#include "capi/plan.hpp"

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "capi/adaptive.hpp"
#include "capi/attention_arguments.hpp"
#include "capi/barrier.hpp"
#include "capi/call_report.hpp"
#include "core/attention/adaptive_backward.hpp"
#include "core/base/text.hpp"
#include "core/random/philox.hpp"

using namespace subquad;
using capi::Argument;
using capi::PlannedProblem;
using capi::required;

namespace {

// Values to estimate errors on where the caller gives none: independent, of mean 0 and variance 1.
class StandInValues {
 public:
  StandInValues(const subquad_array& k, uint64_t seed) {
    constexpr int64_t kColumns = 32;
    constexpr uint64_t kStream = 0x76616c75;
    array_ = k;
    array_.shape[k.ndim - 1] = kColumns;
    int64_t count = 1;
    for (int32_t axis = k.ndim - 1; axis >= 0; --axis) {
      array_.strides[axis] = count;
      if (__builtin_mul_overflow(count, std::max<int64_t>(array_.shape[axis], 0), &count))
        throw Error(Status::err_size, "k has shape " + capi::shape_text(k) + ": values for it overflow the address space");
    }
    const double half_width = std::sqrt(3.0);
    const auto fill = [&](auto& values) {
      using T = typename std::decay_t<decltype(values)>::value_type;
      values.resize(static_cast<size_t>(count));
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<T>((2 * random_uniform(seed, kStream, i) - 1) * half_width);
      array_.data = values.data();
    };
    if (k.dtype == SUBQUAD_FLOAT32) {
      fill(floats_);
    } else {
      fill(doubles_);
    }
  }
  StandInValues(const StandInValues&) = delete;
  StandInValues& operator=(const StandInValues&) = delete;
  const subquad_array& array() const { return array_; }

 private:
  subquad_array array_;
  std::vector<float> floats_;
  std::vector<double> doubles_;
};

// Row-major copy of a view; the view then shows the copy.
template <class T, int Rank>
std::vector<std::remove_const_t<T>> keep(View<T, Rank>& view) {
  std::vector<std::remove_const_t<T>> copy;
  copy.reserve(static_cast<size_t>(view.count()));
  const int64_t columns = view.shape[Rank - 1];
  const int64_t rows = columns == 0 ? 0 : view.count() / columns;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t offset = 0, rest = row;
    for (int axis = Rank - 2; axis >= 0; --axis) {
      offset += rest % view.shape[axis] * view.strides[axis];
      rest /= view.shape[axis];
    }
    for (int64_t c = 0; c < columns; ++c) copy.push_back(view.data[offset + c * view.strides[Rank - 1]]);
  }
  view.data = copy.data();
  int64_t stride = 1;
  for (int axis = Rank - 1; axis >= 0; --axis) {
    view.strides[axis] = stride;
    stride *= view.shape[axis];
  }
  return copy;
}

template <class T>
PlannedProblem<T> keep_problem(const attention::Problem<T>& problem, attention::AdaptivePlan plan) {
  PlannedProblem<T> planned;
  planned.problem = problem;
  planned.plan = std::move(plan);
  planned.q = keep(planned.problem.q);
  planned.k = keep(planned.problem.k);
  if (problem.has_bias()) planned.lag_bias = keep(planned.problem.lag_bias);
  if (problem.key_ranges.data != nullptr) planned.key_ranges = keep(planned.problem.key_ranges);
  planned.problem.v = {};
  return planned;
}

// [.., heads, rows, columns] with as many dimensions as q has; columns < 0 for none.
std::vector<int64_t> shape_of(int32_t ndim, int64_t batch, int64_t heads, int64_t rows, int64_t columns) {
  std::vector<int64_t> shape;
  if (ndim > 3) shape.push_back(batch);
  if (ndim > 2) shape.push_back(heads);
  shape.push_back(rows);
  if (columns >= 0) shape.push_back(columns);
  return shape;
}

void describe(subquad_array* out, int32_t dtype, const std::vector<int64_t>& shape) {
  if (out == nullptr) return;
  subquad_array array{nullptr, dtype, static_cast<int32_t>(shape.size()), {}, {}};
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    array.shape[axis] = shape[axis];
    array.strides[axis] = stride;
    if (__builtin_mul_overflow(stride, shape[axis], &stride))
      throw Error(Status::err_size, "d_v is " + std::to_string(shape.back()) + ": o overflows the address space");
  }
  *out = array;
}

// The arrays of a call with a plan.
class PlanArguments {
 public:
  PlanArguments(const subquad_plan& plan, const Argument& v) : plan_(plan), v_(v) {
    plan.visit([&](const auto& planned) {
      const auto& p = planned.problem;
      batch_ = p.batch();
      q_heads_ = p.q_heads();
      kv_heads_ = p.kv_heads();
      n_q_ = p.n_q();
      n_k_ = p.n_k();
      d_ = p.d();
    });
    capi::check_array(v, 2, SUBQUAD_MAX_NDIM);
    check(v, shape_of(plan.ndim, batch_, kv_heads_, n_k_, v.extent(1)), "as the plan's keys");
  }

  std::vector<int64_t> output_shape() const { return shape_of(plan_.ndim, batch_, q_heads_, n_q_, v_.extent(1)); }
  std::vector<int64_t> lse_shape() const { return shape_of(plan_.ndim, batch_, q_heads_, n_q_, -1); }
  std::vector<int64_t> q_shape() const { return shape_of(plan_.ndim, batch_, q_heads_, n_q_, d_); }
  std::vector<int64_t> k_shape() const { return shape_of(plan_.ndim, batch_, kv_heads_, n_k_, d_); }

  void check(const Argument& argument, const std::vector<int64_t>& shape, const char* reason) const {
    capi::check_array(argument, 1, SUBQUAD_MAX_NDIM);
    capi::check_dtype(argument, plan_.dtype(), "as the plan");
    capi::check_shape(argument, shape, reason);
  }

 private:
  const subquad_plan& plan_;
  const Argument& v_;
  int64_t batch_ = 1, q_heads_ = 1, kv_heads_ = 1, n_q_ = 0, n_k_ = 0, d_ = 1;
};

bool checks_values(const subquad_options& options) { return options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0; }

}  // namespace

void subquad_plan_destroy(subquad_plan* plan) { delete plan; }

subquad_status subquad_plan_create(subquad_context* context, const subquad_options* options, const subquad_array* q,
                                   const subquad_array* k, const subquad_array* v, const subquad_array* lag_bias,
                                   const subquad_array* key_ranges, subquad_plan** plan_out, subquad_report* report) {
  return capi::guarded([&] {
    *required(plan_out, "plan_out") = nullptr;
    const capi::ContextUse use(context);
    capi::CallReport call;
    const subquad_options& given = capi::options_or_default(options);
    const subquad_options chosen = capi::with_method_auto(given);
    std::optional<StandInValues> values;
    if (v == nullptr) {
      for (const Argument& argument : {Argument{"q", q}, Argument{"k", k}}) {
        capi::check_array(argument, 2, SUBQUAD_MAX_NDIM);
        capi::check_floating(argument);
      }
      values.emplace(*k, static_cast<uint64_t>(given.get_int(SUBQUAD_OPTION_SEED)));
    }
    const capi::AttentionArguments arguments{
        {"q", q}, {"k", k}, {"v", values ? &values->array() : v}, {"lag_bias", lag_bias}, {"key_ranges", key_ranges}, chosen};
    arguments.check();
    const attention::AdaptiveRequest request = capi::adaptive_request(chosen);

    Execution run = use.execution();
    auto plan = std::make_unique<subquad_plan>();
    plan->ndim = q->ndim;
    plan->seed = request.seed;
    capi::with_floating(q->dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto problem = arguments.problem<T>(run);
      plan->value = keep_problem(problem, attention::plan_attention<T>(run, problem, request));
      capi::set_plan(call, std::get<PlannedProblem<T>>(plan->value).plan, request);
      call.write(&plan->report, run, "auto", problem.pairs());
    });
    if (report != nullptr) capi::copy_report(plan->report, *report);
    *plan_out = plan.release();
  });
}

subquad_status subquad_plan_report(const subquad_plan* plan, subquad_report* report) {
  return capi::guarded([&] { capi::copy_report(required(plan, "plan")->report, *required(report, "report")); });
}

subquad_status subquad_plan_describe(const subquad_plan* plan, int64_t d_v, subquad_array* o_out, subquad_array* lse_out,
                                     int64_t* n_k_out, int64_t* kv_heads_out) {
  return capi::guarded([&] {
    required(plan, "plan");
    if (d_v < 0) throw Error(Status::err_value, "d_v is " + text(d_v) + ", negative");
    plan->visit([&](const auto& planned) {
      const auto& p = planned.problem;
      describe(o_out, plan->dtype(), shape_of(plan->ndim, p.batch(), p.q_heads(), p.n_q(), d_v));
      describe(lse_out, plan->dtype(), shape_of(plan->ndim, p.batch(), p.q_heads(), p.n_q(), -1));
      if (n_k_out != nullptr) *n_k_out = p.n_k();
      if (kv_heads_out != nullptr) *kv_heads_out = p.kv_heads();
    });
  });
}

subquad_status subquad_plan_apply(subquad_context* context, const subquad_options* options, const subquad_plan* plan,
                                  const subquad_array* v, const subquad_array* o, const subquad_array* lse,
                                  subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    const subquad_options& chosen = capi::options_or_default(options);
    required(plan, "plan");
    const Argument values{"v", v}, output{"o", o}, lse_output{"lse", lse};
    const PlanArguments arguments(*plan, values);
    arguments.check(output, arguments.output_shape(), "([.., H_q, n_q, d_v])");
    capi::check_output(output, {values});
    if (lse_output) {
      arguments.check(lse_output, arguments.lse_shape(), "([.., H_q, n_q])");
      capi::check_output(lse_output, {values, output});
    }

    Execution run = use.execution();
    plan->visit([&](const auto& planned) {
      using T = typename std::decay_t<decltype(planned)>::value_type;
      if (checks_values(chosen)) capi::check_finite<T>(run, values);
      attention::Problem<T> problem = planned.problem;
      problem.v = capi::view_of<const T, 4>(values);
      const auto efforts = attention::apply_plan<T>(run, problem, planned.plan, checks_values(chosen),
                                                    capi::view_of<T, 4>(output), capi::view_of<T, 3>(lse_output), nullptr);
      capi::copy_report(plan->report, call.values());
      capi::set_efforts(call, efforts);
      call.write(report, run, "auto", problem.pairs());
    });
  });
}

subquad_status subquad_plan_backward(subquad_context* context, const subquad_options* options, const subquad_plan* plan,
                                     const subquad_array* v, const subquad_array* o, const subquad_array* lse,
                                     const subquad_array* d_o, const subquad_array* dq, const subquad_array* dk,
                                     const subquad_array* dv, subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    const subquad_options& chosen = capi::options_or_default(options);
    required(plan, "plan");
    const Argument values{"v", v}, out{"o", o}, sums{"lse", lse}, cotangent{"d_o", d_o};
    const PlanArguments arguments(*plan, values);
    for (const Argument& argument : {out, cotangent})
      arguments.check(argument, arguments.output_shape(), "([.., H_q, n_q, d_v])");
    arguments.check(sums, arguments.lse_shape(), "([.., H_q, n_q])");
    std::vector<Argument> others{values, out, sums, cotangent};
    const std::vector<int64_t> v_shape(v->shape, v->shape + v->ndim);
    const std::pair<Argument, std::vector<int64_t>> results[] = {
        {{"dq", dq}, arguments.q_shape()}, {{"dk", dk}, arguments.k_shape()}, {{"dv", dv}, v_shape}};
    for (const auto& [result, shape] : results) {
      if (!result) continue;
      arguments.check(result, shape, "as its input");
      capi::check_output(result, others);
      others.push_back(result);
    }

    Execution run = use.execution();
    plan->visit([&](const auto& planned) {
      using T = typename std::decay_t<decltype(planned)>::value_type;
      if (checks_values(chosen)) {
        for (const Argument& argument : {values, out, cotangent}) capi::check_finite<T>(run, argument);
        capi::check_finite<T>(run, sums, true);
      }
      attention::Problem<T> problem = planned.problem;
      problem.v = capi::view_of<const T, 4>(values);
      const attention::Gradients<T> gradients{
          capi::view_of<T, 4>({"dq", dq}), capi::view_of<T, 4>({"dk", dk}), capi::view_of<T, 4>({"dv", dv}), {}};
      auto errors = attention::plan_backward<T>(run, problem, planned.plan, plan->seed, checks_values(chosen),
                                                capi::view_of<const T, 4>(out), capi::view_of<const T, 3>(sums),
                                                capi::view_of<const T, 4>(cotangent), gradients);
      capi::copy_report(plan->report, call.values());
      call.values().set(SUBQUAD_REPORT_ERROR_BACKWARD, std::move(errors));
      call.write(report, run, "auto", problem.pairs());
    });
  });
}
