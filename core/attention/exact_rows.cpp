// Method: the online softmax row by row, keys split into fixed chunks whose partial results are merged (docs/math/exact.md). All queries
// that share a key/value head go over a block of keys together, so that it is read from memory once.
#include "core/attention/exact_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/layout.hpp"
#include "core/attention/row_result.hpp"

namespace subquad::attention {

namespace {

// Keys of one task. Fixed, so that the bits do not depend on the number of threads; enough of them that a thread is worth waking.
constexpr int64_t kChunk = 2048;

template <class T>
class Rows {
 public:
  Rows(Execution& run, const Problem<T>& problem, const View<T, 4>& o, const View<T, 3>& lse)
      : run_(run),
        p_(problem),
        result_(problem, o, lse),
        kernels_(simd::forward_kernels<T>(run.target)),
        rows_(p_.group_size() * p_.n_q()),
        state_size_(p_.d_v() + 3),
        key_block_(keys_per_block(p_.d(), p_.d_v())),
        monitor_(run.ticker, p_.pairs()),
        bias_(run, monitor_, problem),
        keys_values_(run, monitor_, problem) {
    for (int64_t b = 0; b < p_.batch(); ++b) chunks_ = std::max(chunks_, (p_.keys_in_range(b).size() + kChunk - 1) / kChunk);
    states_ = run.workspace.template take<T>(p_.batch() * p_.kv_heads() * chunks_ * rows_ * state_size_);
    weights_ = run.workspace.template take<T>(run.pool.threads() * simd::kKeyBlock);
    queries_ = run.workspace.template take<T>(p_.batch() * p_.q_heads() * p_.n_q() * p_.d());
  }

  void compute() {
    scale_queries();
    run_.pool.run(p_.batch() * p_.kv_heads() * chunks_, monitor_, [this](int64_t task, int64_t worker) {
      attend(task / chunks_, task % chunks_, weights_.get() + worker * simd::kKeyBlock);
    });
    for (int64_t unit = 0; unit < p_.batch() * p_.kv_heads(); ++unit) {
      for (int64_t row = 0; row < rows_; ++row) finish(unit, row);
    }
  }

  void check_overflow() const { result_.check_overflow(); }

 private:
  // A unit is a key/value head of a batch element; its rows are the queries of all heads that share it.
  int64_t batch_of(int64_t unit) const { return unit / p_.kv_heads(); }
  int64_t head_of(int64_t unit, int64_t row) const { return unit % p_.kv_heads() * p_.group_size() + row / p_.n_q(); }
  int64_t query_of(int64_t row) const { return row % p_.n_q(); }

  // [d_v sums of weighted values][maximum][sum][low part of the sum]
  T* state(int64_t unit, int64_t chunk, int64_t row) const {
    return states_.get() + ((unit * chunks_ + chunk) * rows_ + row) * state_size_;
  }
  const T* query(int64_t unit, int64_t row) const { return queries_.get() + (unit * rows_ + row) * p_.d(); }

  void scale_queries() {
    const T factor = static_cast<T>(p_.scale * kLog2E);
    for (int64_t unit = 0; unit < p_.batch() * p_.kv_heads(); ++unit) {
      for (int64_t row = 0; row < rows_; ++row) {
        const T* const from = p_.q.at(batch_of(unit), head_of(unit, row), query_of(row));
        T* const to = queries_.get() + (unit * rows_ + row) * p_.d();
        for (int64_t l = 0; l < p_.d(); ++l) to[l] = factor * from[l * p_.q.strides[3]];
      }
    }
  }

  void attend(int64_t unit, int64_t chunk, T* weights) {
    for (int64_t row = 0; row < rows_; ++row) {
      T* const s = state(unit, chunk, row);
      std::fill(s, s + state_size_, T{0});
      s[p_.d_v()] = -std::numeric_limits<T>::infinity();
    }
    const KeyRange range = p_.keys_in_range(batch_of(unit));
    const int64_t first = range.first + chunk * kChunk, last = std::min(first + kChunk, range.last);
    for (int64_t j = first; j < last; j += key_block_) {
      for (int64_t row = 0; row < rows_; ++row) {
        monitor_.advance(attend_block(unit, row, j, std::min(j + key_block_, last), state(unit, chunk, row), weights));
      }
    }
  }

  // Adds keys j .. last - 1 to the state of a row; returns how many it sees.
  int64_t attend_block(int64_t unit, int64_t row, int64_t j, int64_t last, T* s, T* weights) const {
    const int64_t batch = batch_of(unit), kv_head = unit % p_.kv_heads(), i = query_of(row);
    const int64_t keys = p_.visible({j, last}, i).size();
    if (keys == 0) return 0;
    simd::RowBlock<T> block;
    keys_values_.point(block, batch, kv_head, j, keys);
    block.bias = bias_.at(head_of(unit, row), p_.lag(i, j));
    block.q = query(unit, row);
    block.o = s;
    block.row_max = s + p_.d_v();
    block.row_sum = block.row_max + 1;
    block.row_sum_low = block.row_max + 2;
    block.weights = weights;
    kernels_.row(block);
    return keys;
  }

  // The chunks' states join the first one's.
  void finish(int64_t unit, int64_t row) {
    T* const total = state(unit, 0, row);
    T top = total[p_.d_v()];
    for (int64_t chunk = 1; chunk < chunks_; ++chunk) top = std::max(top, state(unit, chunk, row)[p_.d_v()]);
    const auto factor = [&](const T* s) {
      return s[p_.d_v()] == top ? T{1} : static_cast<T>(std::exp2(static_cast<double>(s[p_.d_v()] - top)));
    };
    const auto sum_of = [&](const T* s) { return s[p_.d_v() + 1] + s[p_.d_v() + 2]; };
    const T own = factor(total);
    T sum = own * sum_of(total);
    for (int64_t c = 0; c < p_.d_v(); ++c) total[c] *= own;
    for (int64_t chunk = 1; chunk < chunks_; ++chunk) {
      const T* const other = state(unit, chunk, row);
      const T share = factor(other);
      sum += share * sum_of(other);
      for (int64_t c = 0; c < p_.d_v(); ++c) total[c] += share * other[c];
    }
    result_.store(batch_of(unit), head_of(unit, row), query_of(row), total, 1, top, sum);
  }

  Execution& run_;
  const Problem<T>& p_;
  RowResult<T> result_;
  const simd::ForwardKernels<T>& kernels_;
  const int64_t rows_, state_size_, key_block_;
  int64_t chunks_ = 1;
  Monitor monitor_;
  BiasTable<T> bias_;
  KeysAndValues<T> keys_values_;
  Aligned<T> states_, weights_, queries_;
};

}  // namespace

template <class T>
void exact_rows(Execution& run, const Problem<T>& problem, bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse) {
  Rows<T> rows(run, problem, o, lse);
  rows.compute();
  if (check_overflow) rows.check_overflow();
}

template void exact_rows<float>(Execution&, const Problem<float>&, bool, const View<float, 4>&, const View<float, 3>&);
template void exact_rows<double>(Execution&, const Problem<double>&, bool, const View<double, 4>&, const View<double, 3>&);

}  // namespace subquad::attention
