#include "capi/attention_arguments.hpp"

#include <cmath>

#include "capi/generated/tables.hpp"
#include "core/base/text.hpp"

namespace subquad::capi {

void AttentionArguments::check() const {
  check_array(q, 2, SUBQUAD_MAX_NDIM);
  check_floating(q);
  for (const Argument& argument : {k, v}) {
    check_array(argument, 2, SUBQUAD_MAX_NDIM);
    check_dtype(argument, q->dtype, "as q");
    if (argument->ndim != q->ndim) {
      throw Error(Status::err_shape, std::string(argument.name) + " has " + std::to_string(argument->ndim) +
                                         " dimensions, q has " + std::to_string(q->ndim));
    }
  }
  if (q.extent(1) == 0) throw Error(Status::err_shape, "q has shape " + shape_text(*q.array) + ": d, its last extent, is 0");
  std::vector<int64_t> k_shape(k->shape, k->shape + k->ndim), v_shape = k_shape;
  if (q->ndim == SUBQUAD_MAX_NDIM) k_shape[0] = v_shape[0] = q->shape[0];
  k_shape.back() = q.extent(1);
  v_shape.back() = v.extent(1);
  check_shape(k, k_shape, "to fit q (same batch and d)");
  check_shape(v, v_shape, "to fit k (same batch, heads and n_k)");
  const int64_t q_heads = q.extent(3), kv_heads = k.extent(3);
  if (kv_heads == 0 ? q_heads != 0 : q_heads % kv_heads != 0) {
    throw Error(Status::err_shape,
                "q has " + std::to_string(q_heads) + " heads, not a multiple of the " + std::to_string(kv_heads) + " of k");
  }
  int64_t pairs = 1;
  for (const int64_t extent : {q.extent(4), q_heads, q.extent(2), k.extent(2)}) {
    if (__builtin_mul_overflow(pairs, extent, &pairs) || pairs > INT64_MAX / 4) {
      throw Error(Status::err_size,
                  "q has shape " + shape_text(*q.array) + " and k " + shape_text(*k.array) + ": more pairs than can be counted");
    }
  }
  if (lag_bias) check_lag_bias();
  if (key_ranges) check_key_ranges();
  check_options();
}

namespace {

// Whether an option that not every method takes belongs to `method`, where it says something.
bool takes(int64_t method, int32_t option) {
  switch (option) {
    case SUBQUAD_OPTION_TOL:
    case SUBQUAD_OPTION_BUDGET:
    case SUBQUAD_OPTION_ESTIMATE:
    case SUBQUAD_OPTION_PARTS:
      return method == SUBQUAD_METHOD_AUTO;
    case SUBQUAD_OPTION_BASES:
    case SUBQUAD_OPTION_CONV_WINDOW:
    case SUBQUAD_OPTION_CONV_DELTA:
    case SUBQUAD_OPTION_CONV_EPS:
    case SUBQUAD_OPTION_BACKWARD:
      return method == SUBQUAD_METHOD_CONV_BASIS;
    default:
      return true;
  }
}

// Set, and to something other than its default.
bool says_something(const subquad_options& options, int32_t option) {
  if (option == SUBQUAD_OPTION_CONV_EPS) return options.get_float(option) > 0;
  if (option == SUBQUAD_OPTION_PARTS) return options.get_int(option) != subquad_options().get_int(option);
  return options.is_set(option);
}

}  // namespace

void check_method_options(const subquad_options& options) {
  const int64_t method = options.get_int(SUBQUAD_OPTION_METHOD);
  for (const auto& row : tables::kOptions) {
    if (!says_something(options, row.id) || takes(method, row.id)) continue;
    throw Error(Status::err_conflict, std::string(row.name) + " is " + options.value_text(row.id) + ", but method is " +
                                          options.value_text(SUBQUAD_OPTION_METHOD) + ", which takes none");
  }
}

void AttentionArguments::check_options() const {
  check_method_options(options);
  const bool uses_lags = options.get_int(SUBQUAD_OPTION_CAUSAL) != 0 || lag_bias;
  if (uses_lags && q.extent(2) != k.extent(2) && !options.is_set(SUBQUAD_OPTION_CAUSAL_OFFSET)) {
    throw Error(Status::err_conflict,
                "causal_offset is unset, but n_q = " + std::to_string(q.extent(2)) + " and n_k = " + std::to_string(k.extent(2)) +
                    " differ: say where query 0 stands (0: with key 0; n_k - n_q: the last " + "query with the last key)");
  }
}

void AttentionArguments::check_lag_bias() const {
  const std::string advice =
      ": a dense mask is not supported; use causal, causal_offset, key_ranges, or a lag_bias of shape [heads or 1, lags]";
  const bool dense =
      lag_bias->ndim > 2 || (lag_bias->ndim == 2 && lag_bias->shape[0] == q.extent(2) && lag_bias->shape[1] == k.extent(2) &&
                             lag_bias->shape[0] != 1 && lag_bias->shape[0] != q.extent(3));
  if (lag_bias->ndim >= 1 && lag_bias->ndim <= SUBQUAD_MAX_NDIM && dense) {
    throw Error(Status::err_unsupported, "lag_bias has shape " + shape_text(*lag_bias.array) + advice);
  }
  check_array(lag_bias, 2, 2);
  check_dtype(lag_bias, q->dtype, "as q");
  if (lag_bias->shape[0] != 1 && lag_bias->shape[0] != q.extent(3)) {
    throw Error(Status::err_shape, "lag_bias has shape " + shape_text(*lag_bias.array) +
                                       ", its first extent is neither 1 nor the " + std::to_string(q.extent(3)) + " heads of q");
  }
}

void AttentionArguments::check_key_ranges() const {
  check_array(key_ranges, 2, 2);
  check_dtype(key_ranges, SUBQUAD_INT64, "(start and end positions)");
  if ((key_ranges->shape[0] != 1 && key_ranges->shape[0] != q.extent(4)) || key_ranges->shape[1] != 2) {
    throw Error(Status::err_shape, "key_ranges has shape " + shape_text(*key_ranges.array) + ", not [1, 2] or [" +
                                       std::to_string(q.extent(4)) + ", 2] (start and end per batch element)");
  }
  const auto view = view_of<const int64_t, 2>(key_ranges);
  for (int64_t b = 0; b < view.shape[0]; ++b) {
    const int64_t start = *view.at(b, 0), end = *view.at(b, 1);
    if (start > end) {
      throw Error(Status::err_value, "key_ranges[" + std::to_string(b) + "] is (" + std::to_string(start) + ", " +
                                         std::to_string(end) + "): start is beyond end");
    }
  }
}

std::vector<int64_t> AttentionArguments::output_shape(int64_t columns) const {
  std::vector<int64_t> shape(q->shape, q->shape + q->ndim);
  shape.back() = columns;
  return shape;
}

std::vector<int64_t> AttentionArguments::lse_shape() const { return {q->shape, q->shape + q->ndim - 1}; }

template <class T>
attention::Problem<T> AttentionArguments::problem(Execution& run) const {
  attention::Problem<T> problem;
  problem.q = view_of<const T, 4>(q);
  problem.k = view_of<const T, 4>(k);
  problem.v = view_of<const T, 4>(v);
  problem.scale = options.is_set(SUBQUAD_OPTION_SCALE) ? options.get_float(SUBQUAD_OPTION_SCALE)
                                                       : 1 / std::sqrt(static_cast<double>(problem.d()));
  problem.causal = options.get_int(SUBQUAD_OPTION_CAUSAL) != 0;
  problem.causal_offset = options.is_set(SUBQUAD_OPTION_CAUSAL_OFFSET) ? options.get_int(SUBQUAD_OPTION_CAUSAL_OFFSET) : 0;
  problem.key_offset = options.get_int(SUBQUAD_OPTION_KEY_OFFSET);
  problem.lag_bias = view_of<const T, 2>(lag_bias);
  problem.lag_min = options.get_int(SUBQUAD_OPTION_LAG_MIN);
  problem.key_ranges = view_of<const int64_t, 2>(key_ranges);

  if (lag_bias) {
    const auto [least, greatest] = problem.visible_lags();
    const int64_t lag_max = problem.lag_min + lag_bias->shape[1] - 1;
    if (least <= greatest && (least < problem.lag_min || greatest > lag_max)) {
      throw Error(Status::err_value, "lag_bias covers lags " + std::to_string(problem.lag_min) + " to " +
                                         std::to_string(lag_max) + ", but visible pairs have lags " + std::to_string(least) +
                                         " to " + std::to_string(greatest));
    }
  }
  if (checks_values()) {
    for (const Argument& argument : {q, k, v, lag_bias}) {
      if (argument) check_finite<T>(run, argument);
    }
  }
  return problem;
}

template attention::Problem<float> AttentionArguments::problem<float>(Execution&) const;
template attention::Problem<double> AttentionArguments::problem<double>(Execution&) const;

}  // namespace subquad::capi
