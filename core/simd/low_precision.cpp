#include "core/simd/low_precision_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/low_precision.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "core/simd/low_precision-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows of a register tile with four vectors per row: 6 of them take 24 of 32 registers, 2 take 8 of 16.
inline constexpr int kLowRows = kLowLanes == 16 ? 6 : 2;
static_assert(kTileQueries % kLowRows == 0);

// One tile of keys for one tile of queries.
template <bool kVnni>
class LowPass {
  static constexpr int kVectors = kTileKeys / kLowLanes;  // of a tile's row
  static constexpr int kGroupVectors = kGroupKeys / kLowLanes;
  static constexpr int32_t kWeightLevels = kVnni ? 255 : kPairWeights;

 public:
  SUBQUAD_VNNI_ATTR HWY_INLINE LowPass(const LowTile& tile, const LowQueries& queries, const LowScratch& scratch)
      : t_(tile), k_(*tile.keys), q_(queries), s_(scratch) {}

  SUBQUAD_VNNI_ATTR HWY_INLINE void logits() const {
    const int32_t least = least_position();
    for (int64_t row = 0; row < q_.rows; row += kLowRows) {
      if (t_.masked && !sees(row, least)) {
        hide(row);
      } else {
        strip(row);
        if (t_.bias != nullptr) add_bias(row);
        if (t_.masked) mask(row);
      }
    }
  }

  SUBQUAD_VNNI_ATTR HWY_INLINE int64_t attend() {
    logits();
    choose_rows();
    for (int64_t a = 0; a < active_; ++a) weigh(row_[a]);
    for (int64_t first = 0; first < q_.rows && active_ > 0; first += 16) add_sums(first);
    int64_t a = 0;
    for (; a + kLowRows <= active_; a += kLowRows) add_values<kLowRows>(a);
    for (; a + 2 <= active_; a += 2) add_values<2>(a);
    if (a < active_) add_values<1>(a);
    return active_;
  }

 private:
  int32_t least_position() const {
    int32_t least = INT32_MAX;
    for (const int64_t group : t_.group) least = std::min(least, k_.position[group * kGroupKeys]);
    return least;
  }

  int32_t latest_position() const {
    int32_t latest = -1;
    for (const int64_t group : t_.group) latest = std::max(latest, k_.position[(group + 1) * kGroupKeys - 1]);
    return std::min(latest, INT32_MAX / 2);
  }

  bool sees(int64_t row, int32_t position) const {
    int32_t last = -1;
    for (int r = 0; r < kLowRows; ++r) last = std::max(last, q_.last[row + r]);
    return position <= last;
  }

  void hide(int64_t row) const {
    std::fill_n(s_.tops + row * 16, kLowRows * 16, kHiddenLogit);
    std::fill_n(s_.logits + row * kTileKeys, kLowRows * kTileKeys, kHiddenLogit);
  }

  // Logits of kLowRows rows, four vectors of keys at a time, and per row the lane-wise maximum.
  SUBQUAD_VNNI_ATTR HWY_NOINLINE void strip(int64_t row) const {
    const LowFloats d;
    LowFloat top[kLowRows];
    HWY_UNROLL(8) for (int r = 0; r < kLowRows; ++r) top[r] = hn::Set(d, kHiddenLogit);
    for (int first = 0; first < kVectors; first += 4) {
      LowInt sum[kLowRows][4];
      const uint8_t* keys[4];
      for (int v = 0; v < 4; ++v) keys[v] = k_.k + group_of(first + v) * kGroupKeys * k_.d + lane_of(first + v) * 4;
      multiply(row, keys, sum);
      HWY_UNROLL(4) for (int v = 0; v < 4; ++v) {
        const int64_t key = group_of(first + v) * kGroupKeys + lane_of(first + v);
        const LowFloat scale = hn::LoadU(d, k_.k_scale + key), offset = hn::LoadU(d, k_.offset + key);
        HWY_UNROLL(8) for (int r = 0; r < kLowRows; ++r) {
          const LowFloat product = hn::Mul(hn::ConvertTo(d, sum[r][v]), scale);
          const LowFloat logit = hn::MulAdd(product, hn::Set(d, q_.q_scale[row + r]), offset);
          hn::StoreU(logit, d, s_.logits + (row + r) * kTileKeys + (first + v) * kLowLanes);
          top[r] = hn::Max(top[r], logit);
        }
      }
    }
    HWY_UNROLL(8) for (int r = 0; r < kLowRows; ++r) store_top(row + r, top[r]);
  }

  SUBQUAD_VNNI_ATTR HWY_INLINE void multiply(int64_t row, const uint8_t* const (&keys)[4], LowInt (&sum)[kLowRows][4]) const {
    const LowInts di;
    HWY_UNROLL(8) for (int r = 0; r < kLowRows; ++r) {
      HWY_UNROLL(4) for (int v = 0; v < 4; ++v) sum[r][v] = hn::Set(di, q_.q_start[row + r]);
    }
    const int8_t* const q = q_.q + row * k_.d;
    for (int64_t l = 0; l < k_.d; l += 4) {
      LowInt key[4];
      HWY_UNROLL(4) for (int v = 0; v < 4; ++v) key[v] = load_bytes(keys[v] + l * kGroupKeys);
      HWY_UNROLL(8) for (int r = 0; r < kLowRows; ++r) {
        const LowInt query = broadcast_bytes(q + r * k_.d + l);
        HWY_UNROLL(4) for (int v = 0; v < 4; ++v) add_byte_products<kVnni>(key[v], query, sum[r][v]);
      }
    }
  }

  int64_t group_of(int v) const { return t_.group[v / kGroupVectors]; }
  static int64_t lane_of(int v) { return v % kGroupVectors * kLowLanes; }

  static HWY_INLINE void store_top_lanes(float* tops, LowFloat top) {
    const LowFloats d;
    hn::StoreU(top, d, tops);
    for (int64_t lane = kLowLanes; lane < 16; lane += kLowLanes) hn::StoreU(top, d, tops + lane);
  }
  HWY_INLINE void store_top(int64_t row, LowFloat top) const { store_top_lanes(s_.tops + row * 16, top); }

  SUBQUAD_VNNI_ATTR HWY_NOINLINE void add_bias(int64_t first) const {
    const LowFloats d;
    for (int64_t row = first; row < first + kLowRows; ++row) {
      LowFloat top = hn::Set(d, kHiddenLogit);
      for (int v = 0; v < kVectors; ++v) {
        float* const place = s_.logits + row * kTileKeys + v * kLowLanes;
        const int64_t key = group_of(v) * kGroupKeys;
        const LowFloat logit = hn::Add(hn::LoadU(d, place), hn::LoadU(d, t_.bias + k_.position[key] + lane_of(v) - q_.row[row]));
        hn::StoreU(logit, d, place);
        top = hn::Max(top, logit);
      }
      store_top(row, top);
    }
  }

  SUBQUAD_VNNI_ATTR HWY_NOINLINE void mask(int64_t first) const {
    const LowFloats d;
    const LowInts di;
    const LowFloat hidden = hn::Set(d, kHiddenLogit);
    for (int v = 0; v < kVectors; ++v) {
      const LowInt position = hn::LoadU(di, k_.position + group_of(v) * kGroupKeys + lane_of(v));
      const LowInt bit = hn::Shl(hn::Set(di, 1), hn::Iota(di, static_cast<int32_t>(lane_of(v))));
      const auto counts = hn::TestBit(hn::Set(di, t_.lanes[v / kGroupVectors]), bit);
      for (int64_t row = first; row < first + kLowRows; ++row) {
        const auto range =
            hn::And(hn::Gt(position, hn::Set(di, q_.first[row] - 1)), hn::Lt(position, hn::Set(di, q_.last[row] + 1)));
        const auto sees = hn::And(counts, range);
        float* const place = s_.logits + row * kTileKeys + v * kLowLanes;
        const LowFloat logit = hn::IfThenElse(hn::RebindMask(d, sees), hn::LoadU(d, place), hidden);
        hn::StoreU(logit, d, place);
        store_top(row, v == 0 ? logit : hn::Max(hn::LoadU(d, s_.tops + row * 16), logit));
      }
    }
  }

  // Moves the rows' maxima, and lists the rows that the tile matters to.
  SUBQUAD_VNNI_ATTR HWY_INLINE void choose_rows() {
    const LowFloats d;
    const LowFloat keys = hn::Set(d, static_cast<float>(kTileKeys)), share = hn::Set(d, t_.limits.tile),
                   all = hn::Set(d, t_.limits.all), unit = hn::Set(d, largest_unit());
    const LowInts di;
    const LowInt reach = hn::Set(di, latest_position() + t_.limits.near);
    active_ = 0;
    for (int64_t first = 0; first < q_.rows; first += 16) {
      reduce_rows<MaxOfRows>(s_.tops + first * 16, top_ + first);
      for (int64_t row = first; row < first + 16; row += kLowLanes) {
        const LowFloat top = hn::LoadU(d, top_ + row), before = hn::LoadU(d, q_.max + row);
        const LowFloat max = hn::Max(before, top), shrink = quick_exp2(hn::Sub(before, max));
        const LowFloat mass = hn::Mul(hn::LoadU(d, q_.mass + row), shrink);
        const LowFloat largest = quick_exp2(hn::Sub(top, max)), most = hn::Mul(keys, largest);
        const auto seen = hn::Gt(top, hn::Set(d, kHiddenLogit / 2));
        const LowFloat sum = hn::Mul(hn::LoadU(d, q_.sum + row), shrink);
        const LowFloat missed = hn::Mul(hn::LoadU(d, q_.missed + row), shrink), with_tile = hn::Add(missed, most);
        const LowFloat missed_sum = hn::Mul(hn::LoadU(d, q_.missed_sum + row), shrink),
                       sum_with_tile = hn::MulAdd(most, unit, missed_sum);
        // Neither the tile nor all that is left out with it is much.
        const auto small = hn::And(hn::Lt(most, hn::Mul(share, mass)), hn::Lt(hn::Mul(most, unit), hn::Mul(share, sum)));
        const auto few = hn::And(hn::Lt(with_tile, hn::Mul(all, mass)), hn::Lt(sum_with_tile, hn::Mul(all, sum)));
        const auto far = hn::RebindMask(d, hn::Gt(hn::LoadU(di, q_.last + row), reach));
        const auto spared = hn::And(far, hn::And(small, few));
        const auto matters = hn::AndNot(spared, seen), left_out = hn::And(seen, spared);
        hn::StoreU(hn::IfThenElse(left_out, with_tile, missed), d, q_.missed + row);
        hn::StoreU(hn::IfThenElse(left_out, sum_with_tile, missed_sum), d, q_.missed_sum + row);
        hn::StoreU(mass, d, q_.mass + row);
        hn::StoreU(sum, d, q_.sum + row);
        hn::StoreU(max, d, q_.max + row);
        hn::StoreU(largest, d, scale_ + row);
        if (const auto rises = hn::Gt(top, before); !hn::AllFalse(d, rises)) rescale(row, shrink);
        uint8_t bits[8] = {0};
        hn::StoreMaskBits(d, matters, bits);
        for (uint32_t left = bits[0] | static_cast<uint32_t>(bits[1]) << 8; left != 0; left &= left - 1) {
          const int64_t found = row + __builtin_ctz(left);
          if (found < q_.rows) row_[active_++] = found;
        }
      }
    }
  }

  SUBQUAD_VNNI_ATTR HWY_INLINE float largest_unit() const {
    const LowFloats d;
    LowFloat largest = hn::Zero(d);
    for (int v = 0; v < kVectors; ++v) largest = hn::Max(largest, hn::LoadU(d, k_.unit + group_of(v) * kGroupKeys + lane_of(v)));
    return hn::GetLane(hn::MaxOfLanes(d, largest));
  }

  SUBQUAD_VNNI_ATTR HWY_INLINE void rescale(int64_t first, LowFloat factors) const {
    const LowFloats d;
    alignas(64) float factor[kLowLanes];
    hn::Store(factors, d, factor);
    for (int64_t r = 0; r < kLowLanes; ++r) {
      if (factor[r] == 1) continue;
      float* const o = q_.o + (first + r) * k_.d_v;
      const LowFloat f = hn::Set(d, factor[r]);
      for (int64_t c = 0; c < k_.d_v; c += kLowLanes) hn::StoreU(hn::Mul(hn::LoadU(d, o + c), f), d, o + c);
    }
  }

  // Weights of one row relative to its largest in the tile, as bytes; their sums, still by lanes, go to tops and masses.
  SUBQUAD_VNNI_ATTR HWY_INLINE void weigh(int64_t row) const {
    const LowFloats d;
    const LowFloat top = hn::Set(d, top_[row]), levels = hn::Set(d, static_cast<float>(kWeightLevels));
    LowFloat sum = hn::Zero(d), mass = hn::Zero(d), bytes[kVectors];
    HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) {
      const LowFloat weight = quick_exp2(hn::Sub(hn::LoadU(d, s_.logits + row * kTileKeys + v * kLowLanes), top));
      sum = hn::MulAdd(weight, hn::LoadU(d, k_.unit + group_of(v) * kGroupKeys + lane_of(v)), sum);
      mass = hn::Add(mass, weight);
      bytes[v] = hn::Mul(weight, levels);
    }
    store_bytes(bytes, s_.weights + row * kTileKeys);
    store_sum(s_.tops + row * 16, sum);
    store_sum(s_.masses + row * 16, mass);
  }

  static HWY_INLINE void store_sum(float* to, LowFloat sum) {
    const LowFloats d;
    hn::StoreU(sum, d, to);
    for (int64_t lane = kLowLanes; lane < 16; lane += kLowLanes) hn::StoreU(hn::Zero(d), d, to + lane);
  }

  SUBQUAD_VNNI_ATTR HWY_INLINE void add_sums(int64_t first) const {
    alignas(64) float sums[16], masses[16];
    reduce_rows<SumOfRows>(s_.tops + first * 16, sums);
    reduce_rows<SumOfRows>(s_.masses + first * 16, masses);
    for (int64_t a = 0; a < active_; ++a) {
      const int64_t row = row_[a];
      if (row < first || row >= first + 16) continue;
      q_.sum[row] += scale_[row] * sums[row - first];
      q_.mass[row] += scale_[row] * masses[row - first];
    }
  }

  template <int Rows>
  SUBQUAD_VNNI_ATTR HWY_INLINE void add_values(int64_t active) const {
    int64_t c = 0;
    for (; c + 4 * kLowLanes <= k_.d_v; c += 4 * kLowLanes) add_columns<Rows, 4>(active, c);
    for (; c < k_.d_v; c += kLowLanes) add_columns<Rows, 1>(active, c);
  }

  // o[row][c ..] += weights times values, for Vectors vectors of columns.
  template <int Rows, int Vectors>
  SUBQUAD_VNNI_ATTR HWY_NOINLINE void add_columns(int64_t active, int64_t c) const {
    const LowFloats d;
    const LowInts di;
    LowInt sum[Rows][Vectors];
    const uint8_t* weights[Rows];
    HWY_UNROLL(8) for (int r = 0; r < Rows; ++r) {
      weights[r] = s_.weights + row_[active + r] * kTileKeys;
      HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) sum[r][v] = hn::Zero(di);
    }
    for (int64_t g = 0; g < kTileGroups; ++g) {
      const int8_t* values = k_.v + t_.group[g] * kGroupKeys * k_.d_v + c * 4;
      for (int64_t key = 0; key < kGroupKeys; key += 4, values += 4 * k_.d_v) {
        LowInt value[Vectors];
        HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) value[v] = load_bytes(values + v * kLowLanes * 4);
        HWY_UNROLL(8) for (int r = 0; r < Rows; ++r) {
          const LowInt weight = broadcast_bytes(weights[r] + g * kGroupKeys + key);
          HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) add_byte_products<kVnni>(weight, value[v], sum[r][v]);
        }
      }
    }
    HWY_UNROLL(8) for (int r = 0; r < Rows; ++r) {
      const int64_t row = row_[active + r];
      const LowFloat scale = hn::Set(d, scale_[row] / kWeightLevels);
      float* const o = q_.o + row * k_.d_v + c;
      HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
        float* const place = o + v * kLowLanes;
        hn::StoreU(hn::MulAdd(hn::ConvertTo(d, sum[r][v]), scale, hn::LoadU(d, place)), d, place);
      }
    }
  }

  const LowTile& t_;
  const LowKeys& k_;
  const LowQueries& q_;
  const LowScratch& s_;
  alignas(64) float top_[kTileQueries];    // largest logit of the tile
  alignas(64) float scale_[kTileQueries];  // 2^(top - max)
  int64_t row_[kTileQueries];              // active ones
  int64_t active_ = 0;
};

template <bool kVnni>
SUBQUAD_VNNI_ATTR int64_t attend(const LowTile& tile, const LowQueries& queries, const LowScratch& scratch) {
  return LowPass<kVnni>(tile, queries, scratch).attend();
}

template <bool kVnni>
SUBQUAD_VNNI_ATTR void only_logits(const LowTile& tile, const LowQueries& queries, const LowScratch& scratch) {
  LowPass<kVnni>(tile, queries, scratch).logits();
}

void row_shares(const float* logits, const float* reference, int64_t rows, float* row_sums, float* totals) {
  const LowFloats d;
  std::fill_n(totals, kTileKeys, 0.0f);
  for (int64_t row = 0; row < rows; ++row) {
    const LowFloat least = hn::Set(d, reference[row]);
    LowFloat sum = hn::Zero(d);
    for (int64_t key = 0; key < kTileKeys; key += kLowLanes) {
      const LowFloat share = quick_exp2(hn::Sub(hn::LoadU(d, logits + row * kTileKeys + key), least));
      sum = hn::Add(sum, share);
      hn::StoreU(hn::Add(share, hn::LoadU(d, totals + key)), d, totals + key);
    }
    row_sums[row] += hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

void column_tops(const float* logits, const float* reference, int64_t rows, float* largest) {
  const LowFloats d;
  for (int64_t key = 0; key < kTileKeys; key += kLowLanes) {
    LowFloat top = hn::Set(d, kHiddenLogit);
    for (int64_t row = 0; row < rows; ++row)
      top = hn::Max(top, hn::Sub(hn::LoadU(d, logits + row * kTileKeys + key), hn::Set(d, reference[row])));
    hn::StoreU(top, d, largest + key);
  }
}

float quantize_row(const float* x, const float* center, int64_t n, int32_t levels, int8_t* out) {
  const LowFloats d;
  const hn::Rebind<int8_t, LowInts> bytes;
  const auto load = [&](int64_t c) HWY_ATTR {
    const LowFloat value = hn::LoadU(d, x + c);
    return center == nullptr ? value : hn::Sub(value, hn::LoadU(d, center + c));
  };
  LowFloat most = hn::Zero(d);
  int64_t c = 0;
  for (; c + kLowLanes <= n; c += kLowLanes) most = hn::Max(most, hn::Abs(load(c)));
  float largest = hn::GetLane(hn::MaxOfLanes(d, most));
  const auto single = [&](int64_t i) { return center == nullptr ? x[i] : x[i] - center[i]; };
  for (int64_t i = c; i < n; ++i) largest = std::max(largest, std::abs(single(i)));
  const float to_levels = largest > 0 ? static_cast<float>(levels) / largest : 0;
  const LowFloat factor = hn::Set(d, to_levels);
  for (c = 0; c + kLowLanes <= n; c += kLowLanes) {
    hn::StoreU(hn::DemoteTo(bytes, hn::NearestInt(hn::Mul(load(c), factor))), bytes, out + c);
  }
  for (; c < n; ++c) out[c] = static_cast<int8_t>(std::lrint(single(c) * to_levels));
  return largest / static_cast<float>(levels);
}

// Costs: docs/decisions/0013.
const LowPrecisionKernels& plain_low_precision() {
  static constexpr bool kPairs = kPairLevels == 63;
  static constexpr LowPrecisionKernels table = {kPairLevels,        kPairWeights,  kPairs ? 0.5 : 2.0,
                                                kPairs ? 0.6 : 2.0, attend<false>, only_logits<false>,
                                                row_shares,         column_tops,   quantize_row};
  return table;
}

const LowPrecisionKernels& vnni_low_precision() {
#if SUBQUAD_HAVE_VNNI
  static constexpr LowPrecisionKernels table = {127,        255,         0.16,        0.21, attend<true>, only_logits<true>,
                                                row_shares, column_tops, quantize_row};
  return table;
#else
  return plain_low_precision();
#endif
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(plain_low_precision);
HWY_EXPORT(vnni_low_precision);

namespace {

bool processor_has_vnni() {
#if HWY_ARCH_X86 && (HWY_COMPILER_GCC || HWY_COMPILER_CLANG)
  return __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

}  // namespace

const LowPrecisionKernels& low_precision_kernels(Target target) {
  static const bool vnni = processor_has_vnni();
  return vnni ? SUBQUAD_DISPATCH(vnni_low_precision, target)() : SUBQUAD_DISPATCH(plain_low_precision, target)();
}

}  // namespace subquad::simd
#endif
