// From subquad_array to the core's views, with every check that an array must pass.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "capi/subquad.h"
#include "core/base/error.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::capi {

// An argument that is an array: its name in messages, and what was given.
struct Argument {
  const char* name;
  const subquad_array* array;

  const subquad_array* operator->() const { return array; }
  explicit operator bool() const { return array != nullptr; }
  // Extent of an axis counted from the last one (1: the last), 1 for axes that the array lacks.
  int64_t extent(int32_t from_last) const { return from_last <= array->ndim ? array->shape[array->ndim - from_last] : 1; }
};

std::string shape_text(const subquad_array& array);
std::string dtype_text(int32_t dtype);

// An element in a message: name and the index along the axes that the array has, the last `ndim` of four.
std::string element_text(const Argument& argument, const std::array<int64_t, 4>& index);

// "nan", "inf" or "-inf".
const char* nonfinite_text(double value);

// Throws unless the array is there, has least_ndim .. most_ndim dimensions, a known dtype, extents that fit the address space,
// data where it has elements, and aligned data.
void check_array(const Argument& argument, int32_t least_ndim, int32_t most_ndim);

// Throws unless the argument has this dtype / shape. `reason` ends the message: what prescribes it.
void check_dtype(const Argument& argument, int32_t dtype, const char* reason);
void check_shape(const Argument& argument, const std::vector<int64_t>& shape, const char* reason);

// float32 or float64.
void check_floating(const Argument& argument);

// Throws unless no two elements of the output share memory and it overlaps none of the others.
void check_output(const Argument& output, const std::vector<Argument>& others);

// Whether both are one and the same view.
bool same_view(const subquad_array& a, const subquad_array& b);

// The array as a view of Rank axes; axes that it lacks come first with extent 1. An absent argument gives a view without data.
template <class T, int Rank>
View<T, Rank> view_of(const Argument& argument) {
  View<T, Rank> view;
  if (!argument) return view;
  view.data = static_cast<T*>(argument->data);
  const int32_t missing = Rank - argument->ndim;
  for (int32_t axis = 0; axis < Rank; ++axis) {
    view.shape[axis] = axis < missing ? 1 : argument->shape[axis - missing];
    view.strides[axis] = axis < missing ? 0 : argument->strides[axis - missing];
  }
  if (std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end())
    view.strides = {};  // its data may be null: nothing moves
  return view;
}

// Throws Error(nonfinite) naming the first NaN or infinity in row-major order; -inf passes where it is allowed.
template <class T>
void check_finite(Execution& run, const Argument& argument, bool allow_minus_infinity = false);

// Calls function(float()) or function(double()), by dtype.
template <class Function>
void with_floating(int32_t dtype, Function&& function) {
  if (dtype == SUBQUAD_FLOAT32) {
    function(float());
  } else {
    function(double());
  }
}

}  // namespace subquad::capi
