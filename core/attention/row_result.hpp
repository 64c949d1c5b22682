// The end of a row: from the online softmax's state to an output row and its log-sum-exp, and the watch for logits that overflowed.
#pragma once

#include <atomic>
#include <cmath>
#include <limits>
#include <string>

#include "core/attention/layout.hpp"

namespace subquad::attention {

template <class T>
class RowResult {
 public:
  RowResult(const Problem<T>& problem, const View<T, 4>& o, const View<T, 3>& lse) : p_(problem), o_(o), lse_(lse) {}

  // sums: d_v sums of weighted values, sums_stride apart; sum: of the weights 2^(logit - max).
  void store(int64_t batch, int64_t head, int64_t i, const T* sums, int64_t sums_stride, T max, T sum) {
    const bool sees = p_.visible(p_.keys_in_range(batch), i).size() > 0;
    // Infinite logits leave no sum, or none that is finite: then the row is left NaN. Large values may overflow their weighted sum.
    bool sound = !sees || (sum > 0 && std::isfinite(max) && std::isfinite(sum));
    T* const o = o_.at(batch, head, i);
    const T inverse = sees ? T{1} / (sound ? sum : std::numeric_limits<T>::quiet_NaN()) : T{0};
    for (int64_t c = 0; c < p_.d_v(); ++c) {
      const T x = sums[c * sums_stride] * inverse;
      o[c * o_.strides[3]] = x;
      sound &= std::isfinite(x);
    }
    if (!sound) note_overflow((batch * p_.q_heads() + head) * p_.n_q() + i);
    if (lse_.data == nullptr) return;
    *lse_.at(batch, head, i) = sees ? static_cast<T>((static_cast<double>(max) + std::log2(static_cast<double>(sum))) * kLn2)
                                    : -std::numeric_limits<T>::infinity();
  }

  // Throws when a row overflowed, naming the first in order of batch, head and query.
  void check_overflow() const {
    const int64_t row = overflowed_.load();
    if (row < 0) return;
    const int64_t i = row % p_.n_q(), head = row / p_.n_q() % p_.q_heads(), batch = row / p_.n_q() / p_.q_heads();
    throw Error(Status::err_overflow, "a logit or a sum of weighted values of q[batch " + std::to_string(batch) + ", head " +
                                          std::to_string(head) + ", query " + std::to_string(i) +
                                          "] overflows the arrays' data type");
  }

 private:
  void note_overflow(int64_t row) {
    int64_t seen = overflowed_.load();
    while ((seen < 0 || row < seen) && !overflowed_.compare_exchange_weak(seen, row)) {
    }
  }

  const Problem<T>& p_;
  const View<T, 4>& o_;
  const View<T, 3>& lse_;
  std::atomic<int64_t> overflowed_{-1};
};

}  // namespace subquad::attention
