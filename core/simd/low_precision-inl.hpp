// The arithmetic under the low-precision kernels: products of bytes, powers of two to a few digits, reductions of 16 rows at once.
// Included once per SIMD target, by core/simd/low_precision.cpp.
#if defined(SUBQUAD_LOW_PRECISION_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_LOW_PRECISION_INL
#undef SUBQUAD_LOW_PRECISION_INL
#else
#define SUBQUAD_LOW_PRECISION_INL
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <hwy/highway.h>

#include "core/simd/low_precision_kernels.hpp"

// Highway's AVX-512 target leaves out the byte products (VNNI), and its next one asks for much else: functions that use them say so
// themselves, and core/simd/low_precision.cpp asks the processor. An attribute replaces the surrounding target in clang.
#undef SUBQUAD_HAVE_VNNI
#undef SUBQUAD_VNNI_ATTR
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
#define SUBQUAD_HAVE_VNNI 1
#if HWY_COMPILER_CLANG
#define SUBQUAD_VNNI_ATTR __attribute__((target(HWY_TARGET_STR_AVX3 ",avx512vnni")))
#else
#define SUBQUAD_VNNI_ATTR __attribute__((target("avx512vnni")))
#endif
#else
#define SUBQUAD_HAVE_VNNI 0
#define SUBQUAD_VNNI_ATTR
#endif

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using LowFloats = hn::CappedTag<float, kGroupKeys>;
using LowInts = hn::RebindToSigned<LowFloats>;
using LowFloat = hn::Vec<LowFloats>;
using LowInt = hn::Vec<LowInts>;
inline constexpr int64_t kLowLanes = hn::MaxLanes(LowFloats());

// Without VNNI the products of two bytes are summed in 16 bits: 2 * 127 * 127 fits where 2 * 255 * 127 does not.
inline constexpr int32_t kPairLevels =
    HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL ? 63 : 127;
inline constexpr int32_t kPairWeights = kPairLevels == 63 ? 127 : 255;

// sum[lane] += sum over the four bytes b of unsigned u[lane][b] * signed s[lane][b].
template <bool kVnni>
HWY_INLINE void add_byte_products(LowInt u, LowInt s, LowInt& sum) {
#if SUBQUAD_HAVE_VNNI
  if constexpr (kVnni) {
    // Not the intrinsic: around it GCC 12 copies the accumulators through memory.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(u.raw), "v"(s.raw));
    return;
  }
  sum = hn::Add(sum, LowInt{_mm512_madd_epi16(_mm512_maddubs_epi16(u.raw, s.raw), _mm512_set1_epi16(1))});
#elif HWY_TARGET == HWY_AVX2
  sum = hn::Add(sum, LowInt{_mm256_madd_epi16(_mm256_maddubs_epi16(u.raw, s.raw), _mm256_set1_epi16(1))});
#elif HWY_TARGET == HWY_SSE4
  sum = hn::Add(sum, LowInt{_mm_madd_epi16(_mm_maddubs_epi16(u.raw, s.raw), _mm_set1_epi16(1))});
#else
  const LowInts d;
  const hn::RebindToUnsigned<LowInts> du;
  const auto bits = hn::BitCast(du, u);
  const auto low = hn::Set(du, 255u);
  sum = hn::Add(sum, hn::Mul(hn::BitCast(d, hn::And(bits, low)), hn::ShiftRight<24>(hn::ShiftLeft<24>(s))));
  sum = hn::Add(sum, hn::Mul(hn::BitCast(d, hn::And(hn::ShiftRight<8>(bits), low)), hn::ShiftRight<24>(hn::ShiftLeft<16>(s))));
  sum = hn::Add(sum, hn::Mul(hn::BitCast(d, hn::And(hn::ShiftRight<16>(bits), low)), hn::ShiftRight<24>(hn::ShiftLeft<8>(s))));
  sum = hn::Add(sum, hn::Mul(hn::BitCast(d, hn::ShiftRight<24>(bits)), hn::ShiftRight<24>(s)));
#endif
}

HWY_INLINE LowInt broadcast_bytes(const void* four) {
  int32_t word;
  std::memcpy(&word, four, sizeof word);
  return hn::Set(LowInts(), word);
}

HWY_INLINE LowInt load_bytes(const void* bytes) {
#if HWY_TARGET == HWY_SCALAR
  return broadcast_bytes(bytes);
#else
  return hn::BitCast(LowInts(), hn::LoadU(hn::Repartition<uint8_t, LowInts>(), static_cast<const uint8_t*>(bytes)));
#endif
}

// 2^x with a relative error below 1.1e-4, 1 for 0; 0 far below.
HWY_INLINE LowFloat quick_exp2(LowFloat x) {
  const LowFloats d;
  const auto polynomial = [d](LowFloat f)
                              HWY_ATTR {  // 2^f on [0, 1): exact at 0, so that a maximum that stays put scales nothing
                                LowFloat p = hn::MulAdd(hn::Set(d, 0.0782680f), f, hn::Set(d, 0.2263077f));
                                p = hn::MulAdd(p, f, hn::Set(d, 0.6954243f));
                                return hn::MulAdd(p, f, hn::Set(d, 1.0f));
                              };
#if SUBQUAD_HAVE_VNNI
  return LowFloat{
      _mm512_scalef_ps(polynomial(LowFloat{_mm512_reduce_ps(x.raw, 0x09)}).raw, x.raw)};  // x - floor(x), then 2^floor(x)
#else
  const LowInts di;
  const auto vanishes = hn::Lt(x, hn::Set(d, -126.0f));
  x = hn::Max(x, hn::Set(d, -126.0f));
  const LowFloat whole = hn::Floor(x);
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, whole));
  const LowFloat power = hn::BitCast(d, hn::Add(hn::BitCast(di, polynomial(hn::Sub(x, whole))), exponent));
  return hn::IfThenZeroElse(vanishes, power);
#endif
}

struct MaxOfRows {
  static HWY_INLINE LowFloat join(LowFloat a, LowFloat b) { return hn::Max(a, b); }
  static HWY_INLINE float lanes(LowFloat a) { return hn::GetLane(hn::MaxOfLanes(LowFloats(), a)); }
};
struct SumOfRows {
  static HWY_INLINE LowFloat join(LowFloat a, LowFloat b) { return hn::Add(a, b); }
  static HWY_INLINE float lanes(LowFloat a) { return hn::GetLane(hn::SumOfLanes(LowFloats(), a)); }
};

// out[r] = reduction over the lanes of row r, for 16 rows that lie 16 floats apart.
template <class Reduction>
HWY_INLINE void reduce_rows(const float* rows, float* out) {
  const LowFloats d;
#if SUBQUAD_HAVE_VNNI
  LowFloat pairs[8], fours[4];
  HWY_UNROLL(8) for (int i = 0; i < 8; ++i) {
    const __m512 a = _mm512_loadu_ps(rows + 32 * i), b = _mm512_loadu_ps(rows + 32 * i + 16);
    pairs[i] = Reduction::join(LowFloat{_mm512_unpacklo_ps(a, b)}, LowFloat{_mm512_unpackhi_ps(a, b)});
  }
  HWY_UNROLL(4) for (int i = 0; i < 4; ++i) {
    const __m512 a = pairs[2 * i].raw, b = pairs[2 * i + 1].raw;
    fours[i] = Reduction::join(LowFloat{_mm512_shuffle_ps(a, b, 0x44)}, LowFloat{_mm512_shuffle_ps(a, b, 0xEE)});
  }
  const auto fold = [](LowFloat a, LowFloat b) HWY_ATTR {
    return Reduction::join(LowFloat{_mm512_shuffle_f32x4(a.raw, b.raw, 0x44)},
                           LowFloat{_mm512_shuffle_f32x4(a.raw, b.raw, 0xEE)});
  };
  const __m512 low = fold(fours[0], fours[1]).raw, high = fold(fours[2], fours[3]).raw;
  const LowFloat even{_mm512_shuffle_f32x4(low, high, 0x88)}, odd{_mm512_shuffle_f32x4(low, high, 0xDD)};
  hn::StoreU(Reduction::join(even, odd), d, out);
#else
  for (int64_t r = 0; r < 16; ++r) {
    LowFloat row = hn::LoadU(d, rows + 16 * r);
    for (int64_t lane = kLowLanes; lane < 16; lane += kLowLanes) row = Reduction::join(row, hn::LoadU(d, rows + 16 * r + lane));
    out[r] = Reduction::lanes(row);
  }
#endif
}

// out[i] = x[i] as bytes for a tile's row of kTileKeys numbers in [0, 255], rounded.
HWY_INLINE void store_bytes(const LowFloat (&x)[kTileKeys / kLowLanes], uint8_t* out) {
#if SUBQUAD_HAVE_VNNI
  __m512i y[4];
  HWY_UNROLL(4) for (int v = 0; v < 4; ++v) y[v] = hn::NearestInt(x[v]).raw;
  const __m512i packed = _mm512_packus_epi16(_mm512_packus_epi32(y[0], y[1]), _mm512_packus_epi32(y[2], y[3]));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(out, _mm512_permutexvar_epi32(order, packed));
#else
  const hn::Rebind<uint8_t, LowInts> bytes;
  for (int64_t v = 0; v < kTileKeys / kLowLanes; ++v)
    hn::StoreU(hn::DemoteTo(bytes, hn::NearestInt(x[v])), bytes, out + v * kLowLanes);
#endif
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
