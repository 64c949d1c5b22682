// Conv bases from queries and keys.
#include <cmath>

#include "capi/arrays.hpp"
#include "capi/barrier.hpp"
#include "capi/call_report.hpp"
#include "capi/context.hpp"
#include "capi/conv_options.hpp"
#include "core/base/text.hpp"

using namespace subquad;
using capi::Argument;

namespace {

// Queries and keys of one length, their heads grouped.
void check_queries_and_keys(const Argument& q, const Argument& k) {
  capi::check_array(q, 2, SUBQUAD_MAX_NDIM);
  capi::check_floating(q);
  capi::check_array(k, 2, SUBQUAD_MAX_NDIM);
  capi::check_dtype(k, q->dtype, "as q");
  if (q.extent(1) == 0)
    throw Error(Status::err_shape, "q has shape " + capi::shape_text(*q.array) + ": d, its last extent, is 0");
  std::vector<int64_t> k_shape(q->shape, q->shape + q->ndim);
  if (k->ndim == q->ndim && q->ndim > 2) k_shape[static_cast<size_t>(q->ndim - 3)] = k.extent(3);
  capi::check_shape(k, k_shape, "to fit q (same batch, n and d)");
  const int64_t q_heads = q.extent(3), k_heads = k.extent(3);
  if (k_heads == 0 ? q_heads != 0 : q_heads % k_heads != 0) {
    throw Error(Status::err_shape, "q has " + text(q_heads) + " heads, not a multiple of the " + text(k_heads) + " of k");
  }
  int64_t pairs = 1;
  for (const int64_t extent : {q.extent(4), q_heads, q.extent(2), q.extent(2)}) {
    if (__builtin_mul_overflow(pairs, extent, &pairs) || pairs > INT64_MAX / 4) {
      throw Error(Status::err_size, "q has shape " + capi::shape_text(*q.array) + ": more pairs than can be counted");
    }
  }
}

double scale_of(const subquad_options& options, const Argument& q) {
  return options.is_set(SUBQUAD_OPTION_SCALE) ? options.get_float(SUBQUAD_OPTION_SCALE)
                                              : 1 / std::sqrt(static_cast<double>(q.extent(1)));
}

// Finder: <T>(run, q, k, scale, options, extra) -> ConvBasis<T>, after `check_options(options, n)`.
template <class Check, class Finder>
subquad_status find(subquad_context* context, const subquad_options* given, const Argument& q, const Argument& k,
                    subquad_conv_basis** basis_out, subquad_report* report, const Check& check_options, const Finder& finder) {
  return capi::guarded([&] {
    *capi::required(basis_out, "basis_out") = nullptr;
    const capi::ContextUse use(context);
    capi::CallReport call;
    const subquad_options& options = capi::options_or_default(given);
    check_queries_and_keys(q, k);
    check_options(options, q.extent(2));
    Execution run = use.execution();
    auto basis = std::make_unique<subquad_conv_basis>();
    capi::with_floating(q->dtype, [&](auto zero) {
      using T = decltype(zero);
      if (options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0) {
        for (const Argument& argument : {q, k}) capi::check_finite<T>(run, argument);
      }
      basis->basis =
          finder(run, capi::view_of<const T, 4>(q), capi::view_of<const T, 4>(k), scale_of(options, q), options, &call.values());
    });
    const int64_t n = q.extent(2);
    call.write(report, run, "conv_basis", q.extent(4) * q.extent(3) * (n * (n + 1) / 2));
    *basis_out = basis.release();
  });
}

void check_fit_options(const subquad_options& options, int64_t) {
  const bool bases = options.is_set(SUBQUAD_OPTION_BASES), tol = options.is_set(SUBQUAD_OPTION_TOL);
  if (bases && tol) {
    throw Error(Status::err_conflict, "bases is " + text(options.get_int(SUBQUAD_OPTION_BASES)) + " and tol " +
                                          text(options.get_float(SUBQUAD_OPTION_TOL)) + ": a fit takes one of the two");
  }
  if (!bases && !tol) throw Error(Status::err_conflict, "bases and tol are unset: a fit takes one of the two");
}

}  // namespace

subquad_status subquad_conv_basis_recover(subquad_context* context, const subquad_options* options, const subquad_array* q,
                                          const subquad_array* k, subquad_conv_basis** basis_out, subquad_report* report) {
  return find(context, options, {"q", q}, {"k", k}, basis_out, report, capi::check_recover_options,
              [](Execution& run, const auto& queries, const auto& keys, double scale, const subquad_options& checked,
                 subquad_report* extra) { return capi::recover(run, queries, keys, scale, checked, extra); });
}

subquad_status subquad_conv_basis_fit(subquad_context* context, const subquad_options* options, const subquad_array* q,
                                      const subquad_array* k, subquad_conv_basis** basis_out, subquad_report* report) {
  return find(context, options, {"q", q}, {"k", k}, basis_out, report, check_fit_options,
              [](Execution& run, const auto& queries, const auto& keys, double scale, const subquad_options& checked,
                 subquad_report* extra) { return capi::fit(run, queries, keys, scale, checked, extra); });
}
