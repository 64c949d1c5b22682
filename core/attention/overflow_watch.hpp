// The first row, in order of batch, head and query, whose logits are not finite, whichever thread meets it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "core/base/error.hpp"

namespace subquad::attention {

class OverflowWatch {
 public:
  OverflowWatch(int64_t heads, int64_t n) : heads_(heads), n_(n) {}

  void note(int64_t batch, int64_t head, int64_t query) {
    const int64_t row = (batch * heads_ + head) * n_ + query;
    int64_t seen = first_.load();
    while (row < seen && !first_.compare_exchange_weak(seen, row)) {
    }
  }

  void check() const {
    const int64_t row = first_.load();
    if (row == INT64_MAX) return;
    throw Error(Status::err_overflow, "a logit of q[batch " + std::to_string(row / n_ / heads_) + ", head " +
                                          std::to_string(row / n_ % heads_) + ", query " + std::to_string(row % n_) +
                                          "] overflows the arrays' data type");
  }

 private:
  const int64_t heads_, n_;
  std::atomic<int64_t> first_{INT64_MAX};
};

}  // namespace subquad::attention
