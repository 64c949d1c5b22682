// The register tile under every product of attention: C (rows x columns) = A B with A read one element at a time and B by vectors.
// Included once per SIMD target, by core/simd/attention_forward.cpp and its siblings.
#if defined(SUBQUAD_TILE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_TILE_INL
#undef SUBQUAD_TILE_INL
#else
#define SUBQUAD_TILE_INL
#endif

#include <cstdint>

#include <hwy/highway.h>

#include "core/simd/attention_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows of a full tile. With three vectors per row, 8 rows take 24 of the 32 registers that AVX-512 and Arm have, 4 take 12 of 16.
inline constexpr int kTileRows = HWY_TARGET == HWY_SSSE3 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 ? 4 : 8;
static_assert(kTileRows <= kBlockSlack);
static_assert(kMaxWidth * hn::MaxLanes(hn::ScalableTag<float>()) + kKeyBlock + kBlockSlack <= kBiasMargin);

template <class T, int Rows, int Vectors>
struct Tile {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static constexpr int64_t kLanes = hn::MaxLanes(D());

  V sum[Rows][Vectors];

  // sum[r][:] = sum over l < depth of a[r][l * a_step] * b[l * b_stride + :]
  HWY_INLINE void multiply(const T* const* a, int64_t a_step, const T* b, int64_t b_stride, int64_t depth) {
    const D d;
    const T* row[Rows];
    HWY_UNROLL(8) for (int r = 0; r < Rows; ++r) {
      row[r] = a[r];
      HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) sum[r][v] = hn::Zero(d);
    }
    for (int64_t l = 0; l < depth; ++l, b += b_stride) {
      V column[Vectors];
      HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) column[v] = hn::LoadU(d, b + v * kLanes);
      HWY_UNROLL(8) for (int r = 0; r < Rows; ++r) {
        const V factor = hn::Set(d, row[r][l * a_step]);
        HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) sum[r][v] = hn::MulAdd(factor, column[v], sum[r][v]);
      }
    }
  }

  // c[r * c_stride + :] += sum[r][:]
  HWY_INLINE void add_to(T* c, int64_t c_stride) const {
    const D d;
    HWY_UNROLL(8) for (int r = 0; r < Rows; ++r) {
      HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
        T* place = c + r * c_stride + v * kLanes;
        hn::StoreU(hn::Add(hn::LoadU(d, place), sum[r][v]), d, place);
      }
    }
  }
};

// C += A B for `rows` rows of A at a + r * a_row, in tiles of kTileRows, then 4, 2 and 1.
template <class T, int Vectors, int Rows = kTileRows>
HWY_INLINE void multiply_add(const T* a, int64_t a_row, int64_t a_step, int64_t rows, const T* b, int64_t b_stride, int64_t depth,
                             T* c, int64_t c_stride) {
  int64_t r = 0;
  for (; r + Rows <= rows; r += Rows) {
    const T* row[Rows];
    for (int i = 0; i < Rows; ++i) row[i] = a + (r + i) * a_row;
    Tile<T, Rows, Vectors> tile;
    tile.multiply(row, a_step, b, b_stride, depth);
    tile.add_to(c + r * c_stride, c_stride);
  }
  if constexpr (Rows > 1) {
    if (r < rows)
      multiply_add<T, Vectors, Rows / 2>(a + r * a_row, a_row, a_step, rows - r, b, b_stride, depth, c + r * c_stride, c_stride);
  }
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
