// Attention by method conv_basis: a basis found from q and k, and what is computed with it.
#pragma once

#include "capi/call_report.hpp"
#include "capi/options.hpp"
#include "core/attention/conv_basis.hpp"
#include "core/attention/exact.hpp"
#include "core/attention/problem.hpp"

namespace subquad::capi {

// Throws unless the problem is one that the method serves: causal, n_q = n_k, no offset, no key ranges; and the options fit.
template <class T>
void check_conv_problem(const attention::Problem<T>& problem, const subquad_options& options);

// The basis of the problem's logits, lag bias included.
template <class T>
attention::ConvBasis<T> basis_of_problem(Execution& run, const attention::Problem<T>& problem, const subquad_options& options,
                                         CallReport& call);

template <class T>
void conv_attention(Execution& run, const attention::ConvBasis<T>& basis, const View<const T, 4>& v,
                    const subquad_options& options, CallReport& call, const View<T, 4>& o, const View<T, 3>& lse);

// By the basis or by exact attention, as BACKWARD or else the cost says; returns the name of the method that ran.
template <class T>
const char* conv_attention_backward(Execution& run, const attention::ConvBasis<T>& basis, const attention::Problem<T>& problem,
                                    const subquad_options& options, CallReport& call, const View<const T, 4>& d_o,
                                    const attention::Gradients<T>& gradients);

}  // namespace subquad::capi
