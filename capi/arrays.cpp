#include "capi/arrays.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "capi/generated/tables.hpp"
#include "core/parallel/finite.hpp"

namespace subquad::capi {

namespace {

// Elements, extents and products of them stay below, so that sums of a few cannot overflow.
constexpr int64_t kMaxElements = int64_t{1} << 58;
// The other extents of an array without elements: work and memory may grow with rows that hold nothing.
constexpr int64_t kMaxEmptyExtents = int64_t{1} << 24;

std::string list_text(const int64_t* values, int32_t count) {
  std::string text = "[";
  for (int32_t i = 0; i < count; ++i) text += (i > 0 ? ", " : "") + std::to_string(values[i]);
  return text + "]";
}

const tables::Dtype* find_dtype(int32_t id) {
  const auto* end = std::end(tables::kDtypes);
  const auto* found = std::find_if(std::begin(tables::kDtypes), end, [=](const auto& row) { return row.id == id; });
  return found == end ? nullptr : found;
}

int64_t item_bytes(const subquad_array& array) { return find_dtype(array.dtype)->bytes; }

// Like a * b, or kMaxElements + 1 when that is exceeded.
int64_t bounded_product(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) || product > kMaxElements ? kMaxElements + 1 : product;
}

bool is_empty(const subquad_array& array) {
  return std::any_of(array.shape, array.shape + array.ndim, [](int64_t n) { return n == 0; });
}

// Addresses from the first byte of the array to one past its last.
std::pair<uintptr_t, uintptr_t> extent_of(const subquad_array& array) {
  int64_t below = 0, above = 0;
  for (int32_t axis = 0; axis < array.ndim; ++axis) {
    const int64_t reach = (array.shape[axis] - 1) * array.strides[axis];
    (reach < 0 ? below : above) += reach;
  }
  const auto base = reinterpret_cast<uintptr_t>(array.data);
  const auto bytes = static_cast<uintptr_t>(item_bytes(array));
  return {base - static_cast<uintptr_t>(-below) * bytes, base + static_cast<uintptr_t>(above + 1) * bytes};
}

// Sufficient: each axis steps over all that the axes of smaller stride cover.
bool elements_are_distinct(const subquad_array& array) {
  std::vector<std::pair<int64_t, int64_t>> axes;  // stride, extent
  for (int32_t axis = 0; axis < array.ndim; ++axis) {
    if (array.shape[axis] > 1) axes.emplace_back(std::abs(array.strides[axis]), array.shape[axis]);
  }
  std::sort(axes.begin(), axes.end());
  int64_t covered = 0;
  for (const auto& [stride, extent] : axes) {
    if (stride <= covered) return false;
    covered += stride * (extent - 1);
  }
  return true;
}

}  // namespace

std::string shape_text(const subquad_array& array) { return list_text(array.shape, array.ndim); }

std::string dtype_text(int32_t dtype) {
  const auto* row = find_dtype(dtype);
  return row != nullptr ? row->name : "unknown dtype " + std::to_string(dtype);
}

std::string element_text(const Argument& argument, const std::array<int64_t, 4>& index) {
  return argument.name + list_text(index.data() + 4 - argument->ndim, argument->ndim);
}

const char* nonfinite_text(double value) { return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }

void check_array(const Argument& argument, int32_t least_ndim, int32_t most_ndim) {
  const std::string name = argument.name;
  if (!argument) throw Error(Status::err_null, name + " is null");
  const subquad_array& array = *argument.array;
  if (array.ndim < least_ndim || array.ndim > most_ndim) {
    throw Error(Status::err_shape, name + " has " + std::to_string(array.ndim) + " dimensions, not " +
                                       std::to_string(least_ndim) +
                                       (least_ndim == most_ndim ? "" : " to " + std::to_string(most_ndim)));
  }
  if (find_dtype(array.dtype) == nullptr) throw Error(Status::err_dtype, name + " has the " + dtype_text(array.dtype));
  int64_t count = 1, reach = 0;
  for (int32_t axis = 0; axis < array.ndim; ++axis) {
    const int64_t extent = array.shape[axis];
    if (extent < 0) throw Error(Status::err_shape, name + " has shape " + shape_text(array) + " with a negative extent");
    count = bounded_product(count, std::max<int64_t>(extent, 1));
    if (extent > 1 && !is_empty(array)) {  // else the stride is never used
      const int64_t stride = std::abs(std::clamp(array.strides[axis], -kMaxElements - 1, kMaxElements + 1));
      reach += std::min(bounded_product(extent - 1, stride), kMaxElements + 1);
    }
  }
  if (count > (is_empty(array) ? kMaxEmptyExtents : kMaxElements) || reach > kMaxElements / item_bytes(array)) {
    throw Error(Status::err_size,
                name + " has shape " + shape_text(array) + " and strides " + list_text(array.strides, array.ndim) +
                    (is_empty(array) ? ", more empty rows than are worked on" : ", which overflow the address space"));
  }
  if (is_empty(array)) return;
  if (array.data == nullptr) throw Error(Status::err_null, name + " has shape " + shape_text(array) + " but its data is null");
  if (reinterpret_cast<uintptr_t>(array.data) % static_cast<uintptr_t>(item_bytes(array)) != 0) {
    throw Error(Status::err_stride,
                name + " has data that is not aligned to its " + std::to_string(item_bytes(array)) + "-byte elements");
  }
}

void check_dtype(const Argument& argument, int32_t dtype, const char* reason) {
  if (argument->dtype == dtype) return;
  throw Error(Status::err_dtype,
              std::string(argument.name) + " is " + dtype_text(argument->dtype) + ", not " + dtype_text(dtype) + " " + reason);
}

void check_floating(const Argument& argument) {
  if (argument->dtype == SUBQUAD_FLOAT32 || argument->dtype == SUBQUAD_FLOAT64) return;
  throw Error(Status::err_dtype, std::string(argument.name) + " is " + dtype_text(argument->dtype) + ", not float32 or float64");
}

void check_shape(const Argument& argument, const std::vector<int64_t>& shape, const char* reason) {
  const auto count = static_cast<int32_t>(shape.size());
  if (argument->ndim == count && std::equal(shape.begin(), shape.end(), argument->shape)) return;
  throw Error(Status::err_shape, std::string(argument.name) + " has shape " + shape_text(*argument.array) + ", not " +
                                     list_text(shape.data(), count) + " " + reason);
}

void check_output(const Argument& output, const std::vector<Argument>& others) {
  if (is_empty(*output.array)) return;
  const std::string name = output.name;
  if (!elements_are_distinct(*output.array)) {
    throw Error(Status::err_stride,
                name + " has shape " + shape_text(*output.array) + " and strides " + list_text(output->strides, output->ndim) +
                    ", with which elements may share memory: an axis must step over all that axes of smaller stride cover");
  }
  const auto [first, last] = extent_of(*output.array);
  for (const Argument& other : others) {
    if (!other || is_empty(*other.array)) continue;
    const auto [other_first, other_last] = extent_of(*other.array);
    if (first < other_last && other_first < last) throw Error(Status::err_alias, name + " overlaps " + other.name + " in memory");
  }
}

bool same_view(const subquad_array& a, const subquad_array& b) {
  return a.data == b.data && a.ndim == b.ndim && a.dtype == b.dtype && std::equal(a.shape, a.shape + a.ndim, b.shape) &&
         std::equal(a.strides, a.strides + a.ndim, b.strides);
}

template <class T>
void check_finite(Execution& run, const Argument& argument, bool allow_minus_infinity) {
  auto view = view_of<const T, 4>(argument);
  for (int axis = 0; axis < 4; ++axis) {
    if (view.strides[axis] == 0) view.shape[axis] = std::min<int64_t>(view.shape[axis], 1);  // the same elements again
  }
  const int64_t found = first_nonfinite(run, view, allow_minus_infinity);
  if (found < 0) return;
  std::array<int64_t, 4> index{};
  int64_t rest = found;
  for (int axis = 3; axis >= 0; --axis) {
    index[static_cast<size_t>(axis)] = rest % view.shape[axis];
    rest /= view.shape[axis];
  }
  const T value = *view.at(index[0], index[1], index[2], index[3]);
  throw Error(Status::err_nonfinite, element_text(argument, index) + " is " + nonfinite_text(static_cast<double>(value)));
}

template void check_finite<float>(Execution&, const Argument&, bool);
template void check_finite<double>(Execution&, const Argument&, bool);

}  // namespace subquad::capi
