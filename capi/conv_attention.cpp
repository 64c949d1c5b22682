#include "capi/conv_attention.hpp"

#include "capi/conv_options.hpp"
#include "core/attention/conv_apply.hpp"
#include "core/attention/conv_backward.hpp"
#include "core/attention/conv_forms.hpp"
#include "core/base/text.hpp"

namespace subquad::capi {

namespace {

bool checks_values(const subquad_options& options) { return options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0; }

}  // namespace

template <class T>
void check_conv_problem(const attention::Problem<T>& problem, const subquad_options& options) {
  const std::string method = "method is conv_basis, ";
  if (!problem.causal) throw Error(Status::err_unsupported, method + "which in this version needs causal; causal is 0");
  if (problem.n_q() != problem.n_k()) {
    throw Error(Status::err_unsupported,
                method + "which needs n_q = n_k; q has " + text(problem.n_q()) + " rows and k " + text(problem.n_k()));
  }
  if (problem.causal_offset != problem.key_offset) {
    throw Error(Status::err_unsupported, method + "which needs query i and key i at one position; causal_offset is " +
                                             text(problem.causal_offset) + " and key_offset " + text(problem.key_offset));
  }
  if (problem.key_ranges.data != nullptr) throw Error(Status::err_unsupported, method + "which takes no key_ranges");
  check_conv_options(options, problem.n_q());
}

template <class T>
attention::ConvBasis<T> basis_of_problem(Execution& run, const attention::Problem<T>& problem, const subquad_options& options,
                                         CallReport& call) {
  auto basis = find_conv_basis<T>(run, problem.q, problem.k, problem.scale, options, &call.values());
  return problem.has_bias() ? attention::conv_add_lag_bias<T>(basis, problem.lag_bias, problem.lag_min) : std::move(basis);
}

template <class T>
void conv_attention(Execution& run, const attention::ConvBasis<T>& basis, const View<const T, 4>& v,
                    const subquad_options& options, CallReport& call, const View<T, 4>& o, const View<T, 3>& lse) {
  const attention::ConvSettings settings{
      {attention::ConvWeights::softmax, options.get_int(SUBQUAD_OPTION_STRICT_CAUSAL) != 0}, checks_values(options), "o"};
  call.set_effort(attention::conv_forward<T>(run, basis, settings, v, o, lse));
}

template <class T>
const char* conv_attention_backward(Execution& run, const attention::ConvBasis<T>& basis, const attention::Problem<T>& problem,
                                    const subquad_options& options, CallReport& call, const View<const T, 4>& d_o,
                                    const attention::Gradients<T>& gradients) {
  if (options.is_set(SUBQUAD_OPTION_BACKWARD) && options.get_int(SUBQUAD_OPTION_BACKWARD) == SUBQUAD_METHOD_AUTO)
    throw Error(Status::err_value, "backward is auto, not exact or conv_basis");
  const bool by_basis = options.is_set(SUBQUAD_OPTION_BACKWARD)
                            ? options.get_int(SUBQUAD_OPTION_BACKWARD) == SUBQUAD_METHOD_CONV_BASIS
                            : attention::conv_backward_is_faster<T>(run.target, basis, problem);
  if (!by_basis) {
    attention::exact_gradients<T>(run, problem, checks_values(options), d_o, gradients);
    return "exact";
  }
  call.set_effort(attention::conv_backward<T>(run, basis, problem, checks_values(options), d_o, gradients));
  return "conv_basis";
}

#define SUBQUAD_INSTANTIATE(T)                                                                                                 \
  template void check_conv_problem<T>(const attention::Problem<T>&, const subquad_options&);                                   \
  template attention::ConvBasis<T> basis_of_problem<T>(Execution&, const attention::Problem<T>&, const subquad_options&,       \
                                                       CallReport&);                                                           \
  template void conv_attention<T>(Execution&, const attention::ConvBasis<T>&, const View<const T, 4>&, const subquad_options&, \
                                  CallReport&, const View<T, 4>&, const View<T, 3>&);                                          \
  template const char* conv_attention_backward<T>(Execution&, const attention::ConvBasis<T>&, const attention::Problem<T>&,    \
                                                  const subquad_options&, CallReport&, const View<const T, 4>&,                \
                                                  const attention::Gradients<T>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::capi
