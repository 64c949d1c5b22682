// Exact attention, its gradients, merging and filling, with views of every kind.
#include "calls.hpp"

using namespace fuzz;

namespace {

// Extents of a call: shapes that fit together, from which the views may then depart.
struct Problem {
  explicit Problem(Bytes& bytes)
      : dtype(floating(bytes)),
        ndim(bytes.between(2, 4)),
        batch(size(bytes, 3)),
        heads_kv(size(bytes, 3)),
        heads_q(heads_kv * bytes.between(1, 3)),
        n_q(size(bytes, 70)),
        n_k(bytes.flag() ? n_q : size(bytes, 130)),
        d(size(bytes, 20)),
        d_v(size(bytes, 20)) {}

  std::vector<int64_t> shape(int64_t heads, std::vector<int64_t> last) const {
    if (ndim > 2) last.insert(last.begin(), heads);
    if (ndim > 3) last.insert(last.begin(), batch);
    return last;
  }

  int32_t dtype, ndim;
  int64_t batch, heads_kv, heads_q, n_q, n_k, d, d_v;
};

const std::vector<int32_t> kLikely = {SUBQUAD_OPTION_CAUSAL,  SUBQUAD_OPTION_CAUSAL_OFFSET, SUBQUAD_OPTION_SCALE,
                                      SUBQUAD_OPTION_LAG_MIN, SUBQUAD_OPTION_KEY_OFFSET,    SUBQUAD_OPTION_CHECK_FINITE};

void attend(Bytes& bytes) {
  const Problem p(bytes);
  const Run run(bytes);
  const int64_t visible = p.ndim == 2 ? 1 : p.heads_q;
  Options options(bytes, kLikely);
  const View q(bytes, p.dtype, p.shape(p.heads_q, {p.n_q, p.d})), k(bytes, p.dtype, p.shape(p.heads_kv, {p.n_k, p.d})),
      v(bytes, p.dtype, p.shape(p.heads_kv, {p.n_k, p.d_v})), o(bytes, p.dtype, p.shape(p.heads_q, {p.n_q, p.d_v}), true),
      lse(bytes, p.dtype, p.shape(p.heads_q, {p.n_q}), true);
  const bool biased = bytes.between(0, 3) == 0, ranged = bytes.between(0, 3) == 0;
  const int64_t lags = p.n_q + p.n_k;
  if (biased) options.set(SUBQUAD_OPTION_LAG_MIN, -lags / 2);
  const View bias(bytes, p.dtype, {bytes.flag() ? visible : 1, 2 * lags}),
      ranges(bytes, SUBQUAD_INT64, {p.ndim == 4 && bytes.flag() ? p.batch : 1, 2});
  const subquad_array* b = biased ? bias.get() : nullptr;
  const subquad_array* r = ranged ? ranges.get() : nullptr;
  const subquad_array* l = bytes.flag() ? lse.get() : nullptr;
  // Sometimes an output is an input.
  const subquad_array* out = bytes.once_in(32) ? v.get() : o.get();
  expect_untouched(expect(subquad_attention(run.context, options, q, k, v, b, r, out, l, run.report), "attention"),
                   {&o, &lse, &v});
  if (bytes.flag()) return;
  const View d_o(bytes, p.dtype, p.shape(p.heads_q, {p.n_q, p.d_v})), dq(bytes, p.dtype, p.shape(p.heads_q, {p.n_q, p.d}), true),
      dk(bytes, p.dtype, p.shape(p.heads_kv, {p.n_k, p.d}), true), dv(bytes, p.dtype, p.shape(p.heads_kv, {p.n_k, p.d_v}), true),
      db(bytes, p.dtype, {1, 2 * lags}, true);
  const subquad_status status = subquad_attention_backward(run.context, options, q, k, v, b, r, o, lse, d_o, dq, dk, dv,
                                                           biased ? db.get() : nullptr, run.report);
  expect_untouched(expect(status, "attention_backward"), {&dq, &dk, &dv, &db});
}

void merge(Bytes& bytes) {
  const Problem p(bytes);
  const Run run(bytes);
  const Options options(bytes, {SUBQUAD_OPTION_CHECK_FINITE});
  const auto o_shape = p.shape(p.heads_q, {p.n_q, p.d_v}), lse_shape = p.shape(p.heads_q, {p.n_q});
  const View o(bytes, p.dtype, o_shape, true), lse(bytes, p.dtype, lse_shape, true), first(bytes, p.dtype, o_shape),
      second(bytes, p.dtype, o_shape), first_lse(bytes, p.dtype, lse_shape), second_lse(bytes, p.dtype, lse_shape);
  if (!first.get() || !second.get() || !first_lse.get() || !second_lse.get()) return;  // the parts lie in C arrays
  const subquad_array parts[] = {*first.get(), *second.get()}, lse_parts[] = {*first_lse.get(), *second_lse.get()};
  const int64_t counts[] = {2, 1, 0, -1, INT64_MIN};  // those above two would read past the parts
  const bool in_place = bytes.between(0, 3) == 0;
  const int64_t count = bytes.pick(counts);
  expect(subquad_attention_merge(run.context, options, count, parts, lse_parts, in_place ? first.get() : o.get(),
                                 in_place ? first_lse.get() : lse.get()),
         "attention_merge");
}

void fill_uniform(Bytes& bytes) {
  const View x(bytes, floating(bytes), {size(bytes, 9), size(bytes, 9), size(bytes, 9), size(bytes, 9)}, true);
  const auto seed = bytes.number<uint64_t>(), stream = bytes.number<uint64_t>();
  const double low = any_double(bytes), high = any_double(bytes);
  expect_untouched(expect(subquad_fill_uniform(x, seed, stream, low, high), "fill_uniform"), {&x});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  Bytes bytes(data, count);
  switch (bytes.between(0, 7)) {
    case 0:
      merge(bytes);
      break;
    case 1:
      fill_uniform(bytes);
      break;
    default:
      attend(bytes);
  }
  return 0;
}
