// Method: bottom-up merging of neighbours by the growth of the sum of squares (Ward), on logits at sampled lags. Each sampled lag stands
// for those up to the next one, so that a cost estimates what a merger adds to the squared error over all pairs.
#include "core/attention/conv_cuts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/simd/products.hpp"

namespace subquad::attention {

namespace {

// 0, 1, 2, then by factors of sqrt(2): a few dozen, dense where kernels of sequences change fastest.
std::vector<int64_t> sampled_lags(int64_t n) {
  std::vector<int64_t> lags{0};
  for (int64_t step = 0;; ++step) {
    const auto lag = static_cast<int64_t>(std::exp2(static_cast<double>(step) / 2));
    if (lag >= n) return lags;
    if (lag > lags.back()) lags.push_back(lag);
  }
}

template <class T>
class Merging {
 public:
  Merging(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale)
      : run_(run),
        team_(team),
        q_(q),
        k_(k),
        scale_(scale),
        n_(q.shape[0]),
        lags_(sampled_lags(n_)),
        samples_(static_cast<int64_t>(lags_.size())),
        means_(run.workspace, n_ * samples_),
        segments_(run.workspace, n_),
        heap_(run.workspace, 3 * n_) {
    for (int64_t m = 0; m < samples_; ++m) weights_.push_back(static_cast<double>((m + 1 < samples_ ? lag(m + 1) : n_) - lag(m)));
  }

  std::vector<int64_t> rank() {
    sample_logits();
    const double equal = equality();
    for (int64_t j = 0; j < n_; ++j) segments_.get()[j] = {j - 1, j + 1, 0};
    for (int64_t j = 0; j + 1 < n_; ++j) {
      push(j, j + 1);
      look(j, samples_);
    }
    std::vector<int64_t> cuts;
    for (int64_t merged = 0; count_ > 0;) {
      const Candidate best = pop();
      if (best.left_version != at(best.left).version || best.right_version != at(best.right).version) continue;
      if (largest_difference(best.left, best.right) > equal) cuts.push_back(best.right);
      merge(best.left, best.right);
      look(++merged, 4 * samples_);
    }
    std::reverse(cuts.begin(), cuts.end());
    return cuts;
  }

 private:
  // Keys [first, next), known by their first; neighbours in a list. A segment that another has taken in has version kGone.
  struct Segment {
    int64_t previous, next, version;
  };
  static constexpr int64_t kGone = -1;
  struct Candidate {
    double cost;
    int64_t left, right, left_version, right_version;
    // Heap order: cheapest on top, then the earliest.
    bool operator<(const Candidate& other) const { return cost != other.cost ? cost > other.cost : left > other.left; }
  };

  int64_t lag(int64_t m) const { return lags_[static_cast<size_t>(m)]; }
  Segment& at(int64_t first) const { return segments_.get()[first]; }
  T* means(int64_t first) const { return means_.get() + first * samples_; }
  // Keys of a segment whose column reaches lag m.
  double reach(int64_t first, int64_t m) const {
    return static_cast<double>(std::clamp<int64_t>(n_ - lag(m) - first, 0, at(first).next - first));
  }

  void sample_logits() {
    constexpr int64_t kKeys = 256;
    const simd::ProductKernels<T>& kernels = simd::product_kernels<T>(run_.target);
    team_.run((n_ + kKeys - 1) / kKeys, [&](int64_t task, int64_t) {
      const int64_t first = task * kKeys, last = std::min(first + kKeys, n_);
      double logits[kKeys];
      for (int64_t m = 0; m < samples_ && first + lag(m) < n_; ++m) {
        const int64_t keys = std::min(last, n_ - lag(m)) - first;
        kernels.dots({q_.at(first + lag(m)), k_.at(first), q_.strides[0], k_.strides[0], keys, q_.shape[1], logits});
        for (int64_t j = 0; j < keys; ++j) means(first + j)[m] = static_cast<T>(scale_ * logits[j]);
        team_.monitor().advance(0);
      }
    });
  }

  double largest_norm(const View<const T, 2>& rows) const {
    double largest = 0;
    for (int64_t i = 0; i < n_; ++i) {
      double sum = 0;
      for (int64_t l = 0; l < rows.shape[1]; ++l)
        sum += static_cast<double>(*rows.at(i, l)) * static_cast<double>(*rows.at(i, l));
      largest = std::max(largest, sum);
      look(i, rows.shape[1]);
    }
    return std::sqrt(largest);
  }

  // Columns made to be equal differ by the rounding of q, k and of the sampled logits themselves: a bound for each, of the type's
  // precision times the largest |scale| |q| |k|.
  double equality() const {
    const double terms = static_cast<double>(q_.shape[1]) + 4;
    return terms * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::fabs(scale_) * largest_norm(q_) *
           largest_norm(k_);
  }

  // At the monitor, now and then in a loop of `work` steps each.
  void look(int64_t index, int64_t work) const {
    if (index % std::max<int64_t>((int64_t{1} << 18) / work, 1) == 0) team_.monitor().advance(0);
  }

  double largest_difference(int64_t left, int64_t right) const {
    double largest = 0;
    for (int64_t m = 0; m < samples_ && reach(right, m) > 0; ++m) {
      largest = std::max(largest, std::fabs(static_cast<double>(means(left)[m]) - static_cast<double>(means(right)[m])));
    }
    return largest;
  }

  // What merging adds to the sum of squares about the segments' means.
  double cost(int64_t left, int64_t right) const {
    double sum = 0;
    for (int64_t m = 0; m < samples_; ++m) {
      const double a = reach(left, m), b = reach(right, m);
      if (b == 0) break;
      const double difference = static_cast<double>(means(left)[m]) - static_cast<double>(means(right)[m]);
      sum += weights_[static_cast<size_t>(m)] * (a * b / (a + b)) * difference * difference;
    }
    return std::isnan(sum) ? std::numeric_limits<double>::infinity() : sum;  // the heap wants an order whatever the logits are
  }

  void push(int64_t left, int64_t right) {
    heap_.get()[count_++] = {cost(left, right), left, right, at(left).version, at(right).version};
    std::push_heap(heap_.get(), heap_.get() + count_);
  }

  Candidate pop() {
    std::pop_heap(heap_.get(), heap_.get() + count_);
    return heap_.get()[--count_];
  }

  void merge(int64_t left, int64_t right) {
    for (int64_t m = 0; m < samples_; ++m) {
      const double a = reach(left, m), b = reach(right, m);
      if (b == 0) break;
      T& mean = means(left)[m];
      mean = static_cast<T>((a * static_cast<double>(mean) + b * static_cast<double>(means(right)[m])) / (a + b));
    }
    Segment &own = at(left), &other = at(right);
    own.next = other.next;
    ++own.version;
    other.version = kGone;
    if (own.next < n_) {
      at(own.next).previous = left;
      push(left, own.next);
    }
    if (own.previous >= 0) push(own.previous, left);
  }

  Execution& run_;
  const Team& team_;
  const View<const T, 2>&q_, &k_;
  const double scale_;
  const int64_t n_;
  const std::vector<int64_t> lags_;
  const int64_t samples_;
  std::vector<double> weights_;
  const Lease<T> means_;  // [segment][sampled lag]
  const Lease<Segment> segments_;
  const Lease<Candidate> heap_;  // every merger adds two at most to the first n - 1
  int64_t count_ = 0;
};

}  // namespace

template <class T>
std::vector<int64_t> rank_cuts(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k,
                               double scale) {
  return Merging<T>(run, team, q, k, scale).rank();
}

template std::vector<int64_t> rank_cuts<float>(Execution&, const Team&, const View<const float, 2>&, const View<const float, 2>&,
                                               double);
template std::vector<int64_t> rank_cuts<double>(Execution&, const Team&, const View<const double, 2>&,
                                                const View<const double, 2>&, double);

}  // namespace subquad::attention
