// Method: tiled attention with an online softmax (docs/math/exact.md). Differs from the usual form: queries lie across vector lanes,
// and the running maximum is lazy (core/simd/attention_forward-inl.hpp).
#include <algorithm>
#include <array>
#include <limits>

#include "core/attention/exact.hpp"
#include "core/attention/exact_rows.hpp"
#include "core/attention/layout.hpp"
#include "core/attention/row_result.hpp"

namespace subquad::attention {

namespace {

// Query groups that go over the keys together, so that a block of keys and values is read from the second-level cache.
constexpr int64_t kGroupsPerTask = 4;

template <class T>
class Forward {
 public:
  Forward(Execution& run, const Problem<T>& problem, const View<T, 4>& o, const View<T, 3>& lse)
      : run_(run),
        p_(problem),
        result_(problem, o, lse),
        kernels_(simd::forward_kernels<T>(run.target)),
        stride_(simd::kMaxWidth * kernels_.lanes),
        key_block_(keys_per_block(p_.d(), p_.d_v())),
        tasks_per_head_((query_groups(p_.n_q(), kernels_.lanes) + kGroupsPerTask - 1) / kGroupsPerTask),
        monitor_(run.ticker, p_.pairs()),
        bias_(run, monitor_, problem),
        keys_values_(run, monitor_, problem) {
    scratch_per_worker_ = round_up(kGroupsPerTask * group_size() + (simd::kKeyBlock + simd::kBlockSlack) * stride_, 16);
    scratch_ = run.workspace.template take<T>(run.pool.threads() * scratch_per_worker_);
  }

  void compute() {
    run_.pool.run(p_.batch() * p_.q_heads() * tasks_per_head_, monitor_, [this](int64_t task, int64_t worker) {
      const int64_t head = task / tasks_per_head_ % p_.q_heads(), batch = task / tasks_per_head_ / p_.q_heads();
      // Under a causal mask the last rows are the longest: they start first, so that threads end together.
      attend(batch, head, tasks_per_head_ - 1 - task % tasks_per_head_, scratch_.get() + worker * scratch_per_worker_);
    });
  }

  void check_overflow() const { result_.check_overflow(); }

 private:
  // State of one query group during its pass over the keys.
  struct Group {
    QueryGroup queries;
    T *q_t, *o_t, *row_max, *row_sum, *row_sum_low;
  };
  int64_t group_size() const { return (p_.d() + p_.d_v() + 3) * stride_; }

  void attend(int64_t batch, int64_t head, int64_t task, T* scratch) {
    std::array<Group, kGroupsPerTask> groups;
    const int64_t first = task * kGroupsPerTask;
    const int64_t count = std::min(kGroupsPerTask, query_groups(p_.n_q(), kernels_.lanes) - first);
    for (int64_t g = 0; g < count; ++g) groups[g] = begin(batch, head, first + g, scratch + g * group_size());
    T* weights = scratch + kGroupsPerTask * group_size();

    const QueryGroup& last = groups[count - 1].queries;
    const KeyRange keys = p_.visible(p_.keys_in_range(batch), last.first + last.rows - 1);
    for (int64_t j = keys.first; j < keys.last; j += key_block_) {
      for (int64_t g = 0; g < count; ++g) {
        const int64_t block = std::min(key_block_, keys.last - j);
        if (attend_block(batch, head, groups[g], j, block, weights)) monitor_.advance(groups[g].queries.rows * block);
      }
    }
    for (int64_t g = 0; g < count; ++g) finish(batch, head, groups[g]);
  }

  Group begin(int64_t batch, int64_t head, int64_t index, T* memory) {
    const QueryGroup queries = query_group(index, p_.n_q(), kernels_.lanes);
    T* const o_t = memory + p_.d() * stride_;
    T* const row_max = o_t + p_.d_v() * stride_;
    const View<const T, 2> rows{
        p_.q.at(batch, head, queries.first, 0), {queries.rows, p_.d()}, {p_.q.strides[2], p_.q.strides[3]}};
    transpose_rows(monitor_, rows, static_cast<T>(p_.scale * kLog2E), queries.stride(kernels_.lanes), memory);
    std::fill(o_t, o_t + p_.d_v() * stride_, T{0});
    std::fill(row_max, row_max + stride_, -std::numeric_limits<T>::infinity());
    std::fill(row_max + stride_, row_max + 3 * stride_, T{0});
    return {queries, memory, o_t, row_max, row_max + stride_, row_max + 2 * stride_};
  }

  // False when no query of the group sees a key of the block.
  bool attend_block(int64_t batch, int64_t head, const Group& group, int64_t j, int64_t keys, T* weights) const {
    const QueryGroup& queries = group.queries;
    const int64_t diagonal = p_.causal ? queries.first + p_.diagonal() - j : keys;
    if (diagonal + queries.rows <= 0) return false;
    const int64_t kv_head = head / p_.group_size();
    simd::ForwardBlock<T> block;
    keys_values_.point(block, batch, kv_head, j, keys);
    block.mask = {std::min(diagonal, keys), bias_.at(head, p_.lag(queries.first, j))};
    block.q_t = group.q_t;
    block.o_t = group.o_t;
    block.row_max = group.row_max;
    block.row_sum = group.row_sum;
    block.row_sum_low = group.row_sum_low;
    block.weights = weights;
    kernels_.block[queries.width - 1](block);
    return true;
  }

  void finish(int64_t batch, int64_t head, const Group& group) {
    const int64_t stride = group.queries.stride(kernels_.lanes);
    for (int64_t i = 0; i < group.queries.rows; ++i) {
      const T sum = group.row_sum[i] + group.row_sum_low[i];
      result_.store(batch, head, group.queries.first + i, group.o_t + i, stride, group.row_max[i], sum);
    }
  }

  Execution& run_;
  const Problem<T>& p_;
  RowResult<T> result_;
  const simd::ForwardKernels<T>& kernels_;
  const int64_t stride_;  // of a full query group
  const int64_t key_block_;
  const int64_t tasks_per_head_;  // each of up to kGroupsPerTask query groups
  Monitor monitor_;
  BiasTable<T> bias_;
  KeysAndValues<T> keys_values_;
  Aligned<T> scratch_;
  int64_t scratch_per_worker_ = 0;
};

}  // namespace

template <class T>
void exact_forward_as_of_many(Execution& run, const Problem<T>& problem, bool check_overflow, const View<T, 4>& o,
                              const View<T, 3>& lse) {
  if (o.shape[0] * o.shape[1] * o.shape[2] == 0) return;
  Forward<T> forward(run, problem, o, lse);
  forward.compute();
  if (check_overflow) forward.check_overflow();
}

template <class T>
void exact_forward(Execution& run, const Problem<T>& problem, bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse) {
  if (o.shape[0] * o.shape[1] * o.shape[2] == 0) return;
  if (problem.n_q() <= kFewQueries) {
    exact_rows<T>(run, problem, check_overflow, o, lse);
  } else {
    exact_forward_as_of_many<T>(run, problem, check_overflow, o, lse);
  }
}

template void exact_forward_as_of_many<float>(Execution&, const Problem<float>&, bool, const View<float, 4>&,
                                              const View<float, 3>&);
template void exact_forward_as_of_many<double>(Execution&, const Problem<double>&, bool, const View<double, 4>&,
                                               const View<double, 3>&);
template void exact_forward<float>(Execution&, const Problem<float>&, bool, const View<float, 4>&, const View<float, 3>&);
template void exact_forward<double>(Execution&, const Problem<double>&, bool, const View<double, 4>&, const View<double, 3>&);

}  // namespace subquad::attention
