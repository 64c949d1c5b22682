// How a conv basis is found from queries and keys: by recovery or by a fit, as the options say.
#pragma once

#include "capi/conv_basis.hpp"
#include "capi/options.hpp"
#include "capi/report.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::capi {

// Throws unless the options make a recovery for sequences of length n.
void check_recover_options(const subquad_options& options, int64_t n);

// Throws unless the options make a recovery (conv_window and conv_delta set) or a fit with a given number of bases (neither set).
void check_conv_options(const subquad_options& options, int64_t n);

// The basis of M * (scale q k') that checked options ask for, and in `extra`, unless NULL, what there is to report of it.
template <class T>
attention::ConvBasis<T> recover(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                                const subquad_options& options, subquad_report* extra);
template <class T>
attention::ConvBasis<T> fit(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                            const subquad_options& options, subquad_report* extra);

// One or the other.
template <class T>
attention::ConvBasis<T> find_conv_basis(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                                        const subquad_options& options, subquad_report* extra);

}  // namespace subquad::capi
