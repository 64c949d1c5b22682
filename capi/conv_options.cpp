#include "capi/conv_options.hpp"

#include <cmath>

#include "core/attention/conv_fit.hpp"
#include "core/attention/conv_recover.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace subquad::capi {

namespace {

void require(const subquad_options& options, int32_t option, const char* name, const char* why) {
  if (!options.is_set(option)) throw Error(Status::err_conflict, std::string(name) + " is unset: " + why);
}

bool recovers(const subquad_options& options) {
  return options.is_set(SUBQUAD_OPTION_CONV_WINDOW) && options.is_set(SUBQUAD_OPTION_CONV_DELTA);
}

void check_recovery(const subquad_options& options, int64_t n) {
  const int64_t window = options.get_int(SUBQUAD_OPTION_CONV_WINDOW);
  const double delta = options.get_float(SUBQUAD_OPTION_CONV_DELTA), eps = options.get_float(SUBQUAD_OPTION_CONV_EPS);
  if (window > n && n > 0) {
    throw Error(Status::err_value, "conv_window is " + text(window) + ", more than n = " + text(n));
  }
  if (delta == 0) throw Error(Status::err_value, "conv_delta is 0, not positive");
  const double most = delta / (5 * static_cast<double>(window));
  if (eps > most) {
    throw Error(Status::err_value, "conv_eps is " + text(eps) + ", more than conv_delta / (5 conv_window) = " + text(most));
  }
}

template <class T>
std::vector<int64_t> bases_of(const attention::ConvBasis<T>& basis) {
  std::vector<int64_t> bases;
  for (const auto& head : basis.list) bases.push_back(head.bases());
  return bases;
}

}  // namespace

void check_recover_options(const subquad_options& options, int64_t n) {
  constexpr char kWhy[] = "recovery needs bases, conv_window and conv_delta";
  if (options.is_set(SUBQUAD_OPTION_TOL))
    throw Error(Status::err_conflict,
                "tol is " + text(options.get_float(SUBQUAD_OPTION_TOL)) + ": recovery takes none, a fit does");
  require(options, SUBQUAD_OPTION_BASES, "bases", kWhy);
  require(options, SUBQUAD_OPTION_CONV_WINDOW, "conv_window", kWhy);
  require(options, SUBQUAD_OPTION_CONV_DELTA, "conv_delta", kWhy);
  check_recovery(options, n);
}

void check_conv_options(const subquad_options& options, int64_t n) {
  require(options, SUBQUAD_OPTION_BASES, "bases", "method conv_basis needs the most bases of a head");
  if (recovers(options)) return check_recovery(options, n);
  const char* const why = "recovery needs both; a fit takes bases alone";
  if (options.is_set(SUBQUAD_OPTION_CONV_WINDOW)) {
    throw Error(Status::err_conflict,
                "conv_window is " + text(options.get_int(SUBQUAD_OPTION_CONV_WINDOW)) + ", but conv_delta is unset: " + why);
  }
  if (options.is_set(SUBQUAD_OPTION_CONV_DELTA)) {
    throw Error(Status::err_conflict,
                "conv_delta is " + text(options.get_float(SUBQUAD_OPTION_CONV_DELTA)) + ", but conv_window is unset: " + why);
  }
  if (const double eps = options.get_float(SUBQUAD_OPTION_CONV_EPS); eps > 0) {
    throw Error(Status::err_conflict,
                "conv_eps is " + text(eps) + ", but conv_window and conv_delta are unset: only recovery takes it");
  }
}

template <class T>
attention::ConvBasis<T> recover(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                                const subquad_options& options, subquad_report* extra) {
  attention::RecoveryCounts counts;
  const attention::RecoveryLimits limits{options.get_int(SUBQUAD_OPTION_BASES), options.get_int(SUBQUAD_OPTION_CONV_WINDOW),
                                         options.get_float(SUBQUAD_OPTION_CONV_DELTA)};
  auto basis = attention::recover_conv_basis<T>(run, q, k, scale, limits, &counts);
  if (extra != nullptr) {
    extra->set(SUBQUAD_REPORT_BASES, bases_of(basis));
    extra->set<int64_t>(SUBQUAD_REPORT_PROBES, counts.probes);
    extra->set<int64_t>(SUBQUAD_REPORT_COLUMNS, counts.columns);
    extra->set<double>(SUBQUAD_REPORT_ERROR_BOUND, 2 * std::tanh(options.get_float(SUBQUAD_OPTION_CONV_EPS)));
  }
  return basis;
}

template <class T>
attention::ConvBasis<T> fit(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                            const subquad_options& options, subquad_report* extra) {
  attention::FitRequest request{0, std::nullopt, static_cast<uint64_t>(options.get_int(SUBQUAD_OPTION_SEED))};
  if (options.is_set(SUBQUAD_OPTION_BASES)) {
    request.bases = options.get_int(SUBQUAD_OPTION_BASES);
  } else {
    request.tol = options.get_float(SUBQUAD_OPTION_TOL);
  }
  attention::FitErrors errors;
  auto basis = attention::fit_conv_basis<T>(run, q, k, scale, request, &errors);
  if (extra != nullptr) {
    extra->set(SUBQUAD_REPORT_BASES, bases_of(basis));
    extra->set(SUBQUAD_REPORT_ERROR_MEAN, errors.mean);
    extra->set(SUBQUAD_REPORT_ERROR_MAX, errors.max);
    extra->set<int64_t>(SUBQUAD_REPORT_SAMPLED_ROWS, errors.rows);
  }
  return basis;
}

template <class T>
attention::ConvBasis<T> find_conv_basis(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                                        const subquad_options& options, subquad_report* extra) {
  return recovers(options) ? recover<T>(run, q, k, scale, options, extra) : fit<T>(run, q, k, scale, options, extra);
}

#define SUBQUAD_INSTANTIATE(T)                                                                                              \
  template attention::ConvBasis<T> find_conv_basis<T>(Execution&, const View<const T, 4>&, const View<const T, 4>&, double, \
                                                      const subquad_options&, subquad_report*);                             \
  template attention::ConvBasis<T> recover<T>(Execution&, const View<const T, 4>&, const View<const T, 4>&, double,         \
                                              const subquad_options&, subquad_report*);                                     \
  template attention::ConvBasis<T> fit<T>(Execution&, const View<const T, 4>&, const View<const T, 4>&, double,             \
                                          const subquad_options&, subquad_report*);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::capi
