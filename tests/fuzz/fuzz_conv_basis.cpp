// Conv bases: made in each way, then read, multiplied, applied and differentiated.
#include "calls.hpp"

using namespace fuzz;

namespace {

const std::vector<int32_t> kLikely = {SUBQUAD_OPTION_CHECK_FINITE, SUBQUAD_OPTION_CUMULATIVE, SUBQUAD_OPTION_STRICT_CAUSAL,
                                      SUBQUAD_OPTION_SCALE,        SUBQUAD_OPTION_BACKWARD,   SUBQUAD_OPTION_SEED};

struct Shapes {
  std::vector<int64_t> leading;
  int64_t n;
  std::vector<int64_t> of(std::vector<int64_t> last) const {
    last.insert(last.begin(), leading.begin(), leading.end());
    return last;
  }
};

subquad_conv_basis* make(Bytes& bytes, const Run& run, const Shapes& s, int32_t dtype) {
  subquad_conv_basis* basis = nullptr;
  Options options(bytes, kLikely);
  const auto way = bytes.between(0, 3);
  if (way == 0) {
    const int64_t k = size(bytes, 5);
    const View starts(bytes, SUBQUAD_INT64, s.of({k})), kernels(bytes, dtype, s.of({k, s.n}));
    expect(subquad_conv_basis_create(run.context, options, starts, kernels, &basis), "conv_basis_create");
  } else if (way == 1) {
    const View h(bytes, dtype, s.of({s.n, s.n}));  // mostly refused for an entry above the diagonal, but where it is 0 or n <= 1
    expect(subquad_conv_basis_from_dense(run.context, options, h, &basis), "conv_basis_from_dense");
  } else {
    const int64_t d = size(bytes, 6);
    const View q(bytes, dtype, s.of({s.n, d})), k(bytes, dtype, s.of({s.n, d}));
    if (bytes.flag())
      options.set(SUBQUAD_OPTION_BASES, bytes.between<int64_t>(0, 9));
    else
      options.set(SUBQUAD_OPTION_TOL, any_double(bytes));
    if (way == 2) {
      expect(subquad_conv_basis_fit(run.context, options, q, k, &basis, run.report), "conv_basis_fit");
    } else {
      options.set(SUBQUAD_OPTION_CONV_WINDOW, bytes.between<int64_t>(0, 9));
      options.set(SUBQUAD_OPTION_CONV_DELTA, any_double(bytes));
      expect(subquad_conv_basis_recover(run.context, options, q, k, &basis, run.report), "conv_basis_recover");
    }
  }
  return basis;
}

void use(Bytes& bytes, const Run& run, const Shapes& s, int32_t dtype, const subquad_conv_basis* basis) {
  const Options options(bytes, kLikely);
  const int64_t columns = size(bytes, 5);
  const auto shape = s.of({s.n, columns});
  subquad_conv_basis* other = nullptr;
  subquad_array kernels{};
  const int64_t bases =
      expect(subquad_conv_basis_describe(basis, &kernels), "conv_basis_describe") == SUBQUAD_OK && kernels.ndim >= 2
          ? kernels.shape[kernels.ndim - 2]
          : 1;
  const View x(bytes, dtype, shape), y(bytes, dtype, shape, true), lse(bytes, dtype, s.of({s.n}), true);
  subquad_status status = SUBQUAD_OK;
  switch (bytes.between(0, 7)) {
    case 0: {
      const View starts(bytes, SUBQUAD_INT64, s.of({bases}), true), values(bytes, dtype, s.of({bases, s.n}), true);
      expect_untouched(expect(subquad_conv_basis_get(basis, options, starts, values), "conv_basis_get"), {&starts, &values});
      break;
    }
    case 1:
      expect(subquad_conv_basis_exp(run.context, basis, &other), "conv_basis_exp");
      break;
    case 2: {
      const View h(bytes, dtype, s.of({s.n, s.n}), true);
      expect_untouched(expect(subquad_conv_basis_to_dense(run.context, basis, h), "conv_basis_to_dense"), {&h});
      break;
    }
    case 3:
      status = subquad_conv_basis_multiply(run.context, options, basis, x, y, run.report);
      break;
    case 4:
      status = subquad_conv_basis_multiply_transposed(run.context, options, basis, x, y, run.report);
      break;
    case 5:
      status = subquad_conv_basis_apply_transposed(run.context, options, basis, x, y, run.report);
      break;
    case 6: {
      const int64_t d = size(bytes, 4);
      const View q(bytes, dtype, s.of({s.n, d})), k(bytes, dtype, s.of({s.n, d})), d_o(bytes, dtype, shape),
          dq(bytes, dtype, s.of({s.n, d}), true), dk(bytes, dtype, s.of({s.n, d}), true);
      const subquad_status found = subquad_conv_basis_backward(run.context, options, basis, q, k, x, d_o, dq, dk, y, run.report);
      expect_untouched(expect(found, "conv_basis_backward"), {&dq, &dk, &y});
      break;
    }
    default:
      status = subquad_conv_basis_apply(run.context, options, basis, x, y, bytes.flag() ? lse.get() : nullptr, run.report);
  }
  expect_untouched(expect(status, "a product of a conv basis"), {&y, &lse});
  subquad_conv_basis_destroy(other);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  Bytes bytes(data, count);
  const Run run(bytes);
  Shapes s{{}, bytes.between(0, 7) == 0 ? size(bytes, 600) : size(bytes, 40)};
  for (auto extra = bytes.between(0, 4); extra > 2; --extra) s.leading.push_back(size(bytes, 2));
  const int32_t dtype = floating(bytes);
  subquad_conv_basis* basis = make(bytes, run, s, dtype);
  for (int uses = 0; uses < 3 && bytes.left() > 0; ++uses) use(bytes, run, s, dtype, basis);
  subquad_conv_basis_destroy(basis);
  return 0;
}
