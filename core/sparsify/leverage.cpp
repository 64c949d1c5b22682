// Method: [CohenLewis] sampling by leverage scores, as a race [CohenKaplan]: column j arrives at a time that is exponential
// with rate r_j, a pure function of (seed, j). Differs: the columns that arrive before T are kept once, with weight 1 / P(arrived),
// in place of draws with replacement; the error is never larger in the sense of the bounds (docs/math/sparsify.md).
#include "core/sparsify/leverage.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>

#include "core/random/philox.hpp"
#include "core/sparsify/gram_sum.hpp"
#include "core/sparsify/streams.hpp"

namespace subquad::sparsify {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// The arrival time of column j at rate 1: uniform words to 53 bits, never 0 or 1.
double unit_arrival(uint64_t seed, int64_t j) {
  const auto index = 2 * static_cast<uint64_t>(j);
  const double u =
      ((random_word(seed, kArrivalStream, index) >> 5) * 0x1p26 + (random_word(seed, kArrivalStream, index + 1) >> 6) + 0.5) *
      0x1p-53;
  return -std::log(u);
}

double exponent_of(double eps) { return (1 + eps) * std::log1p(eps) - eps; }

template <class T>
struct Arrival {
  double time, rate;
  int64_t column;
  std::vector<T> entries;  // of a column that cannot be read again
  bool operator<(const Arrival& other) const { return time < other.time || (time == other.time && column < other.column); }
};

// The earliest arrivals: one more than `most`, or all before `limit`. Which ones they are does not depend on the order of offers.
template <class T>
class Arrivals {
 public:
  Arrivals(std::optional<int64_t> most, double limit) : most_(most), limit_(most ? kNever : limit) {}

  // Later ones are not wanted any more.
  double limit() const { return limit_.load(std::memory_order_relaxed); }

  void offer(Arrival<T> arrival) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!(arrival.time < limit_.load())) return;
    heap_.push_back(std::move(arrival));
    std::push_heap(heap_.begin(), heap_.end());
    if (!most_) return;
    if (static_cast<int64_t>(heap_.size()) > *most_ + 1) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.pop_back();
    }
    if (static_cast<int64_t>(heap_.size()) == *most_ + 1) limit_ = std::nextafter(heap_.front().time, kNever);
  }

  Choice<T> choose() {
    double end = limit_;
    if (most_) {
      const bool full = static_cast<int64_t>(heap_.size()) == *most_ + 1;
      end = full ? heap_.front().time : kNever;
      if (full) {
        std::pop_heap(heap_.begin(), heap_.end());
        heap_.pop_back();
      }
    }
    std::sort(heap_.begin(), heap_.end(), [](const auto& a, const auto& b) { return a.column < b.column; });
    Choice<T> choice;
    choice.end = end;
    for (const auto& arrival : heap_) {
      choice.indices.push_back(arrival.column);
      choice.weights.push_back(-1 / std::expm1(-end * arrival.rate));
      choice.columns.insert(choice.columns.end(), arrival.entries.begin(), arrival.entries.end());
    }
    return choice;
  }

 private:
  std::optional<int64_t> most_;
  std::atomic<double> limit_;
  std::mutex mutex_;
  std::vector<Arrival<T>> heap_;  // the latest first
};

// Offers the columns of one slot.
template <class T>
class Sampler {
 public:
  Sampler(Execution& run, const Columns<T>& x, const Sampling<T>& sampling, const Packed<T>& w, const Packed<T>* z,
          Arrivals<T>& arrivals)
      : x_(x), sampling_(sampling), full_(run, w), arrivals_(arrivals), sparse_(x.all_sparse()) {
    if (z != nullptr) projected_.emplace(run, *z);
  }

  void offer(ColumnReader<T>& reader, int64_t first, int64_t count) {
    read(reader, first, count);
    bounds_.resize(static_cast<size_t>(count));
    norms_of(projected_ ? *projected_ : full_, count, bounds_.data());
    if (!projected_) {
      for (int64_t c = 0; c < count; ++c) arrive(reader, first + c, bounds_[static_cast<size_t>(c)]);
      return;
    }
    // Norms are computed in full only where the column might arrive in time.
    candidates_.clear();
    for (int64_t c = 0; c < count; ++c) {
      double& bound = bounds_[static_cast<size_t>(c)];
      bound /= sampling_.projections->least;
      if (bound > 0 && unit_arrival(sampling_.seed, first + c) < arrivals_.limit() * bound) candidates_.push_back(c);
    }
    full_norms();
    for (size_t i = 0; i < candidates_.size(); ++i) {
      arrive(reader, first + candidates_[i], std::min(norms_[i], bounds_[static_cast<size_t>(candidates_[i])]));
    }
  }

 private:
  void arrive(ColumnReader<T>& reader, int64_t j, double rate) {
    if (!(rate > 0)) return;
    Arrival<T> arrival{unit_arrival(sampling_.seed, j) / rate, rate, j, {}};
    if (!(arrival.time < arrivals_.limit())) return;
    if (!x_.in_memory()) {
      arrival.entries.resize(static_cast<size_t>(x_.rows()));
      reader.copy(j, 1, arrival.entries.data());
    }
    arrivals_.offer(std::move(arrival));
  }

  void read(ColumnReader<T>& reader, int64_t first, int64_t count) {
    if (sparse_) {
      lists_ = reader.lists(first, count);
    } else {
      panel_ = reader.dense(first, count, &stride_);
    }
  }

  void norms_of(ColumnNorms<T>& norms, int64_t count, double* out) {
    if (sparse_) return norms.of_lists(lists_, count, out);
    norms.of_panel(panel_, stride_, count, out);
  }

  void full_norms() {
    norms_.resize(candidates_.size());
    if (sparse_) {
      for (size_t i = 0; i < candidates_.size(); ++i) {
        full_.of_lists({lists_.offsets + candidates_[i], lists_.rows, lists_.base, lists_.values}, 1, &norms_[i]);
      }
      return;
    }
    const int64_t n = x_.rows();
    gathered_.resize(candidates_.size() * static_cast<size_t>(n));
    for (size_t i = 0; i < candidates_.size(); ++i) {
      std::copy_n(panel_ + candidates_[i] * stride_, n, gathered_.data() + i * static_cast<size_t>(n));
    }
    full_.of_panel(gathered_.data(), n, static_cast<int64_t>(candidates_.size()), norms_.data());
  }

  const Columns<T>& x_;
  const Sampling<T>& sampling_;
  ColumnNorms<T> full_;
  std::optional<ColumnNorms<T>> projected_;
  Arrivals<T>& arrivals_;
  bool sparse_;
  ColumnLists<T> lists_{};
  const T* panel_ = nullptr;
  int64_t stride_ = 0;
  std::vector<double> bounds_, norms_;
  std::vector<int64_t> candidates_;
  std::vector<T> gathered_;
};

}  // namespace

// e is exceeded on either side with probability at most rank exp(-limit least h(e)): docs/math/sparsify.md.
double arrival_limit(int64_t rank, double eps, double failure, double least) {
  return std::log(2 * static_cast<double>(std::max<int64_t>(rank, 1)) / failure) / (least * exponent_of(eps));
}

double arrival_bound(int64_t rank, double limit, double failure, double least) {
  double low = 0, high = 1;
  while (arrival_limit(rank, high, failure, least) > limit) high *= 2;
  for (int step = 0; step < 100; ++step) {
    const double middle = 0.5 * (low + high);
    (arrival_limit(rank, middle, failure, least) > limit ? low : high) = middle;
  }
  return high;
}

template <class T>
Choice<T> sample_columns(Execution& run, Monitor& monitor, const Columns<T>& x, const Sampling<T>& sampling) {
  const Packed<T> w(run, sampling.whitening.w);
  std::optional<Packed<T>> z;
  if (sampling.projections != nullptr) z.emplace(run, sampling.projections->z);
  Arrivals<T> arrivals(sampling.most, sampling.limit);
  std::optional<Packed<double>> gram_w;
  std::vector<GramSum> sums;
  constexpr int64_t kSlots = 64, kGramSlots = 8;
  const int64_t slots = sampling.gram != nullptr ? kGramSlots : kSlots;
  if (sampling.gram != nullptr) {
    gram_w.emplace(run, sampling.whitening.w);
    for (int64_t slot = 0; slot < slots; ++slot) sums.emplace_back(run, *gram_w);
  }
  x.pass(run, monitor, slots, Columns<T>::Check::no, [&](int64_t slot, ColumnReader<T>& reader, int64_t first, int64_t last) {
    Sampler<T> sampler(run, x, sampling, w, z ? &*z : nullptr, arrivals);
    const int64_t width = sums.empty() ? reader.convenient() : GramSum::kColumns;
    for (int64_t j = first; j < last; j += width) {
      const int64_t count = std::min(width, last - j);
      sampler.offer(reader, j, count);
      if (!sums.empty()) sums[static_cast<size_t>(slot)].add(monitor, reader.doubles(j, count), count);
      monitor.advance(count);
    }
  });
  if (sampling.gram != nullptr) {
    sampling.gram->zeros(sampling.whitening.w.n_cols, sampling.whitening.w.n_cols);
    for (const GramSum& sum : sums) sum.add_to(*sampling.gram);
  }
  Choice<T> choice = arrivals.choose();
  if (x.in_memory()) choice.columns = gather_columns(run, monitor, x, choice.indices);
  return choice;
}

template <class T>
std::vector<T> gather_columns(Execution& run, Monitor& monitor, const Columns<T>& x, const std::vector<int64_t>& indices) {
  const int64_t n = x.rows();
  std::vector<T> result(indices.size() * static_cast<size_t>(n));
  if (!x.in_memory()) {
    T* place = result.data();
    for (const int64_t j : indices) {
      x.pass_over(run, monitor, 1, Columns<T>::Check::no, j, j + 1,
                  [&](int64_t, ColumnReader<T>& reader, int64_t, int64_t) { reader.copy(j, 1, place); });
      place += n;
    }
    return result;
  }
  const typename ColumnReader<T>::Fetched nothing{std::vector<const T*>(x.parts().size()), 0};
  constexpr int64_t kColumns = 64;
  run.pool.run((static_cast<int64_t>(indices.size()) + kColumns - 1) / kColumns, monitor, [&](int64_t task, int64_t) {
    ColumnReader<T> reader(x, run, nothing);
    for (auto i = static_cast<size_t>(task * kColumns); i < std::min(static_cast<size_t>((task + 1) * kColumns), indices.size());
         ++i) {
      reader.copy(indices[i], 1, result.data() + i * static_cast<size_t>(n));
      monitor.advance(0);
    }
  });
  return result;
}

#define SUBQUAD_INSTANTIATE(T)                                                                       \
  template Choice<T> sample_columns<T>(Execution&, Monitor&, const Columns<T>&, const Sampling<T>&); \
  template std::vector<T> gather_columns<T>(Execution&, Monitor&, const Columns<T>&, const std::vector<int64_t>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::sparsify
