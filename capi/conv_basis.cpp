// Conv bases: made from arrays, copied out, transformed.
#include "capi/conv_basis.hpp"

#include <algorithm>
#include <cmath>

#include "capi/arrays.hpp"
#include "capi/barrier.hpp"
#include "capi/context.hpp"
#include "capi/options.hpp"
#include "core/attention/conv_forms.hpp"
#include "core/base/text.hpp"

using namespace subquad;
using attention::ConvKernels;
using capi::Argument;
using capi::required;

namespace {

constexpr int64_t kChunk = int64_t{1} << 15;  // entries between two looks at the callback

ConvKernels kernel_form(const subquad_options& options) {
  return options.get_int(SUBQUAD_OPTION_CUMULATIVE) != 0 ? ConvKernels::cumulative : ConvKernels::increments;
}

void check_starts(const Argument& starts, int64_t n) {
  const auto view = capi::view_of<const int64_t, 3>(starts);
  for (int64_t b = 0; b < view.shape[0]; ++b) {
    for (int64_t h = 0; h < view.shape[1]; ++h) {
      int64_t last = -1;
      for (int64_t r = 0; r < view.shape[2]; ++r) {
        const int64_t start = *view.at(b, h, r);
        if ((start > last && start < n && start >= 0) || start == n) {
          last = start;
          continue;
        }
        throw Error(Status::err_value, "starts[batch " + std::to_string(b) + ", head " + std::to_string(h) + ", basis " +
                                           std::to_string(r) + "] is " + std::to_string(start) +
                                           ": starts must increase strictly in [0, " + std::to_string(n) +
                                           "), n itself marking bases that are absent");
      }
    }
  }
}

std::vector<int64_t> without_last(const Argument& argument) { return {argument->shape, argument->shape + argument->ndim - 1}; }

void check_kernels(const Argument& starts, const Argument& kernels) {
  capi::check_array(kernels, 2, SUBQUAD_MAX_NDIM);
  capi::check_floating(kernels);
  capi::check_array(starts, 1, SUBQUAD_MAX_NDIM - 1);
  capi::check_dtype(starts, SUBQUAD_INT64, "(first columns of the bases)");
  capi::check_shape(starts, without_last(kernels), "to fit kernels ([.., k] for [.., k, n])");
}

// Entries that have a meaning, and no others, must be finite.
template <class T>
void check_entries(Execution& run, const Argument& starts, const Argument& kernels) {
  const auto firsts = capi::view_of<const int64_t, 3>(starts);
  const auto view = capi::view_of<const T, 4>(kernels);
  Monitor monitor(run.ticker, 0);
  for (int64_t b = 0; b < view.shape[0]; ++b) {
    for (int64_t h = 0; h < view.shape[1]; ++h) {
      for (int64_t r = 0; r < view.shape[2]; ++r) {
        for (int64_t lag = 0; lag < view.shape[3] - *firsts.at(b, h, r); ++lag) {
          if (lag % kChunk == 0) monitor.advance(0);
          const T value = *view.at(b, h, r, lag);
          if (std::isfinite(value)) continue;
          throw Error(Status::err_nonfinite,
                      capi::element_text(kernels, {b, h, r, lag}) + " is " + capi::nonfinite_text(static_cast<double>(value)));
        }
      }
    }
  }
}

template <class T>
void check_lower_triangular(Execution& run, const Argument& h) {
  const auto view = capi::view_of<const T, 4>(h);
  Monitor monitor(run.ticker, 0);
  for (int64_t b = 0; b < view.shape[0]; ++b) {
    for (int64_t head = 0; head < view.shape[1]; ++head) {
      for (int64_t i = 0; i < view.shape[2]; ++i) {
        for (int64_t j = i + 1; j < view.shape[3]; ++j) {
          if (j % kChunk == 0) monitor.advance(0);
          const T value = *view.at(b, head, i, j);
          if (value == 0) continue;
          throw Error(Status::err_value, capi::element_text(h, {b, head, i, j}) + " is " + text(static_cast<double>(value)) +
                                             ", above the diagonal of a matrix that must be lower triangular");
        }
        monitor.advance(0);
      }
    }
  }
}

}  // namespace

subquad_array subquad_conv_basis::kernels_array() const {
  subquad_array array{};
  array.dtype = basis.index() == 0 ? SUBQUAD_FLOAT32 : SUBQUAD_FLOAT64;
  array.ndim = 4;
  visit([&](const auto& typed) {
    const int64_t shape[] = {typed.batch, typed.heads, typed.most_bases(), typed.n};
    std::copy(shape, shape + 4, array.shape);
  });
  array.strides[3] = 1;
  for (int axis = 2; axis >= 0; --axis) array.strides[axis] = array.strides[axis + 1] * array.shape[axis + 1];
  return array;
}

void subquad_conv_basis::check_operand(const Argument& argument, Heads heads) const {
  capi::check_array(argument, 2, SUBQUAD_MAX_NDIM);
  const subquad_array own = kernels_array();
  capi::check_dtype(argument, own.dtype, "as the basis");
  const int64_t given = argument.extent(3), wanted = own.shape[1];
  const bool fits = heads == Heads::same ? given == wanted : (given == 0 ? wanted == 0 : wanted % given == 0);
  if (argument.extent(4) == own.shape[0] && fits && argument.extent(2) == own.shape[3]) return;
  throw Error(Status::err_shape, std::string(argument.name) + " has shape " + capi::shape_text(*argument.array) +
                                     "; the basis has batch " + std::to_string(own.shape[0]) + ", heads " +
                                     std::to_string(wanted) + ", n " + std::to_string(own.shape[3]));
}

subquad_status subquad_conv_basis_create(subquad_context* context, const subquad_options* options, const subquad_array* starts,
                                         const subquad_array* kernels, subquad_conv_basis** basis_out) {
  return capi::guarded([&] {
    *required(basis_out, "basis_out") = nullptr;
    const capi::ContextUse use(context);
    const subquad_options& settings = capi::options_or_default(options);
    const Argument starts_input{"starts", starts}, kernels_input{"kernels", kernels};
    check_kernels(starts_input, kernels_input);
    check_starts(starts_input, kernels_input.extent(1));
    Execution run = use.execution();
    capi::with_floating(kernels->dtype, [&](auto zero) {
      using T = decltype(zero);
      if (settings.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0) check_entries<T>(run, starts_input, kernels_input);
      *basis_out = new subquad_conv_basis{attention::conv_from_kernels<T>(
          run, capi::view_of<const int64_t, 3>(starts_input), capi::view_of<const T, 4>(kernels_input), kernel_form(settings))};
    });
  });
}

subquad_status subquad_conv_basis_from_dense(subquad_context* context, const subquad_options* options, const subquad_array* h,
                                             subquad_conv_basis** basis_out) {
  return capi::guarded([&] {
    *required(basis_out, "basis_out") = nullptr;
    const capi::ContextUse use(context);
    const Argument input{"h", h};
    capi::check_array(input, 2, SUBQUAD_MAX_NDIM);
    capi::check_floating(input);
    if (input.extent(1) != input.extent(2))
      throw Error(Status::err_shape, "h has shape " + capi::shape_text(*h) + ", whose last two extents differ");
    Execution run = use.execution();
    capi::with_floating(h->dtype, [&](auto zero) {
      using T = decltype(zero);
      if (capi::options_or_default(options).get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0) capi::check_finite<T>(run, input);
      check_lower_triangular<T>(run, input);
      *basis_out = new subquad_conv_basis{attention::conv_from_dense<T>(run, capi::view_of<const T, 4>(input))};
    });
  });
}

void subquad_conv_basis_destroy(subquad_conv_basis* basis) { delete basis; }

subquad_status subquad_conv_basis_describe(const subquad_conv_basis* basis, subquad_array* kernels_out) {
  return capi::guarded([&] {
    required(basis, "basis");
    *required(kernels_out, "kernels_out") = basis->kernels_array();
  });
}

subquad_status subquad_conv_basis_get(const subquad_conv_basis* basis, const subquad_options* options,
                                      const subquad_array* starts, const subquad_array* kernels) {
  return capi::guarded([&] {
    required(basis, "basis");
    const Argument starts_output{"starts", starts}, kernels_output{"kernels", kernels};
    const subquad_array fitting = basis->kernels_array();
    if (starts_output) {
      capi::check_array(starts_output, 3, 3);
      capi::check_dtype(starts_output, SUBQUAD_INT64, "(first columns of the bases)");
      capi::check_shape(starts_output, {fitting.shape, fitting.shape + 3}, "([batch, heads, k])");
    }
    if (kernels_output) {
      capi::check_array(kernels_output, 4, 4);
      capi::check_dtype(kernels_output, fitting.dtype, "as the basis");
      capi::check_shape(kernels_output, {fitting.shape, fitting.shape + 4}, "([batch, heads, k, n])");
      capi::check_output(kernels_output, {});
    }
    if (starts_output) capi::check_output(starts_output, {kernels_output});
    basis->visit([&](const auto& typed) {
      using T = typename std::decay_t<decltype(typed)>::value_type;
      attention::conv_to_kernels<T>(typed, kernel_form(capi::options_or_default(options)),
                                    capi::view_of<int64_t, 3>(starts_output), capi::view_of<T, 4>(kernels_output));
    });
  });
}

subquad_status subquad_conv_basis_exp(subquad_context* context, const subquad_conv_basis* basis, subquad_conv_basis** basis_out) {
  return capi::guarded([&] {
    *required(basis_out, "basis_out") = nullptr;
    const capi::ContextUse use(context);
    required(basis, "basis");
    Execution run = use.execution();
    basis->visit([&](const auto& typed) { *basis_out = new subquad_conv_basis{attention::conv_exp(run, typed)}; });
  });
}

subquad_status subquad_conv_basis_to_dense(subquad_context* context, const subquad_conv_basis* basis, const subquad_array* h) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    required(basis, "basis");
    const Argument output{"h", h};
    basis->check_operand(output, subquad_conv_basis::Heads::same);
    if (output.extent(1) != output.extent(2))
      throw Error(Status::err_shape, "h has shape " + capi::shape_text(*h) + ", whose last two extents differ");
    capi::check_output(output, {});
    Execution run = use.execution();
    basis->visit([&](const auto& typed) {
      using T = typename std::decay_t<decltype(typed)>::value_type;
      attention::conv_to_dense<T>(run, typed, capi::view_of<T, 4>(output));
    });
  });
}
