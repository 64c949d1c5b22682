// Matrices of every source, offsets and indices of any value among them; leverage scores, sparsifiers, and what these are used for.
#include <algorithm>
#include <cstring>

#include "calls.hpp"

using namespace fuzz;

namespace {

const std::vector<int32_t> kLikely = {
    SUBQUAD_OPTION_SPARSIFY_METHOD, SUBQUAD_OPTION_SPARSIFY_DELTA, SUBQUAD_OPTION_SPARSIFY_CERTIFY,
    SUBQUAD_OPTION_SPARSIFY_SCORES, SUBQUAD_OPTION_SEED,           SUBQUAD_OPTION_CHECK_FINITE};
constexpr int64_t kMostRows = 24, kMostColumns = 130;

// Writes columns of small numbers; stops after `left` calls.
struct Blocks {
  int64_t rows;
  int32_t dtype;
  int left;
  static int32_t write(void* user, int64_t first, int64_t count, void* block) {
    auto& self = *static_cast<Blocks*>(user);
    if (self.left-- == 0) return 1;
    for (int64_t i = 0; i < count * self.rows; ++i) {
      const auto state = static_cast<uint32_t>(first * self.rows + i) * 2654435761U;
      const double value = static_cast<double>(state) / 2147483648.0 - 1;
      if (self.dtype == SUBQUAD_FLOAT32)
        static_cast<float*>(block)[i] = static_cast<float>(value);
      else
        static_cast<double*>(block)[i] = value;
    }
    return 0;
  }
};

// A matrix with what it is made of. NULL where the library refused it.
class Matrix {
 public:
  Matrix(Bytes& bytes, int32_t dtype, int64_t rows, int64_t columns) {
    switch (bytes.between(0, 4)) {
      case 0:
        dense(bytes, dtype, rows, columns);
        break;
      case 1:
        blocks(bytes, dtype, rows, columns);
        break;
      default:
        sparse(bytes, dtype, rows, columns);
    }
  }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  ~Matrix() {
    subquad_matrix_destroy(matrix_);
    delete view_;
  }
  const subquad_matrix* get() const { return matrix_; }

 private:
  void dense(Bytes& bytes, int32_t dtype, int64_t rows, int64_t columns) {
    view_ = new View(bytes, dtype, {rows, columns});
    expect(subquad_matrix_from_dense(*view_, &matrix_), "matrix_from_dense");
  }

  void blocks(Bytes& bytes, int32_t dtype, int64_t rows, int64_t columns) {
    blocks_ = {rows, dtype, bytes.flag() ? -1 : bytes.between(0, 9)};
    const int64_t width = bytes.flag() ? bytes.between<int64_t>(-1, 200) : 0;
    expect(subquad_matrix_from_blocks(rows, columns, dtype, width, Blocks::write, &blocks_, &matrix_), "matrix_from_blocks");
  }

  // Lists of true lengths, whose entries are mostly right, sometimes anything.
  void sparse(Bytes& bytes, int32_t dtype, int64_t rows, int64_t columns) {
    subquad_sparse x{};
    x.layout = bytes.once_in(32) ? bytes.number<int32_t>() : bytes.flag() ? SUBQUAD_CSC : SUBQUAD_CSR;
    x.dtype = dtype;
    x.index_dtype = bytes.flag() ? SUBQUAD_INT32 : SUBQUAD_INT64;
    x.index_base = bytes.once_in(32) ? bytes.number<int32_t>() : bytes.flag();
    x.rows = rows;
    x.columns = columns;
    const int64_t outer = x.layout == SUBQUAD_CSC ? columns : rows, inner = x.layout == SUBQUAD_CSC ? rows : columns;
    const int64_t each = inner > 0 ? bytes.between<int64_t>(0, std::min<int64_t>(inner, 5)) : 0;
    x.nonzeros = outer * each;
    for (int64_t i = 0; i <= outer; ++i) add(offsets_, x, x.index_base + i * each);
    for (int64_t i = 0; i < x.nonzeros; ++i) add(indices_, x, x.index_base + i % std::max<int64_t>(each, 1));
    spoil(bytes, offsets_, x);
    spoil(bytes, indices_, x);
    values_.resize(static_cast<size_t>(x.nonzeros) * (dtype == SUBQUAD_FLOAT32 ? 4 : 8));
    for (int64_t i = 0; i < x.nonzeros; ++i) {
      const double value = bytes.left() > 40 ? any_double(bytes) : 1.0 + static_cast<double>(i % 7);
      const auto single = static_cast<float>(value);
      if (dtype == SUBQUAD_FLOAT32)
        std::memcpy(values_.data() + i * 4, &single, 4);
      else
        std::memcpy(values_.data() + i * 8, &value, 8);
    }
    x.offsets = offsets_.data();
    x.indices = indices_.data();
    x.values = values_.data();
    expect(subquad_matrix_from_sparse(&x, &matrix_), "matrix_from_sparse");
  }

  static void add(std::vector<unsigned char>& list, const subquad_sparse& x, int64_t value) {
    const auto narrow = static_cast<int32_t>(value);
    const auto* from = x.index_dtype == SUBQUAD_INT32 ? reinterpret_cast<const unsigned char*>(&narrow)
                                                      : reinterpret_cast<const unsigned char*>(&value);
    list.insert(list.end(), from, from + (x.index_dtype == SUBQUAD_INT32 ? 4 : 8));
  }

  static void spoil(Bytes& bytes, std::vector<unsigned char>& list, const subquad_sparse& x) {
    const size_t item = x.index_dtype == SUBQUAD_INT32 ? 4 : 8, count = list.size() / item;
    for (int pokes = bytes.between(0, 3) - 1; pokes > 0 && count > 0; --pokes) {
      const auto at = bytes.between<size_t>(0, count - 1);
      std::vector<unsigned char> entry;
      add(entry, x, bytes.flag() ? any_int(bytes) : bytes.number<int8_t>());
      std::copy(entry.begin(), entry.end(), list.begin() + static_cast<std::ptrdiff_t>(at * item));
    }
  }

  subquad_matrix* matrix_ = nullptr;
  View* view_ = nullptr;
  Blocks blocks_{};
  std::vector<unsigned char> offsets_, indices_, values_;
};

// Extents that no computation could take: they are refused, or make a matrix that nothing reads.
void any_extents(Bytes& bytes) {
  static const int64_t empty[] = {0};
  subquad_matrix* matrix = nullptr;
  const int64_t rows = any_int(bytes), columns = any_int(bytes);
  Blocks blocks{rows, SUBQUAD_FLOAT32, 0};
  expect(subquad_matrix_from_blocks(rows, columns, bytes.between(-1, 5), any_int(bytes), Blocks::write, &blocks, &matrix),
         "matrix_from_blocks");
  subquad_matrix_destroy(matrix);
  const subquad_sparse x{
      bytes.flag() ? empty : nullptr, nullptr, nullptr, rows, columns, any_int(bytes), bytes.between(0, 3), bytes.between(-1, 5),
      bytes.between(-1, 5),           0};
  expect(subquad_matrix_from_sparse(&x, &matrix), "matrix_from_sparse");
  subquad_matrix_destroy(matrix);
}

void use(Bytes& bytes, const Run& run, const subquad_sparsifier* s, const Matrix& x, const Matrix* k, int64_t queries,
         int64_t keys, int32_t dtype) {
  const Options options(bytes, {SUBQUAD_OPTION_SCALE, SUBQUAD_OPTION_CAUSAL, SUBQUAD_OPTION_CAUSAL_OFFSET});
  subquad_array shape{};
  double number = 0, other = 0;
  int32_t kind = 0;
  expect(subquad_sparsifier_describe(s, &shape, nullptr, nullptr), "sparsifier_describe");
  const int64_t m = s != nullptr ? shape.shape[1] : 1, n = s != nullptr ? shape.shape[0] : 1;
  const View indices(bytes, SUBQUAD_INT64, {m}, true), weights(bytes, SUBQUAD_FLOAT64, {m}, true), y(bytes, dtype, {n, m}, true);
  expect_untouched(
      expect(subquad_sparsifier_get(s, bytes.flag() ? indices.get() : nullptr, bytes.flag() ? weights.get() : nullptr, y),
             "sparsifier_get"),
      {&indices, &weights, &y});
  expect(subquad_sparsifier_certificate(s, &number, &kind, &other), "sparsifier_certificate");
  expect(subquad_sparsifier_ratio_bound(s, any_double(bytes), &number), "sparsifier_ratio_bound");
  const int64_t d_v = size(bytes, 5);
  const View v(bytes, dtype, {keys, d_v}), o(bytes, dtype, {queries, d_v}, true), lse(bytes, dtype, {queries}, true);
  const subquad_status status =
      subquad_sparsifier_attention(run.context, options, s, v, o, bytes.flag() ? lse.get() : nullptr, run.report);
  expect_untouched(expect(status, "sparsifier_attention"), {&o, &lse});
  expect(subquad_sparsifier_softmax_error(run.context, options, s, x.get(), k != nullptr ? k->get() : nullptr, &number, &other),
         "sparsifier_softmax_error");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  Bytes bytes(data, count);
  if (bytes.once_in(16)) {
    any_extents(bytes);
    return 0;
  }
  const Run run(bytes);
  const int32_t dtype = floating(bytes);
  const int64_t queries = size(bytes, kMostRows), keys = size(bytes, kMostRows), columns = size(bytes, kMostColumns);
  const Matrix x(bytes, dtype, queries, columns);
  Options options(bytes, kLikely);
  if (bytes.flag())
    options.set(SUBQUAD_OPTION_SPARSIFY_COLUMNS, int64_t{size(bytes, kMostColumns)});
  else if (bytes.flag())
    options.set(SUBQUAD_OPTION_SPARSIFY_EPS, any_double(bytes));
  subquad_sparsifier* sparsifier = nullptr;
  const auto call = bytes.between(0, 3);
  if (call == 0) {
    const View scores(bytes, SUBQUAD_FLOAT64, {columns}, true);
    expect_untouched(expect(subquad_leverage_scores(run.context, options, x.get(), scores, run.report), "leverage_scores"),
                     {&scores});
  } else if (call == 1) {
    const Matrix k(bytes, bytes.once_in(32) ? floating(bytes) : dtype, keys, columns);
    expect(subquad_sparsify_pair(run.context, options, x.get(), k.get(), &sparsifier, run.report), "sparsify_pair");
    use(bytes, run, sparsifier, x, &k, queries, keys, dtype);
  } else {
    expect(subquad_sparsify(run.context, options, x.get(), &sparsifier, run.report), "sparsify");
    use(bytes, run, sparsifier, x, nullptr, queries, queries, dtype);
  }
  subquad_sparsifier_destroy(sparsifier);
  return 0;
}
