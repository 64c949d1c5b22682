#include "calls.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace fuzz {

namespace {

__extension__ typedef __int128 Wide;
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
constexpr Wide kRefused = Wide{1} << 59;      // elements of a view that must be refused, whatever their size
constexpr int64_t kMostWorkspace = 64 << 20;  // bytes of one call

size_t item_bytes(int32_t dtype) { return dtype == SUBQUAD_FLOAT32 || dtype == SUBQUAD_INT32 ? 4 : 8; }

[[noreturn]] void finding(const char* call, const char* what) {
  std::fprintf(stderr, "%s %s; last error: %s\n", call, what, subquad_last_error());
  std::abort();
}

uint64_t hash_of(const unsigned char* data, size_t count) {
  uint64_t hash = 14695981039346656037U;
  for (size_t i = 0; i < count; ++i) hash = (hash ^ data[i]) * 1099511628211U;
  return hash;
}

// Row-major, or what inputs may be: axes in another order, with gaps, reversed, broadcast.
void set_strides(Bytes& bytes, subquad_array& array, bool output) {
  const bool plain = bytes.between(0, 2) > 0;
  int32_t order[SUBQUAD_MAX_NDIM] = {3, 2, 1, 0};
  if (!plain) {
    for (int32_t i = 3; i > 0; --i) std::swap(order[i], order[bytes.between<int32_t>(0, i)]);
  }
  int64_t stride = 1;
  for (const int32_t axis : order) {
    if (axis >= array.ndim) continue;
    array.strides[axis] = stride;
    if (!plain) {
      const int kind = bytes.between(0, 7);
      if (kind == 0) array.strides[axis] = -stride;
      if (kind == 1 && stride < kMost / 2) array.strides[axis] = stride *= 2;
      if (kind == 2 && !output) array.strides[axis] = 0;
      if (kind == 3) array.strides[axis] = any_int(bytes);
    }
    if (__builtin_mul_overflow(stride, std::max<int64_t>(array.shape[axis], 1), &stride)) stride = 1;
  }
}

}  // namespace

subquad_status expect(subquad_status status, const char* call) {
  if (status == SUBQUAD_ERR_INTERNAL) finding(call, "met an unforeseen fault");
  if (std::strcmp(subquad_status_name(status), "UNKNOWN") == 0) finding(call, "returned a status that is none");
  if (status != SUBQUAD_OK && subquad_last_error()[0] == '\0') finding(call, "failed without a word");
  return status;
}

int64_t size(Bytes& bytes, int64_t most) {
  const auto chosen = bytes.number<uint8_t>();
  if (chosen < 16) return std::min<int64_t>(chosen, most);
  return (int64_t{1} << (chosen % 11)) + chosen / 86 - 1 <= most ? (int64_t{1} << (chosen % 11)) + chosen / 86 - 1 : most;
}

int64_t any_int(Bytes& bytes) {
  static constexpr int64_t edges[] = {0,       1,         -1,        2,         3,         kLeast,    kMost,     kLeast + 1,
                                      1 << 30, 1LL << 31, 1LL << 32, 1LL << 48, 1LL << 58, 1LL << 60, 1LL << 62, -(1LL << 60)};
  const int64_t edge = bytes.pick(edges);
  if (bytes.between(0, 3) > 0) return edge;
  return bytes.flag() ? bytes.number<int64_t>() : bytes.number<int8_t>();
}

double any_double(Bytes& bytes) {
  static const double edges[] = {0,     -0.0,  1,     -1,   0.5,      1e-3,      0.1,          2,         1e-300, 1e300,
                                 -1e30, 1e-45, 1e-38, 1e38, INFINITY, -INFINITY, std::nan(""), 1.0000001, 16,     4.9e-324};
  return bytes.flag() ? bytes.pick(edges) : bytes.number<int16_t>() / 256.0;
}

int32_t floating(Bytes& bytes) { return bytes.flag() ? SUBQUAD_FLOAT32 : SUBQUAD_FLOAT64; }

View::View(Bytes& bytes, int32_t dtype, const std::vector<int64_t>& shape, bool output) {
  array_.dtype = dtype;
  array_.ndim = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), array_.shape);
  const auto twist = bytes.between<int>(0, 63);  // mostly none
  if (twist == 1) null_ = true;
  if (twist == 2) array_.dtype = bytes.between<int32_t>(-1, 6);
  if (twist == 3) array_.ndim = bytes.between<int32_t>(-1, 6);
  if (twist == 4) array_.shape[bytes.between(0, 3)] = any_int(bytes);
  if (twist == 5) array_.shape[bytes.between(0, 3)] += bytes.flag() ? 1 : -1;
  if (twist == 6 && array_.ndim > 1) --array_.ndim;
  set_strides(bytes, array_, output);
  allocate(bytes);
  if (memory_ != nullptr) {
    fill(bytes);
    hash_ = hash_of(memory_, bytes_);
  }
}

View::~View() { std::free(memory_); }

bool View::untouched() const { return memory_ == nullptr || hash_ == hash_of(memory_, bytes_); }

// Exactly the elements from the first address to the last; no byte where there is none to read; NULL where they would be too many.
void View::allocate(Bytes& bytes) {
  Wide count = 1, below = 0, above = 0;
  bool negative = false, empty = false;
  for (int32_t axis = 0; axis < std::clamp(array_.ndim, 0, SUBQUAD_MAX_NDIM); ++axis) {
    const Wide extent = array_.shape[axis];
    const Wide reach = std::clamp((extent - 1) * array_.strides[axis], -2 * kRefused, 2 * kRefused);
    negative = negative || extent < 0;
    empty = empty || extent == 0;
    count = std::min(count * std::max<Wide>(extent, 1), kRefused * 2);
    if (extent > 1) (reach < 0 ? below : above) += reach;
  }
  const size_t item = item_bytes(array_.dtype);
  const bool wrong_dtype = array_.dtype < SUBQUAD_FLOAT32 || array_.dtype > SUBQUAD_INT64;
  const bool refused = negative || wrong_dtype || array_.ndim < 1 || array_.ndim > SUBQUAD_MAX_NDIM || count > kRefused ||
                       (!empty && above - below > kRefused);
  const Wide span = above - below + 1;
  if (empty || (!refused && (count > kMostElements || span > 4 * kMostElements))) {
    if (!empty || bytes.flag()) return;
  }
  bytes_ = refused || empty ? 0 : static_cast<size_t>(span) * item;
  memory_ = static_cast<unsigned char*>(std::malloc(bytes_));
  const size_t first = refused || empty ? 0 : static_cast<size_t>(-below) * item;
  array_.data = memory_ + first + (bytes.once_in(64) ? 1 : 0);
}

void View::fill(Bytes& bytes) {
  static const double magnitudes[] = {1, 1, 0, 1e-3, 30, 1e18, 1e30, 1e-40};
  const double magnitude = bytes.pick(magnitudes);
  uint32_t state = bytes.number<uint8_t>();
  const size_t item = item_bytes(array_.dtype), count = bytes_ / item;
  const bool integers = array_.dtype == SUBQUAD_INT32 || array_.dtype == SUBQUAD_INT64;
  const auto store = [&](size_t i, double x, int64_t number) {
    const auto narrow = static_cast<int32_t>(number);
    const float single = static_cast<float>(x);
    const void* from = integers ? (item == 4 ? static_cast<const void*>(&narrow) : &number)
                                : (item == 4 ? static_cast<const void*>(&single) : &x);
    std::memcpy(memory_ + i * item, from, item);
  };
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    store(i, magnitude * (static_cast<double>(state) / 2147483648.0 - 1), static_cast<int64_t>(i));  // increasing integers
  }
  for (int pokes = bytes.between(0, 3); pokes > 0 && count > 0; --pokes) {
    const auto at = bytes.between<size_t>(0, count - 1);
    if (integers)
      store(at, 0, any_int(bytes));
    else
      store(at, any_double(bytes), 0);
  }
}

Options::Options(Bytes& bytes, const std::vector<int32_t>& likely) {
  if (bytes.once_in(32)) return;
  expect(subquad_options_create(&options_), "options_create");
  for (const int32_t option : likely) {
    if (bytes.between(0, 2) > 0) continue;
    int32_t type = 0;
    subquad_option_describe(option, nullptr, &type, nullptr);
    if (type == SUBQUAD_TYPE_FLOAT)
      set(option, any_double(bytes));
    else
      set(option, type == SUBQUAD_TYPE_BOOL ? int64_t{1} : bytes.flag() ? any_int(bytes) : bytes.number<int8_t>());
  }
}

Run::Run(Bytes& bytes) {
  expect(subquad_context_create(&context), "context_create");
  expect(subquad_context_set_threads(context, bytes.once_in(16) ? 2 : 1), "context_set_threads");
  expect(subquad_context_set_workspace_limit(context, kMostWorkspace), "context_set_workspace_limit");
  if (bytes.flag()) expect(subquad_report_create(&report), "report_create");
}

Run::~Run() {
  const char* text = nullptr;
  if (report != nullptr) expect(subquad_report_json(report, &text), "report_json");
  subquad_report_destroy(report);
  subquad_context_destroy(context);
}

void expect_untouched(subquad_status status, const std::vector<const View*>& outputs) {
  // Beyond these a call has begun to compute.
  static constexpr subquad_status refusals[] = {SUBQUAD_ERR_NULL,  SUBQUAD_ERR_CONFLICT, SUBQUAD_ERR_SHAPE,
                                                SUBQUAD_ERR_DTYPE, SUBQUAD_ERR_STRIDE,   SUBQUAD_ERR_ALIAS,
                                                SUBQUAD_ERR_SIZE,  SUBQUAD_ERR_NONFINITE};
  if (std::find(std::begin(refusals), std::end(refusals), status) == std::end(refusals)) return;
  for (const View* view : outputs) {
    if (!view->untouched()) finding(subquad_status_name(status), "was returned by a call that wrote to an output");
  }
}

}  // namespace fuzz
