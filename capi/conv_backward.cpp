// Gradients with a given conv basis.
#include <cmath>

#include "capi/arrays.hpp"
#include "capi/barrier.hpp"
#include "capi/context.hpp"
#include "capi/conv_attention.hpp"
#include "capi/conv_basis.hpp"

using namespace subquad;
using capi::Argument;
using Heads = subquad_conv_basis::Heads;

namespace {

struct ConvGradientArguments {
  Argument q, k, v, d_o, dq, dk, dv;

  void check(const subquad_conv_basis& basis) const {
    basis.check_operand(q, Heads::same);
    basis.check_operand(k, Heads::grouped);
    basis.check_operand(v, Heads::grouped);
    basis.check_operand(d_o, Heads::same);
    if (q.extent(1) == 0)
      throw Error(Status::err_shape, "q has shape " + capi::shape_text(*q.array) + ": d, its last extent, is 0");
    check_extent(k, 1, q, 1, "d");
    check_extent(v, 3, k, 3, "heads");
    check_extent(d_o, 1, v, 1, "d_v");
    std::vector<Argument> others{q, k, v, d_o};
    const std::pair<Argument, Argument> results[] = {{dq, q}, {dk, k}, {dv, v}};
    for (const auto& [result, input] : results) {
      if (!result) continue;
      capi::check_array(result, 2, SUBQUAD_MAX_NDIM);
      capi::check_dtype(result, q->dtype, "as q");
      capi::check_shape(result, {input->shape, input->shape + input->ndim}, "as its input");
      capi::check_output(result, others);
      others.push_back(result);
    }
  }

  template <class T>
  attention::Problem<T> problem(Execution& run, const subquad_options& options) const {
    if (options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0) {
      for (const Argument& argument : {q, k, v, d_o}) capi::check_finite<T>(run, argument);
    }
    attention::Problem<T> problem;
    problem.q = capi::view_of<const T, 4>(q);
    problem.k = capi::view_of<const T, 4>(k);
    problem.v = capi::view_of<const T, 4>(v);
    problem.causal = true;
    problem.scale = options.is_set(SUBQUAD_OPTION_SCALE) ? options.get_float(SUBQUAD_OPTION_SCALE)
                                                         : 1 / std::sqrt(static_cast<double>(problem.d()));
    return problem;
  }

 private:
  static void check_extent(const Argument& a, int32_t a_axis, const Argument& b, int32_t b_axis, const char* what) {
    if (a.extent(a_axis) == b.extent(b_axis)) return;
    throw Error(Status::err_shape, std::string(a.name) + " has shape " + capi::shape_text(*a.array) + " and " + b.name + " " +
                                       capi::shape_text(*b.array) + ": " + what + " differ");
  }
};

}  // namespace

subquad_status subquad_conv_basis_backward(subquad_context* context, const subquad_options* options,
                                           const subquad_conv_basis* basis, const subquad_array* q, const subquad_array* k,
                                           const subquad_array* v, const subquad_array* d_o, const subquad_array* dq,
                                           const subquad_array* dk, const subquad_array* dv, subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    const subquad_options& settings = capi::options_or_default(options);
    const ConvGradientArguments arguments{{"q", q}, {"k", k}, {"v", v}, {"d_o", d_o}, {"dq", dq}, {"dk", dk}, {"dv", dv}};
    arguments.check(*capi::required(basis, "basis"));
    Execution run = use.execution();
    basis->visit([&](const auto& typed) {
      using T = typename std::decay_t<decltype(typed)>::value_type;
      const auto problem = arguments.problem<T>(run, settings);
      const attention::Gradients<T> results{
          capi::view_of<T, 4>(arguments.dq), capi::view_of<T, 4>(arguments.dk), capi::view_of<T, 4>(arguments.dv), {}};
      const char* method =
          capi::conv_attention_backward(run, typed, problem, settings, call, capi::view_of<const T, 4>(arguments.d_o), results);
      call.write(report, run, method, problem.pairs());
    });
  });
}
