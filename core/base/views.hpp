// Strided views of arrays that somebody else owns. Strides are in elements and may be zero or negative.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace subquad {

template <class T, int Rank>
struct View {
  T* data = nullptr;
  std::array<int64_t, Rank> shape{};
  std::array<int64_t, Rank> strides{};

  template <class... Index>
  T* at(Index... index) const {
    static_assert(sizeof...(Index) <= Rank);
    const int64_t list[] = {static_cast<int64_t>(index)...};
    int64_t offset = 0;
    for (std::size_t axis = 0; axis < sizeof...(Index); ++axis) offset += list[axis] * strides[axis];
    return data + offset;
  }

  int64_t count() const {
    int64_t product = 1;
    for (int64_t extent : shape) product *= extent;
    return product;
  }
};

}  // namespace subquad
