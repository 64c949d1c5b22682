// Conv bases: lower-triangular matrices whose columns, as functions of the lag, change at few places.
// Source: [CONV] (docs/math/conv_basis.md). Differs: kernels are kept in cumulative form, which cancels nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/aligned.hpp"

namespace subquad::attention {

// One head: H[i,j] = kernel(r)[i - j] for start(r) <= j < end(r), j <= i; 0 for j before the first start.
template <class T>
class ConvHead {
 public:
  // Kernels uninitialised. starts: strictly increasing in [0, n).
  ConvHead(int64_t n, std::vector<int64_t> starts) : n_(n), starts_(std::move(starts)) {
    int64_t entries = 0;
    for (const int64_t start : starts_) {
      offsets_.push_back(entries);
      entries += round_up(n_ - start, kAlignment / static_cast<int64_t>(sizeof(T)));
    }
    kernels_ = Aligned<T>(entries);
  }

  int64_t n() const { return n_; }
  int64_t bases() const { return static_cast<int64_t>(starts_.size()); }
  const std::vector<int64_t>& starts() const { return starts_; }
  int64_t start(int64_t r) const { return starts_[static_cast<size_t>(r)]; }
  int64_t end(int64_t r) const { return r + 1 < bases() ? start(r + 1) : n_; }
  int64_t length(int64_t r) const { return n_ - start(r); }  // of kernel r: lags 0 .. length - 1
  T* kernel(int64_t r) { return kernels_.get() + offsets_[static_cast<size_t>(r)]; }
  const T* kernel(int64_t r) const { return kernels_.get() + offsets_[static_cast<size_t>(r)]; }

 private:
  int64_t n_;
  std::vector<int64_t> starts_, offsets_;
  Aligned<T> kernels_;
};

// One basis per head and batch element, all of one n.
template <class T>
struct ConvBasis {
  using value_type = T;
  int64_t batch = 1, heads = 1, n = 0;
  std::vector<ConvHead<T>> list;  // [batch][heads]

  const ConvHead<T>& head(int64_t b, int64_t h) const { return list[static_cast<size_t>(b * heads + h)]; }
  int64_t most_bases() const {
    int64_t most = 0;
    for (const ConvHead<T>& head : list) most = std::max(most, head.bases());
    return most;
  }
};

}  // namespace subquad::attention
