// Products with conv bases: the matrix, and softmax attention with it as logits.
#include "capi/arrays.hpp"
#include "capi/barrier.hpp"
#include "capi/call_report.hpp"
#include "capi/context.hpp"
#include "capi/conv_basis.hpp"
#include "capi/options.hpp"
#include "core/attention/conv_apply.hpp"

using namespace subquad;
using attention::ConvWeights;
using capi::Argument;
using capi::required;

namespace {

enum class Direction { forward, transposed };

// The one course of the four products: result = operator * operand.
void product(subquad_context* context, const subquad_options* options, const subquad_conv_basis* basis, ConvWeights weights,
             Direction direction, const Argument& operand, const Argument& result, const Argument& lse, subquad_report* report) {
  const capi::ContextUse use(context);
  capi::CallReport call;
  const subquad_options& settings = capi::options_or_default(options);
  required(basis, "basis");
  const bool grouped = weights == ConvWeights::softmax && direction == Direction::forward;
  basis->check_operand(operand, grouped ? subquad_conv_basis::Heads::grouped : subquad_conv_basis::Heads::same);
  basis->check_operand(result, subquad_conv_basis::Heads::same);
  if (result.extent(1) != operand.extent(1)) {
    throw Error(Status::err_shape, std::string(result.name) + " has shape " + capi::shape_text(*result.array) +
                                       ", whose last extent is not the " + std::to_string(operand.extent(1)) + " of " +
                                       operand.name);
  }
  capi::check_output(result, {operand});
  if (lse) {
    capi::check_array(lse, 1, SUBQUAD_MAX_NDIM - 1);
    capi::check_dtype(lse, result->dtype, "as the basis");
    capi::check_shape(lse, {result->shape, result->shape + result->ndim - 1}, "to fit o");
    capi::check_output(lse, {operand, result});
  }

  Execution run = use.execution();
  basis->visit([&](const auto& typed) {
    using T = typename std::decay_t<decltype(typed)>::value_type;
    const bool checks = settings.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0;
    if (checks) capi::check_finite<T>(run, operand);
    const bool strict = direction == Direction::forward && settings.get_int(SUBQUAD_OPTION_STRICT_CAUSAL) != 0;
    const attention::ConvSettings how{{weights, strict}, checks, result.name};
    const auto x = capi::view_of<const T, 4>(operand);
    const auto y = capi::view_of<T, 4>(result);
    const attention::ConvEffort effort = direction == Direction::forward
                                             ? attention::conv_forward<T>(run, typed, how, x, y, capi::view_of<T, 3>(lse))
                                             : attention::conv_transposed<T>(run, typed, how, x, y);
    call.set_effort(effort);
    call.write(report, run, "conv_basis", typed.batch * typed.heads * (typed.n * (typed.n + 1) / 2));
  });
}

}  // namespace

subquad_status subquad_conv_basis_multiply(subquad_context* context, const subquad_options* options,
                                           const subquad_conv_basis* basis, const subquad_array* x, const subquad_array* y,
                                           subquad_report* report) {
  return capi::guarded([&] {
    product(context, options, basis, ConvWeights::logits, Direction::forward, {"x", x}, {"y", y}, {"lse", nullptr}, report);
  });
}

subquad_status subquad_conv_basis_multiply_transposed(subquad_context* context, const subquad_options* options,
                                                      const subquad_conv_basis* basis, const subquad_array* x,
                                                      const subquad_array* y, subquad_report* report) {
  return capi::guarded([&] {
    product(context, options, basis, ConvWeights::logits, Direction::transposed, {"x", x}, {"y", y}, {"lse", nullptr}, report);
  });
}

subquad_status subquad_conv_basis_apply(subquad_context* context, const subquad_options* options, const subquad_conv_basis* basis,
                                        const subquad_array* v, const subquad_array* o, const subquad_array* lse,
                                        subquad_report* report) {
  return capi::guarded([&] {
    product(context, options, basis, ConvWeights::softmax, Direction::forward, {"v", v}, {"o", o}, {"lse", lse}, report);
  });
}

subquad_status subquad_conv_basis_apply_transposed(subquad_context* context, const subquad_options* options,
                                                   const subquad_conv_basis* basis, const subquad_array* x,
                                                   const subquad_array* y, subquad_report* report) {
  return capi::guarded([&] {
    product(context, options, basis, ConvWeights::softmax, Direction::transposed, {"x", x}, {"y", y}, {"lse", nullptr}, report);
  });
}
