// Method: gradients of tiled attention with recomputed weights (docs/math/exact.md). One task per block of keys: it owns dk and dv of
// the block, and adds to dq group by group in the order of the blocks, so that the bits do not depend on the number of threads. Of a
// block, a group of queries goes over the keys of visited tiles only.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include "core/attention/exact.hpp"
#include "core/attention/layout.hpp"
#include "core/parallel/turn.hpp"
#include "core/simd/exp2_range.hpp"

namespace subquad::attention {

namespace {

// Runs of visited tiles keep their own places in a block's scratch, which whole tiles keep apart.
static_assert(simd::kKeyBlock <= KeyRuns::kMostKeys && simd::kBlockSlack <= kKeyTile);

// Query heads are taken in waves whose transposed copies stay near this size.
constexpr int64_t kWaveBytes = int64_t{64} << 20;

// In pieces, so that a callback is asked in time: the first touch of a large array takes long.
template <class T>
void fill_zero(Execution& run, const View<T, 4>& x) {
  if (x.data == nullptr || x.count() == 0) return;
  constexpr int64_t kEntries = 1 << 16;  // per task
  Monitor monitor(run.ticker, 0);
  const int64_t rows = std::max<int64_t>(kEntries / x.shape[3], 1), pieces = (x.shape[2] + rows - 1) / rows;
  run.pool.run(x.shape[0] * x.shape[1] * pieces, monitor, [&](int64_t task, int64_t) {
    const int64_t b = task / (x.shape[1] * pieces), h = task / pieces % x.shape[1], first = task % pieces * rows;
    for (int64_t i = first; i < std::min(first + rows, x.shape[2]); ++i) {
      T* const row = x.at(b, h, i);
      for (int64_t c = 0; c < x.shape[3]; ++c) row[c * x.strides[3]] = T{0};
    }
    monitor.advance(0);
  });
}

template <class T>
View<T, 4> matrix_as_4d(const View<T, 2>& x) {
  return {x.data, {1, 1, x.shape[0], x.shape[1]}, {0, 0, x.strides[0], x.strides[1]}};
}

// What the kernels read and write of one query head: all query groups, transposed.
template <class T>
struct HeadBuffers {
  T *q_t, *d_o_t, *dq_t, *lse, *delta;
  T *q_rows, *d_o_rows;  // groups whose rows cannot be read in place: all of them, or the last one only
};

template <class T>
class Backward {
 public:
  Backward(Execution& run, const Problem<T>& problem, const View<const T, 4>& o, const View<const T, 3>& lse,
           const View<const T, 4>& d_o, const VisitedTiles* visited, const Gradients<T>& gradients)
      : run_(run),
        p_(problem),
        visited_(visited),
        o_(o),
        lse_(lse),
        d_o_(d_o),
        out_(gradients),
        kernels_(simd::backward_kernels<T>(run.target)),
        stride_(simd::kMaxWidth * kernels_.lanes),
        groups_(query_groups(p_.n_q(), kernels_.lanes)),
        d_padded_(round_up(p_.d(), kernels_.lanes)),
        d_v_padded_(round_up(p_.d_v(), kernels_.lanes)),
        key_block_(keys_per_block(p_.d(), p_.d_v())),
        monitor_(run.ticker, p_.pairs()),
        bias_(run, monitor_, problem),
        keys_values_(run, monitor_, problem) {
    for (int64_t b = 0; b < p_.batch(); ++b) {
      key_blocks_ = std::max(key_blocks_, (p_.keys_in_range(b).size() + key_block_ - 1) / key_block_);
    }
    allocate();
  }

  void compute() {
    const int64_t units = p_.batch() * p_.kv_heads();
    for (wave_.unit = 0; wave_.unit < units; wave_.unit += wave_.units) {
      for (wave_.member = 0; wave_.member < p_.group_size(); wave_.member += wave_.members)
        compute_wave(std::min(wave_.units, units - wave_.unit));
    }
    if (out_.d_lag_bias.data != nullptr) store_bias_gradient();
  }

  // Throws when a gradient is not finite.
  void check_overflow() const {
    if (overflowed_.load())
      throw Error(Status::err_overflow, "a gradient overflows the arrays' data type, or lse does not belong to q and k");
  }

 private:
  // A unit is a key/value head of a batch element, a member one of the query heads that share it. A wave is many whole units, or some
  // members of one.
  struct Wave {
    int64_t unit = 0, units = 1, member = 0, members = 1;
  };

  void compute_wave(int64_t units) {
    const int64_t heads = units * members_now();
    turns_ = std::vector<Turn>(static_cast<size_t>(heads * groups_));
    run_.pool.run(heads * groups_, monitor_, [this](int64_t task, int64_t) { prepare(task / groups_, task % groups_); });
    run_.pool.run(units * key_blocks_, monitor_,
                  [this](int64_t task, int64_t worker) { differentiate(task / key_blocks_, task % key_blocks_, worker); });
    if (out_.dq.data != nullptr) {
      run_.pool.run(heads * groups_, monitor_, [this](int64_t task, int64_t) { store_dq(task / groups_, task % groups_); });
    }
  }

  int64_t members_now() const { return std::min(wave_.members, p_.group_size() - wave_.member); }

  void allocate() {
    head_size_ = groups_ * stride_ * (2 * p_.d() + p_.d_v() + 2) +
                 packed_groups(rows_in_place(p_.q, d_padded_)) * stride_ * d_padded_ +
                 packed_groups(rows_in_place(d_o_, d_v_padded_)) * stride_ * d_v_padded_;
    head_size_ = round_up(head_size_, 16);
    const int64_t heads = std::max<int64_t>(kWaveBytes / (head_size_ * static_cast<int64_t>(sizeof(T))), 1);
    wave_.members = std::min(heads, p_.group_size());
    wave_.units = std::clamp<int64_t>(heads / p_.group_size(), 1, p_.batch() * p_.kv_heads());
    heads_ = run_.workspace.template take<T>(wave_.units * wave_.members * head_size_);
    if (visited_ != nullptr) {
      block_words_ =
          run_.workspace.template take<uint64_t>(wave_.units * wave_.members * groups_ * BitRows<uint64_t>::words(key_blocks_));
    }

    const bool wants_bias = out_.d_lag_bias.data != nullptr;
    bias_size_ = wants_bias ? bias_.stride() : 0;
    worker_size_ =
        round_up(2 * (simd::kKeyBlock + simd::kBlockSlack) * stride_ + key_block_ * (d_padded_ + d_v_padded_) + bias_size_, 16);
    workers_ = run_.workspace.template take<T>(run_.pool.threads() * worker_size_);
    if (wants_bias) {
      d_bias_ = run_.workspace.template take<double>(bias_.rows() * bias_.stride());
      std::fill(d_bias_.get(), d_bias_.get() + bias_.rows() * bias_.stride(), 0.0);
      bias_turns_ = std::vector<Turn>(static_cast<size_t>(bias_.rows()));
    }
  }

  // The kernels read whole vectors of a row: in place where that stays inside the row.
  bool rows_in_place(const View<const T, 4>& view, int64_t padded) const {
    return view.strides[3] == 1 && view.shape[3] == padded;
  }
  int64_t packed_groups(bool in_place) const { return in_place ? 1 : groups_; }

  // Per query group of the wave: the blocks of keys in which it visits something.
  BitRows<uint64_t> visited_blocks() const { return {block_words_.get(), key_blocks_}; }

  void find_visited_blocks(int64_t head, int64_t group) const {
    const int64_t batch = batch_of(unit_of(head)), h = q_head_of(head);
    const QueryGroup queries = query_group(group, p_.n_q(), kernels_.lanes);
    const KeyRange range = p_.keys_in_range(batch);
    const BitRows<uint64_t> blocks = visited_blocks();
    blocks.clear(head * groups_ + group);
    for (int64_t index = 0; index < key_blocks_; ++index) {
      const int64_t j = range.first + index * key_block_, keys = std::min(key_block_, range.last - j);
      if (visited_->any(batch, h, queries.first, queries.rows, j, keys)) blocks.set(head * groups_ + group, index);
    }
  }

  // Head number `head` of the wave.
  HeadBuffers<T> buffers(int64_t head) const {
    const int64_t rows = groups_ * stride_;
    HeadBuffers<T> b;
    b.q_t = heads_.get() + head * head_size_;
    b.d_o_t = b.q_t + rows * p_.d();
    b.dq_t = b.d_o_t + rows * p_.d_v();
    b.lse = b.dq_t + rows * p_.d();
    b.delta = b.lse + rows;
    b.q_rows = b.delta + rows;
    b.d_o_rows = b.q_rows + packed_groups(rows_in_place(p_.q, d_padded_)) * stride_ * d_padded_;
    return b;
  }
  int64_t unit_of(int64_t head) const { return wave_.unit + head / members_now(); }
  int64_t q_head_of(int64_t head) const { return q_head(unit_of(head), wave_.member + head % members_now()); }
  int64_t batch_of(int64_t unit) const { return unit / p_.kv_heads(); }
  int64_t q_head(int64_t unit, int64_t member) const { return unit % p_.kv_heads() * p_.group_size() + member; }

  View<const T, 2> rows_of(const View<const T, 4>& view, int64_t batch, int64_t head, const QueryGroup& queries) const {
    return {view.at(batch, head, queries.first, 0), {queries.rows, view.shape[3]}, {view.strides[2], view.strides[3]}};
  }

  // Transposed copies, log-sum-exp and delta of one query group; dq starts at zero.
  void prepare(int64_t head, int64_t group) {
    const int64_t batch = batch_of(unit_of(head)), h = q_head_of(head);
    const QueryGroup queries = query_group(group, p_.n_q(), kernels_.lanes);
    const int64_t stride = queries.stride(kernels_.lanes), first = group * stride_;
    const HeadBuffers<T> b = buffers(head);
    if (visited_ != nullptr) find_visited_blocks(head, group);
    const auto q_rows = rows_of(p_.q, batch, h, queries), d_o_rows = rows_of(d_o_, batch, h, queries),
               o_rows = rows_of(o_, batch, h, queries);
    transpose_rows(monitor_, q_rows, static_cast<T>(p_.scale * kLog2E), stride, b.q_t + first * p_.d());
    transpose_rows(monitor_, d_o_rows, T{1}, stride, b.d_o_t + first * p_.d_v());
    std::fill(b.dq_t + first * p_.d(), b.dq_t + (first + stride) * p_.d(), T{0});
    for (int64_t i = 0; i < stride; ++i) {
      const bool real = i < queries.rows;
      b.lse[first + i] = real ? static_cast<T>(static_cast<double>(*lse_.at(batch, h, queries.first + i)) * kLog2E) : T{0};
      double delta = 0;
      for (int64_t c = 0; real && c < p_.d_v(); ++c)
        delta += static_cast<double>(*d_o_rows.at(i, c)) * static_cast<double>(*o_rows.at(i, c));
      b.delta[first + i] = static_cast<T>(delta);
    }
    monitor_.advance(0);
    pack(q_rows, rows_in_place(p_.q, d_padded_), group, stride, d_padded_, b.q_rows);
    monitor_.advance(0);
    pack(d_o_rows, rows_in_place(d_o_, d_v_padded_), group, stride, d_v_padded_, b.d_o_rows);
    monitor_.advance(0);
  }

  // Rows with zeros up to whole vectors and a whole group, for groups that cannot be read in place.
  void pack(const View<const T, 2>& rows, bool in_place, int64_t group, int64_t stride, int64_t padded, T* store) const {
    if (in_place && group != groups_ - 1) return;
    T* const to = store + (in_place ? 0 : group * stride_ * padded);
    std::fill(to, to + stride * padded, T{0});
    for (int64_t i = 0; i < rows.shape[0]; ++i) {
      for (int64_t c = 0; c < rows.shape[1]; ++c) to[i * padded + c] = *rows.at(i, c);
    }
  }

  // Rows for the kernel and the distance between them.
  std::pair<const T*, int64_t> kernel_rows(const View<const T, 4>& view, int64_t padded, const T* store, int64_t batch,
                                           int64_t head, int64_t group) const {
    const bool in_place = rows_in_place(view, padded);
    if (in_place && group != groups_ - 1) return {view.at(batch, head, group * stride_, 0), view.strides[2]};
    return {store + (in_place ? 0 : group * stride_ * padded), padded};
  }

  // All queries against one block of keys.
  void differentiate(int64_t unit_in_wave, int64_t block_index, int64_t worker) {
    const int64_t unit = wave_.unit + unit_in_wave, batch = batch_of(unit), kv_head = unit % p_.kv_heads();
    const KeyRange range = p_.keys_in_range(batch);
    const int64_t j = range.first + block_index * key_block_, keys = std::min(key_block_, range.last - j);

    T* const weights = workers_.get() + worker * worker_size_;
    simd::BackwardBlock<T> block{};
    block.weights = weights;
    block.d_logits = weights + (simd::kKeyBlock + simd::kBlockSlack) * stride_;
    block.dk = block.d_logits + (simd::kKeyBlock + simd::kBlockSlack) * stride_;
    block.dv = block.dk + key_block_ * d_padded_;
    T* const d_bias = block.dv + key_block_ * d_v_padded_;
    std::fill(block.dk, d_bias + bias_size_, T{0});

    for (int64_t member = 0; member < members_now(); ++member) {
      const int64_t head = unit_in_wave * members_now() + member;
      if (keys > 0) differentiate_head(head, j, keys, block_index, block, d_bias);
      // With a row per head each head adds its own share; with one row, the members' shares have gathered and are added once.
      if (bias_size_ > 0 && bias_.rows() > 1)
        add_bias_gradient(bias_.row(q_head_of(head)), batch * key_blocks_ + block_index, d_bias);
    }
    if (bias_size_ > 0 && bias_.rows() == 1) {
      const int64_t waves = (p_.group_size() + wave_.members - 1) / wave_.members;
      add_bias_gradient(0, (unit * waves + wave_.member / wave_.members) * key_blocks_ + block_index, d_bias);
    }
    if (keys <= 0) return;
    store_rows(out_.dk, batch, kv_head, j, keys, static_cast<T>(p_.scale), block.dk, d_padded_);
    store_rows(out_.dv, batch, kv_head, j, keys, T{1}, block.dv, d_v_padded_);
  }

  void differentiate_head(int64_t head, int64_t j, int64_t keys, int64_t block_index, simd::BackwardBlock<T>& block, T* d_bias) {
    const int64_t unit = unit_of(head), batch = batch_of(unit), h = q_head_of(head), kv_head = unit % p_.kv_heads();
    keys_values_.point(block, batch, kv_head, j, keys);
    int64_t done = 0;
    for (int64_t group = 0; group < groups_; ++group) {
      const QueryGroup queries = query_group(group, p_.n_q(), kernels_.lanes);
      const int64_t diagonal = p_.causal ? queries.first + p_.diagonal() - j : keys, place = head * groups_ + group;
      if (diagonal + queries.rows <= 0) continue;
      done += queries.rows * keys;
      if (visited_ != nullptr && !visited_blocks().test(place, block_index)) continue;
      point_queries(block, head, group);
      block.mask = {std::min(diagonal, keys), bias_.at(h, p_.lag(queries.first, j))};
      block.d_bias = bias_size_ > 0 ? d_bias + (p_.lag(queries.first, j) - bias_.first()) : nullptr;
      const KeyRuns runs =
          visited_ == nullptr ? KeyRuns(keys)
                              : visited_->runs(batch, h, queries.first, queries.rows, j, std::min(keys, diagonal + queries.rows));
      for (const KeyRange& run : runs) kernels_.keys[queries.width - 1](part_of(block, queries, run));
      if (out_.dq.data != nullptr) {
        Turn& turn = turns_[static_cast<size_t>(place)];
        turn.await(visited_ == nullptr ? block_index : visited_blocks().count(place, block_index), monitor_);
        for (const KeyRange& run : runs) kernels_.queries[queries.width - 1](part_of(block, queries, run));
        turn.pass();
      }
      monitor_.advance(done);
      done = 0;
    }
    monitor_.advance(done);
  }

  void point_queries(simd::BackwardBlock<T>& block, int64_t head, int64_t group) const {
    const int64_t batch = batch_of(unit_of(head)), h = q_head_of(head), first = group * stride_;
    const HeadBuffers<T> b = buffers(head);
    block.q_t = b.q_t + first * p_.d();
    block.d_o_t = b.d_o_t + first * p_.d_v();
    std::tie(block.q_rows, block.q_rows_stride) = kernel_rows(p_.q, d_padded_, b.q_rows, batch, h, group);
    std::tie(block.d_o_rows, block.d_o_rows_stride) = kernel_rows(d_o_, d_v_padded_, b.d_o_rows, batch, h, group);
    block.lse = b.lse + first;
    block.most = visited_ != nullptr ? T{0} : simd::kExp2Most<T>;
    block.delta = b.delta + first;
    block.dq_t = b.dq_t + first * p_.d();
  }

  // A run of the block's keys, with its own place in d_logits.
  simd::BackwardBlock<T> part_of(simd::BackwardBlock<T> block, const QueryGroup& queries, const KeyRange& run) const {
    block.keys = run.size();
    block.k += run.first * block.k_stride;
    block.v += run.first * block.v_stride;
    block.mask.diagonal = std::min(block.mask.diagonal - run.first, block.keys);
    if (block.mask.bias != nullptr) block.mask.bias -= run.first;
    if (block.d_bias != nullptr) block.d_bias -= run.first;
    block.dk += run.first * d_padded_;
    block.dv += run.first * d_v_padded_;
    block.d_logits += run.first * queries.stride(kernels_.lanes);
    return block;
  }

  // This block's share joins a row of the table, in the order of tasks; the share restarts at zero.
  void add_bias_gradient(int64_t row, int64_t turn, T* share) {
    bias_turns_[static_cast<size_t>(row)].await(turn, monitor_);
    double* const total = d_bias_.get() + row * bias_.stride();
    for (int64_t t = 0; t < bias_.stride(); ++t) total[t] += static_cast<double>(share[t]);
    bias_turns_[static_cast<size_t>(row)].pass();
    std::fill(share, share + bias_.stride(), T{0});
  }

  // Outputs start at zero and gather the waves' shares.
  void store_rows(const View<T, 4>& out, int64_t batch, int64_t head, int64_t first, int64_t count, T factor, const T* rows,
                  int64_t padded) {
    if (out.data == nullptr) return;
    bool finite = true;
    for (int64_t r = 0; r < count; ++r) {
      T* const to = out.at(batch, head, first + r);
      for (int64_t c = 0; c < out.shape[3]; ++c) {
        T& place = to[c * out.strides[3]];
        place += factor * rows[r * padded + c];
        finite &= std::isfinite(place);
      }
    }
    if (!finite) overflowed_.store(true);
  }

  void store_dq(int64_t head, int64_t group) {
    const int64_t batch = batch_of(unit_of(head)), h = q_head_of(head);
    const QueryGroup queries = query_group(group, p_.n_q(), kernels_.lanes);
    const int64_t stride = queries.stride(kernels_.lanes);
    const T* const dq_t = buffers(head).dq_t + group * stride_ * p_.d();
    bool finite = true;
    for (int64_t i = 0; i < queries.rows; ++i) {
      T* const to = out_.dq.at(batch, h, queries.first + i);
      for (int64_t c = 0; c < p_.d(); ++c) {
        T& place = to[c * out_.dq.strides[3]];
        place = static_cast<T>(p_.scale) * dq_t[c * stride + i];
        finite &= std::isfinite(place);
      }
    }
    if (!finite) overflowed_.store(true);
    monitor_.advance(0);
  }

  void store_bias_gradient() {
    for (int64_t row = 0; row < bias_.rows(); ++row) {
      for (int64_t t = 0; t < bias_.count(); ++t) {
        T& place = *out_.d_lag_bias.at(row, bias_.least() + t - p_.lag_min);
        place = static_cast<T>(d_bias_.get()[row * bias_.stride() + simd::kBiasMargin + t]);
        if (!std::isfinite(place)) overflowed_.store(true);
      }
    }
  }

  Execution& run_;
  const Problem<T>& p_;
  const VisitedTiles* const visited_;  // NULL: all pairs
  const View<const T, 4>& o_;
  const View<const T, 3>& lse_;
  const View<const T, 4>& d_o_;
  const Gradients<T>& out_;
  const simd::BackwardKernels<T>& kernels_;
  const int64_t stride_, groups_, d_padded_, d_v_padded_, key_block_;  // queries of a full group; groups of a head
  Monitor monitor_;
  BiasTable<T> bias_;
  KeysAndValues<T> keys_values_;
  Aligned<T> heads_, workers_;
  Aligned<uint64_t> block_words_;
  int64_t key_blocks_ = 0;
  Wave wave_;
  int64_t head_size_ = 0, worker_size_ = 0, bias_size_ = 0;
  Aligned<double> d_bias_;
  std::vector<Turn> turns_, bias_turns_;  // per query group of the wave; per row of the bias table
  std::atomic<bool> overflowed_{false};
};

}  // namespace

template <class T>
void exact_backward(Execution& run, const Problem<T>& problem, bool check_overflow, const View<const T, 4>& o,
                    const View<const T, 3>& lse, const View<const T, 4>& d_o, const Gradients<T>& gradients,
                    const VisitedTiles* visited) {
  std::optional<Backward<T>> backward;
  // May throw: outputs are written after it.
  if (problem.pairs() > 0) backward.emplace(run, problem, o, lse, d_o, visited, gradients);
  for (const View<T, 4>& out : {gradients.dq, gradients.dk, gradients.dv, matrix_as_4d(gradients.d_lag_bias)}) {
    fill_zero(run, out);
  }
  if (!backward) return;
  backward->compute();
  if (check_overflow) backward->check_overflow();
}

#define SUBQUAD_INSTANTIATE(T)                                                                                           \
  template void exact_backward<T>(Execution&, const Problem<T>&, bool, const View<const T, 4>&, const View<const T, 3>&, \
                                  const View<const T, 4>&, const Gradients<T>&, const VisitedTiles*);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
