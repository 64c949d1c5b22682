// Method auto: plans within a tolerance or a budget, applied, differentiated and described.
#include <algorithm>

#include "calls.hpp"

using namespace fuzz;

namespace {

const std::vector<int32_t> kLikely = {SUBQUAD_OPTION_CAUSAL,     SUBQUAD_OPTION_CAUSAL_OFFSET, SUBQUAD_OPTION_SCALE,
                                      SUBQUAD_OPTION_KEY_OFFSET, SUBQUAD_OPTION_CHECK_FINITE,  SUBQUAD_OPTION_METHOD,
                                      SUBQUAD_OPTION_SEED};

void apply(Bytes& bytes, const Run& run, const subquad_plan* plan, const View& v) {
  const Options options(bytes, {SUBQUAD_OPTION_CHECK_FINITE});
  const subquad_array* values = v.get();
  subquad_array o_like{}, lse_like{};
  int64_t n_k = 0, kv_heads = 0;
  const int64_t d_v = values != nullptr ? values->shape[std::max(0, std::min(values->ndim, 4) - 1)] : any_int(bytes);
  if (expect(subquad_plan_describe(plan, d_v, &o_like, &lse_like, &n_k, &kv_heads), "plan_describe") != SUBQUAD_OK) return;
  if (run.report != nullptr) expect(subquad_plan_report(plan, run.report), "plan_report");
  const std::vector<int64_t> o_shape(o_like.shape, o_like.shape + o_like.ndim),
      lse_shape(lse_like.shape, lse_like.shape + lse_like.ndim);
  const View o(bytes, o_like.dtype, o_shape, true), lse(bytes, o_like.dtype, lse_shape, true);
  const subquad_status status =
      subquad_plan_apply(run.context, options, plan, v, o, bytes.flag() ? lse.get() : nullptr, run.report);
  expect_untouched(expect(status, "plan_apply"), {&o, &lse});
  if (bytes.flag() || values == nullptr) return;
  const View d_o(bytes, o_like.dtype, o_shape);
  const int64_t d = bytes.between<int64_t>(1, 8);
  std::vector<int64_t> q_shape(o_shape), k_shape(values->shape, values->shape + std::max(0, std::min(values->ndim, 4)));
  q_shape.back() = d;
  if (!k_shape.empty()) k_shape.back() = d;
  const View dq(bytes, o_like.dtype, q_shape, true), dk(bytes, o_like.dtype, k_shape, true);
  expect_untouched(
      expect(subquad_plan_backward(run.context, options, plan, v, o, lse, d_o, dq, dk, nullptr, run.report), "plan_backward"),
      {&dq, &dk});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  Bytes bytes(data, count);
  const Run run(bytes);
  const int32_t dtype = floating(bytes);
  const int64_t n_q = bytes.flag() ? size(bytes, 1100) : size(bytes, 90), n_k = bytes.flag() ? n_q : size(bytes, 300),
                d = bytes.between<int64_t>(0, 8), d_v = size(bytes, 8), heads = bytes.between(1, 2);
  const std::vector<int64_t> q_shape = heads == 1 ? std::vector{n_q, d} : std::vector{heads, n_q, d};
  Options options(bytes, kLikely);
  if (bytes.flag())
    options.set(SUBQUAD_OPTION_TOL, bytes.between(0, 8) / 8.0);
  else
    options.set(SUBQUAD_OPTION_BUDGET, any_double(bytes));
  if (bytes.flag()) options.set(SUBQUAD_OPTION_PARTS, bytes.between<int64_t>(0, 32));
  if (bytes.flag()) options.set(SUBQUAD_OPTION_ESTIMATE, bytes.between<int64_t>(1, 2));
  if (bytes.flag()) options.set(SUBQUAD_OPTION_STRICT_CAUSAL, int64_t{1});
  const auto of = [&](int64_t n, int64_t columns) {
    return heads == 1 ? std::vector{n, columns} : std::vector{int64_t{1}, n, columns};
  };
  const View q(bytes, dtype, q_shape), k(bytes, dtype, of(n_k, d)), v(bytes, dtype, of(n_k, d_v));
  const bool biased = bytes.between(0, 7) == 0, ranged = bytes.between(0, 7) == 0;
  if (biased) options.set(SUBQUAD_OPTION_LAG_MIN, -(n_q + n_k));
  const View bias(bytes, dtype, {1, 2 * (n_q + n_k)}), ranges(bytes, SUBQUAD_INT64, {1, 2});
  subquad_plan* plan = nullptr;
  const subquad_status status =
      subquad_plan_create(run.context, options, q, k, bytes.flag() ? v.get() : nullptr, biased ? bias.get() : nullptr,
                          ranged ? ranges.get() : nullptr, &plan, run.report);
  expect(status, "plan_create");
  for (int uses = 0; uses < 2 && bytes.left() > 0; ++uses) apply(bytes, run, plan, v);
  subquad_plan_destroy(plan);
  return 0;
}
