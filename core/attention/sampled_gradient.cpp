// Method: the gradient of docs/math/exact.md for queries anywhere in the sequence, one pass over the keys with an online softmax. With
// w = exp(s - max) and g_j = <d_o, v_j>, the sums of w, w g, w k and w g k give delta = (sum w g) / (sum w) and dq.
#include "core/attention/sampled_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/layout.hpp"
#include "core/simd/products.hpp"

namespace subquad::attention {

namespace {

// Keys of one task. Fixed, so that the bits do not depend on the number of threads.
constexpr int64_t kChunk = 1024;

constexpr double kNothing = -std::numeric_limits<double>::infinity();

// Sums over some keys for a group of queries, one query per lane.
struct Sums {
  double *max, *weight, *inner;  // [stride]: largest logit, sum of w, sum of w g
  double *keys, *inner_keys;     // [d][stride]: sums of w k and w g k

  static int64_t size(int64_t d, int64_t stride) { return (2 * d + 3) * stride; }

  Sums(double* data, int64_t d, int64_t stride)
      : max(data), weight(max + stride), inner(weight + stride), keys(inner + stride), inner_keys(keys + d * stride) {}
};

// rows of x as doubles, row-major.
template <class T>
void widen(const View<const T, 2>& x, double* out) {
  for (int64_t r = 0; r < x.shape[0]; ++r) {
    for (int64_t c = 0; c < x.shape[1]; ++c) *out++ = static_cast<double>(*x.at(r, c));
  }
}

template <class T>
class DqRows {
 public:
  DqRows(Execution& run, const Problem<T>& problem, const View<const T, 4>& d_o, int64_t batch, int64_t head,
         const std::vector<int64_t>& queries)
      : run_(run),
        p_(problem),
        d_o_(d_o),
        batch_(batch),
        head_(head),
        queries_(queries),
        kernels_(simd::product_kernels<double>(run.target)),
        multiply_(kernels_.rows[simd::kMaxWidth - 1]),
        add_(kernels_.add_rows[simd::kMaxWidth - 1]),
        stride_(simd::kMaxWidth * kernels_.lanes),
        groups_(query_groups(count(), kernels_.lanes)),
        range_(problem.keys_in_range(batch)),
        chunks_((range_.size() + kChunk - 1) / kChunk),
        key_block_(keys_per_block(p_.d(), p_.d_v())),
        sums_size_(Sums::size(p_.d(), stride_)),
        monitor_(run.ticker, 0),
        queries_t_(run.workspace, groups_ * stride_ * (p_.d() + p_.d_v())),
        sums_(run.workspace, chunks_ * groups_ * sums_size_),
        scratch_(run.workspace, run.pool.threads() * scratch_size()) {}

  std::vector<double> compute() {
    transpose_queries();
    run_.pool.run(chunks_, monitor_, [this](int64_t chunk, int64_t worker) { add_chunk(chunk, worker); });
    std::vector<double> dq(queries_.size() * static_cast<size_t>(p_.d()));
    for (int64_t index = 0; index < count(); ++index) finish(index, dq.data() + index * p_.d());
    return dq;
  }

 private:
  int64_t count() const { return static_cast<int64_t>(queries_.size()); }
  int64_t kv_head() const { return head_ / p_.group_size(); }
  int64_t query(int64_t index) const { return queries_[static_cast<size_t>(index)]; }

  // Of one group: q times scale as [d][stride], then d_o as [d_v][stride]; zero in the lanes beyond the last query.
  double* group_q(int64_t group) const { return queries_t_.get() + group * stride_ * (p_.d() + p_.d_v()); }
  double* group_d_o(int64_t group) const { return group_q(group) + stride_ * p_.d(); }

  Sums sums(int64_t chunk, int64_t group) const {
    return {sums_.get() + (chunk * groups_ + group) * sums_size_, p_.d(), stride_};
  }

  void transpose_queries() {
    std::fill_n(queries_t_.get(), groups_ * stride_ * (p_.d() + p_.d_v()), 0.0);
    for (int64_t index = 0; index < count(); ++index) {
      const int64_t group = index / stride_, lane = index % stride_, i = query(index);
      for (int64_t c = 0; c < p_.d(); ++c)
        group_q(group)[c * stride_ + lane] = p_.scale * static_cast<double>(*p_.q.at(batch_, head_, i, c));
      for (int64_t c = 0; c < p_.d_v(); ++c)
        group_d_o(group)[c * stride_ + lane] = static_cast<double>(*d_o_.at(batch_, head_, i, c));
      monitor_.advance(0);
    }
  }

  // Of one worker: keys and values of a block as doubles, its logits (then weights) and inner products.
  struct Block {
    int64_t first, keys;
    double *k, *v, *weights, *inner;
  };
  int64_t scratch_size() const { return key_block_ * (p_.d() + p_.d_v() + 2 * stride_); }

  void add_chunk(int64_t chunk, int64_t worker) {
    for (int64_t group = 0; group < groups_; ++group) {
      const Sums s = sums(chunk, group);
      std::fill_n(s.max, sums_size_, 0.0);
      std::fill_n(s.max, stride_, kNothing);
    }
    Block block;
    block.k = scratch_.get() + worker * scratch_size();
    block.v = block.k + key_block_ * p_.d();
    block.weights = block.v + key_block_ * p_.d_v();
    block.inner = block.weights + key_block_ * stride_;
    const int64_t last = std::min(range_.first + (chunk + 1) * kChunk, range_.last);
    for (block.first = range_.first + chunk * kChunk; block.first < last; block.first += key_block_) {
      block.keys = std::min(key_block_, last - block.first);
      widen(rows_of(p_.k, block), block.k);
      monitor_.advance(0);
      widen(rows_of(p_.v, block), block.v);
      monitor_.advance(0);
      for (int64_t group = 0; group < groups_; ++group) add_block(block, group, sums(chunk, group));
    }
  }

  View<const T, 2> rows_of(const View<const T, 4>& view, const Block& block) const {
    return {view.at(batch_, kv_head(), block.first), {block.keys, view.shape[3]}, {view.strides[2], view.strides[3]}};
  }

  void add_block(Block block, int64_t group, const Sums& s) {
    const int64_t rows = std::min(stride_, count() - group * stride_), keys = block.keys;
    const auto seen = [&](int64_t lane) {
      return p_.visible({block.first, block.first + keys}, query(group * stride_ + lane)).size();
    };
    block.keys = 0;
    for (int64_t lane = 0; lane < rows; ++lane) block.keys = std::max(block.keys, seen(lane));
    if (block.keys == 0) return;
    multiply_({block.k, p_.d(), 1, block.keys, p_.d(), group_q(group), block.weights});
    monitor_.advance(0);
    multiply_({block.v, p_.d_v(), 1, block.keys, p_.d_v(), group_d_o(group), block.inner});
    monitor_.advance(0);
    for (int64_t lane = 0; lane < rows; ++lane) add_weights(block, query(group * stride_ + lane), seen(lane), lane, s);
    add_({block.k, 1, p_.d(), p_.d(), block.keys, block.weights, s.keys});
    monitor_.advance(0);
    add_({block.k, 1, p_.d(), p_.d(), block.keys, block.inner, s.inner_keys});
    monitor_.advance(0);
  }

  // Turns a lane's logits into weights and its inner products into weighted ones; adds them to its sums.
  void add_weights(const Block& block, int64_t i, int64_t seen, int64_t lane, const Sums& s) const {
    double *const weights = block.weights + lane, *const inner = block.inner + lane;
    double top = s.max[lane];
    for (int64_t t = 0; t < seen; ++t) {
      double& logit = weights[t * stride_];
      if (p_.has_bias()) logit += bias(i, block.first + t);
      top = std::max(top, logit);
    }
    if (top > s.max[lane]) rescale(s, lane, std::exp(s.max[lane] - top));
    s.max[lane] = top;
    for (int64_t t = 0; t < block.keys; ++t) {
      double &weight = weights[t * stride_], &product = inner[t * stride_];
      weight = t < seen ? std::exp(weight - top) : 0;
      product *= weight;
      s.weight[lane] += weight;
      s.inner[lane] += product;
    }
  }

  double bias(int64_t i, int64_t j) const {
    const int64_t row = p_.lag_bias.shape[0] == 1 ? 0 : head_;
    return static_cast<double>(*p_.lag_bias.at(row, p_.lag(i, j) - p_.lag_min));
  }

  void rescale(const Sums& s, int64_t lane, double factor) const {
    s.weight[lane] *= factor;
    s.inner[lane] *= factor;
    for (int64_t c = 0; c < p_.d(); ++c) {
      s.keys[c * stride_ + lane] *= factor;
      s.inner_keys[c * stride_ + lane] *= factor;
    }
  }

  // The chunks' sums of a query, in order, to its row.
  void finish(int64_t index, double* dq) const {
    const int64_t group = index / stride_, lane = index % stride_;
    double top = kNothing, weight = 0, inner = 0;
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) top = std::max(top, sums(chunk, group).max[lane]);
    if (p_.visible(range_, query(index)).size() == 0) return;
    const auto share = [&](const Sums& s) { return std::exp(s.max[lane] - top); };
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
      const Sums s = sums(chunk, group);
      weight += share(s) * s.weight[lane];
      inner += share(s) * s.inner[lane];
    }
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
      const Sums s = sums(chunk, group);
      const double factor = p_.scale * share(s) / weight;
      for (int64_t c = 0; c < p_.d(); ++c)
        dq[c] += factor * (s.inner_keys[c * stride_ + lane] - inner / weight * s.keys[c * stride_ + lane]);
    }
  }

  Execution& run_;
  const Problem<T>& p_;
  const View<const T, 4>& d_o_;
  const int64_t batch_, head_;
  const std::vector<int64_t>& queries_;
  const simd::ProductKernels<double>& kernels_;
  void (*const multiply_)(const simd::RowProducts<double>&);
  void (*const add_)(const simd::RowProducts<double>&);
  const int64_t stride_, groups_;  // queries of a group; groups
  const KeyRange range_;
  const int64_t chunks_, key_block_, sums_size_;
  Monitor monitor_;
  const Lease<double> queries_t_, sums_, scratch_;
};

}  // namespace

template <class T>
std::vector<double> exact_dq_rows(Execution& run, const Problem<T>& problem, const View<const T, 4>& d_o, int64_t batch,
                                  int64_t head, const std::vector<int64_t>& queries) {
  if (queries.empty() || problem.keys_in_range(batch).size() == 0)
    return std::vector<double>(queries.size() * static_cast<size_t>(problem.d()));
  return DqRows<T>(run, problem, d_o, batch, head, queries).compute();
}

template <class T>
double sampled_dq_error(Execution& run, const Problem<T>& problem, const View<const T, 4>& d_o, const View<const T, 4>& dq,
                        int64_t batch, int64_t head, const std::vector<int64_t>& queries) {
  const std::vector<double> exact = exact_dq_rows(run, problem, d_o, batch, head, queries);
  const double* row = exact.data();
  double error = 0, size = 0;
  for (const int64_t i : queries) {
    for (int64_t c = 0; c < problem.d(); ++c) {
      const double difference = static_cast<double>(*dq.at(batch, head, i, c)) - row[c];
      error += difference * difference;
      size += row[c] * row[c];
    }
    row += problem.d();
  }
  return error == 0 ? 0 : std::sqrt(error / size);
}

#define SUBQUAD_INSTANTIATE(T)                                                                                                  \
  template std::vector<double> exact_dq_rows<T>(Execution&, const Problem<T>&, const View<const T, 4>&, int64_t, int64_t,       \
                                                const std::vector<int64_t>&);                                                   \
  template double sampled_dq_error<T>(Execution&, const Problem<T>&, const View<const T, 4>&, const View<const T, 4>&, int64_t, \
                                      int64_t, const std::vector<int64_t>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
