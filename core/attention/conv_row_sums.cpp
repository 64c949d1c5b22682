// Row i of segment [s, e) sums a kernel over the lags [i - e + 1, i - s]: a sliding window. Cutting the lags at multiples of the
// window's length, each window is the end of one piece and the beginning of the next: suffix sum plus prefix sum, all terms
// positive. Differences of prefix sums over the whole kernel would lose the small rows.
#include "core/attention/conv_row_sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "core/attention/layout.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/simd/exp2.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kGroups = 8;       // of segments, each with its own sums: tasks for threads, and a fixed order of additions
constexpr double kPlainRange = 450;  // of logits in units of log 2: a double holds sums of powers in it, and of their squares
constexpr int64_t kChunk = int64_t{1} << 14;
constexpr double kMostSum = 0x1p36;  // of |log2 of a sum|: beyond, too few digits of a double are left for differences
constexpr double kNothing = -std::numeric_limits<double>::infinity();

// A positive number with a range that no logit exhausts: mantissa * 2^exponent.
struct Scaled {
  double mantissa = 0, exponent = 0;
};

Scaled operator+(const Scaled& a, const Scaled& b) {
  if (a.mantissa == 0) return b;
  if (b.mantissa == 0) return a;
  const Scaled &high = a.exponent >= b.exponent ? a : b, &low = a.exponent >= b.exponent ? b : a;
  const double sum = high.mantissa + std::exp2(std::max(low.exponent - high.exponent, -1000.0)) * low.mantissa;
  return sum < 0x1p500 ? Scaled{sum, high.exponent} : Scaled{sum * 0x1p-500, high.exponent + 500};
}

double log2_of(double x) { return std::log2(x); }
double log2_of(const Scaled& x) { return x.mantissa == 0 ? kNothing : std::log2(x.mantissa) + x.exponent; }

double square(double x) { return x * x; }
Scaled square(const Scaled& x) { return {x.mantissa * x.mantissa, 2 * x.exponent}; }

// numbers[t] = 2^x[t]; x is spoilt.
void powers(simd::Target target, double* x, double* numbers, int64_t count) {
  simd::exp2_array<double>(target, x, numbers, count);
}
void powers(simd::Target target, double* x, Scaled* numbers, int64_t count) {
  for (int64_t t = 0; t < count; ++t) {
    numbers[t].exponent = std::floor(x[t]);
    x[t] -= numbers[t].exponent;
  }
  std::vector<double> mantissas(static_cast<size_t>(count));
  simd::exp2_array<double>(target, x, mantissas.data(), count);
  for (int64_t t = 0; t < count; ++t) numbers[t].mantissa = mantissas[static_cast<size_t>(t)];
}

// out[a] += sum of entries[max(0, a - width + 1) .. a]; scratch: 2 * width.
template <class Number>
void add_window_sums(const Number* entries, int64_t count, int64_t width, Number* scratch, Number* out) {
  Number *before = scratch, *own = scratch + width;  // suffix sums of the piece before and of this one
  for (int64_t first = 0; first < count; first += width) {
    const int64_t size = std::min(width, count - first);
    const Number* const piece = entries + first;
    Number prefix{}, suffix{};
    for (int64_t x = 0; x < size; ++x) {  // both sums in one loop: neither waits for the other's additions
      prefix = prefix + piece[x];
      out[first + x] = out[first + x] + (first > 0 && x + 1 < width ? prefix + before[x + 1] : prefix);
      own[size - 1 - x] = suffix = suffix + piece[size - 1 - x];
    }
    std::swap(before, own);
  }
}

// Sums in four parts, so that an addition need not wait for the one before.
template <class Number>
Number sum_of_squares(const Number* entries, int64_t count) {
  Number parts[4]{};
  for (int64_t t = 0; t < count; ++t) parts[t % 4] = parts[t % 4] + square(entries[t]);
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

template <class T>
class RowSums {
 public:
  RowSums(const Team& team, simd::Target target, Workspace& workspace, const std::vector<ConvSegment<T>>& segments, int64_t n,
          int64_t lag_block)
      : team_(team), target_(target), workspace_(workspace), segments_(segments), n_(n), lag_block_(lag_block) {}

  ConvRowSums compute() {
    find_range();
    result_.log2_sums.resize(static_cast<size_t>(n_));
    result_.log2_energy.resize(segments_.size());
    result_.log2_highest = highest_;
    if (highest_ - lowest_ <= kPlainRange) {
      sum<double>();
    } else {
      sum<Scaled>();
    }
    return std::move(result_);
  }

 private:
  int64_t groups() const { return std::min<int64_t>(kGroups, static_cast<int64_t>(segments_.size())); }
  size_t first_of(int64_t group) const { return segments_.size() * static_cast<size_t>(group) / static_cast<size_t>(groups()); }

  void find_range() {
    std::vector<double> lowest(segments_.size()), highest(segments_.size());
    team_.run(static_cast<int64_t>(segments_.size()), [&](int64_t task, int64_t) {
      const ConvSegment<T>& segment = segments_[static_cast<size_t>(task)];
      T least = segment.entry(0), most = least;
      for (int64_t from = 0; segment.kernel != nullptr && from < n_ - segment.first; from += kChunk) {
        const int64_t to = std::min(from + kChunk, n_ - segment.first);
        for (int64_t t = from; t < to; ++t) {
          least = std::min(least, segment.kernel[t]);
          most = std::max(most, segment.kernel[t]);
        }
        team_.monitor().advance(0);
      }
      lowest[static_cast<size_t>(task)] = static_cast<double>(least) * kLog2E;
      highest[static_cast<size_t>(task)] = static_cast<double>(most) * kLog2E;
    });
    lowest_ = *std::min_element(lowest.begin(), lowest.end());
    highest_ = *std::max_element(highest.begin(), highest.end());
  }

  template <class Number>
  void sum() {
    const double reference = std::is_same_v<Number, double> ? highest_ : 0.0;
    const Lease<Number> sums(workspace_, groups() * n_), entries(workspace_, team_.size() * n_),
        scratch(workspace_, team_.size() * 2 * n_);
    const Lease<double> exponents(workspace_, team_.size() * kChunk);
    team_.run(groups(), [&](int64_t group, int64_t member) {
      Number *const own = sums.get() + group * n_, *const mine = entries.get() + member * n_;
      std::fill(own, own + n_, Number{});
      for (size_t s = first_of(group); s < first_of(group + 1); ++s) {
        const ConvSegment<T>& segment = segments_[s];
        fill_entries(segment, reference, exponents.get() + member * kChunk, mine);
        result_.log2_energy[s] = energy(mine, n_ - segment.first, reference);
        add_window_sums(mine, n_ - segment.first, segment.last - segment.first, scratch.get() + member * 2 * n_,
                        own + segment.first);
        team_.monitor().advance(0);
      }
    });
    const int64_t chunks = (n_ + kChunk - 1) / kChunk;
    team_.run(chunks, [&](int64_t chunk, int64_t) {
      for (int64_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, n_); ++i) {
        Number total{};
        for (int64_t group = 0; group < groups(); ++group) total = total + sums.get()[group * n_ + i];
        const double sum = log2_of(total) + reference;
        result_.log2_sums[static_cast<size_t>(i)] = sum;
        if (std::fabs(sum) > kMostSum)
          throw Error(Status::err_overflow, "the logits of row " + std::to_string(i) + " have the log-sum-exp " +
                                                text(sum * kLn2) + ", beyond what a softmax can tell apart");
      }
      team_.monitor().advance(0);
    });
  }

  template <class Number>
  void fill_entries(const ConvSegment<T>& segment, double reference, double* exponents, Number* entries) {
    for (int64_t from = 0; from < n_ - segment.first; from += kChunk) {
      const int64_t count = std::min(kChunk, n_ - segment.first - from);
      for (int64_t t = 0; t < count; ++t) exponents[t] = static_cast<double>(segment.entry(from + t)) * kLog2E - reference;
      powers(target_, exponents, entries + from, count);
      team_.monitor().advance(0);
    }
  }

  template <class Number>
  std::vector<double> energy(const Number* entries, int64_t count, double reference) const {
    std::vector<double> list;
    for (int64_t from = 0; from < count; from += lag_block_) {
      const Number total = sum_of_squares(entries + from, std::min(lag_block_, count - from));
      list.push_back(log2_of(total) + 2 * reference);
    }
    return list;
  }

  const Team& team_;
  simd::Target target_;
  Workspace& workspace_;
  const std::vector<ConvSegment<T>>& segments_;
  const int64_t n_, lag_block_;
  double lowest_ = 0, highest_ = 0;
  ConvRowSums result_;
};

}  // namespace

template <class T>
ConvRowSums conv_row_sums(const Team& team, simd::Target target, Workspace& workspace,
                          const std::vector<ConvSegment<T>>& segments, int64_t n, int64_t lag_block) {
  if (n == 0) return {};
  return RowSums<T>(team, target, workspace, segments, n, lag_block).compute();
}

#define SUBQUAD_INSTANTIATE(T)                                                                                              \
  template ConvRowSums conv_row_sums<T>(const Team&, simd::Target, Workspace&, const std::vector<ConvSegment<T>>&, int64_t, \
                                        int64_t);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
