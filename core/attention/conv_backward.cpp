// With P the weights, O = P V, delta = rowsum(dO * O) and columns indexed by c:
//   dV = P' dO
//   dQ = scale (sum_c diag(dO_c) P diag(V_c) K - diag(delta) P K)
//   dK = scale (sum_c diag(V_c) P' diag(dO_c) Q - P' diag(delta) Q)
// The products of a few channels c are taken at once, as columns side by side: O(n d) memory.
#include "core/attention/conv_backward.hpp"

#include <algorithm>
#include <mutex>

#include "core/attention/for_heads.hpp"
#include "core/attention/layout.hpp"
#include "core/attention/overflow_check.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kColumns = 64;  // per product, unless d is larger
constexpr int64_t kRows = 1024;   // per task of a pass over rows

// One query head: adds to the gradients of its key/value head.
template <class T>
class HeadGradients {
 public:
  HeadGradients(const Team& team, Execution& run, const ConvHead<T>& head, const View<const T, 2>& q, const View<const T, 2>& k,
                const View<const T, 2>& v, const View<const T, 2>& d_o, T scale)
      : team_(team),
        q_(q),
        k_(k),
        v_(v),
        d_o_(d_o),
        scale_(scale),
        n_(head.n()),
        channels_(std::max<int64_t>(1, kColumns / q.shape[1])),
        op_(team, run.target, run.workspace, head, {ConvWeights::softmax, false}, channels_ * q.shape[1]) {
    const int64_t columns = std::max(channels_ * q.shape[1], v.shape[1]);
    left_ = Lease<T>(run.workspace, n_ * columns);
    right_ = Lease<T>(run.workspace, n_ * columns);
    delta_ = Lease<T>(run.workspace, n_);
  }

  void add_dv(const View<T, 2>& dv) {
    const View<T, 2> product = right(v_.shape[1]);
    op_.transposed(team_, copied(d_o_), product);
    for_rows([&](int64_t j) {
      for (int64_t c = 0; c < dv.shape[1]; ++c) *dv.at(j, c) += *product.at(j, c);
    });
  }

  void find_delta() {
    const View<T, 2> o = right(v_.shape[1]);
    op_.forward(team_, copied(v_), o);
    for_rows([&](int64_t i) {
      double sum = 0;
      for (int64_t c = 0; c < o.shape[1]; ++c) sum += static_cast<double>(*o.at(i, c)) * static_cast<double>(*d_o_.at(i, c));
      delta_.get()[i] = static_cast<T>(sum);
    });
  }

  void add_dq(const View<T, 2>& dq) {
    for_channels([&](int64_t first, int64_t count) {
      spread(k_, v_, first, count);
      op_.forward(team_, left(count * k_.shape[1]), right(count * k_.shape[1]));
      gather(d_o_, first, count, dq);
    });
    op_.forward(team_, copied(k_), right(k_.shape[1]));
    for_rows([&](int64_t i) {
      for (int64_t l = 0; l < dq.shape[1]; ++l) *dq.at(i, l) -= scale_ * delta_.get()[i] * right_.get()[i * dq.shape[1] + l];
    });
  }

  void add_dk(const View<T, 2>& dk) {
    for_channels([&](int64_t first, int64_t count) {
      spread(q_, d_o_, first, count);
      op_.transposed(team_, left(count * q_.shape[1]), right(count * q_.shape[1]));
      gather(v_, first, count, dk);
    });
    const int64_t d = q_.shape[1];
    for_rows([&](int64_t i) {
      for (int64_t l = 0; l < d; ++l) left_.get()[i * d + l] = delta_.get()[i] * *q_.at(i, l);
    });
    op_.transposed(team_, left(d), right(d));
    for_rows([&](int64_t j) {
      for (int64_t l = 0; l < d; ++l) *dk.at(j, l) -= scale_ * right_.get()[j * d + l];
    });
  }

  ConvEffort effort() const { return op_.effort(); }

 private:
  View<const T, 2> left(int64_t columns) const { return {left_.get(), {n_, columns}, {columns, 1}}; }
  View<T, 2> right(int64_t columns) const { return {right_.get(), {n_, columns}, {columns, 1}}; }

  template <class Body>
  void for_rows(const Body& body) const {
    team_.run((n_ + kRows - 1) / kRows, [&](int64_t task, int64_t) {
      for (int64_t i = task * kRows; i < std::min((task + 1) * kRows, n_); ++i) body(i);
      team_.monitor().advance(0);
    });
  }

  template <class Body>
  void for_channels(const Body& body) const {
    for (int64_t first = 0; first < v_.shape[1]; first += channels_) {
      body(first, std::min(channels_, v_.shape[1] - first));
      team_.monitor().advance(1);
    }
  }

  View<const T, 2> copied(const View<const T, 2>& x) const {
    const int64_t columns = x.shape[1];
    for_rows([&](int64_t i) {
      for (int64_t c = 0; c < columns; ++c) left_.get()[i * columns + c] = *x.at(i, c);
    });
    return left(columns);
  }

  // left = the row-wise Khatri-Rao product of channels first .. first + count - 1 with x
  void spread(const View<const T, 2>& x, const View<const T, 2>& channels, int64_t first, int64_t count) const {
    const int64_t d = x.shape[1];
    for_rows([&](int64_t i) {
      for (int64_t c = 0; c < count; ++c) {
        const T factor = *channels.at(i, first + c);
        for (int64_t l = 0; l < d; ++l) left_.get()[(i * count + c) * d + l] = factor * *x.at(i, l);
      }
    });
  }

  // out += scale * the sum over those channels of channel * right
  void gather(const View<const T, 2>& channels, int64_t first, int64_t count, const View<T, 2>& out) const {
    const int64_t d = out.shape[1];
    for_rows([&](int64_t i) {
      for (int64_t c = 0; c < count; ++c) {
        const T factor = scale_ * *channels.at(i, first + c);
        for (int64_t l = 0; l < d; ++l) *out.at(i, l) += factor * right_.get()[(i * count + c) * d + l];
      }
    });
  }

  const Team& team_;
  const View<const T, 2> q_, k_, v_, d_o_;
  const T scale_;
  const int64_t n_, channels_;
  ConvOperator<T> op_;
  Lease<T> left_, right_, delta_;
};

}  // namespace

template <class T>
ConvEffort conv_backward(Execution& run, const ConvBasis<T>& basis, const Problem<T>& problem, bool check_overflow,
                         const View<const T, 4>& d_o, const Gradients<T>& gradients) {
  ConvEffort effort;
  Monitor monitor(run.ticker,
                  problem.batch() * problem.q_heads() * 2 * (problem.d_v() / std::max<int64_t>(1, kColumns / problem.d()) + 1));
  std::mutex mutex;
  for_heads(run, monitor, problem.batch(), problem.kv_heads(), problem.n_q(), [&](const Team& team, int64_t b, int64_t kv) {
    const auto rows = [&](const View<T, 4>& out, int64_t h) {
      const View<T, 2> view = out.data != nullptr ? matrix_of(out, b, h) : View<T, 2>();
      if (out.data != nullptr) fill_zero(team, view);
      return view;
    };
    const View<T, 2> dk = rows(gradients.dk, kv), dv = rows(gradients.dv, kv);
    for (int64_t h = kv * problem.group_size(); h < (kv + 1) * problem.group_size(); ++h) {
      const View<T, 2> dq = rows(gradients.dq, h);
      HeadGradients<T> head(team, run, basis.head(b, h), matrix_of(problem.q, b, h), matrix_of(problem.k, b, kv),
                            matrix_of(problem.v, b, kv), matrix_of(d_o, b, h), static_cast<T>(problem.scale));
      if (dv.data != nullptr) head.add_dv(dv);
      if (dq.data != nullptr || dk.data != nullptr) head.find_delta();
      if (dq.data != nullptr) head.add_dq(dq);
      if (dk.data != nullptr) head.add_dk(dk);
      const std::lock_guard<std::mutex> lock(mutex);
      effort.join(head.effort());
    }
  });
  if (check_overflow) {
    check_no_overflow(run, gradients.dq, "dq");
    check_no_overflow(run, gradients.dk, "dk");
    check_no_overflow(run, gradients.dv, "dv");
  }
  return effort;
}

template <class T>
void exact_gradients(Execution& run, const Problem<T>& problem, bool check_overflow, const View<const T, 4>& d_o,
                     const Gradients<T>& gradients) {
  const std::array<int64_t, 4> shape = d_o.shape;
  const int64_t rows = shape[0] * shape[1] * shape[2];
  const Aligned<T> o = run.workspace.template take<T>(rows * shape[3]), lse = run.workspace.template take<T>(rows);
  const std::array<int64_t, 4> strides{shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1};
  const std::array<int64_t, 3> row_shape{shape[0], shape[1], shape[2]}, row_strides{shape[1] * shape[2], shape[2], 1};
  exact_forward<T>(run, problem, check_overflow, {o.get(), shape, strides}, {lse.get(), row_shape, row_strides});
  exact_backward<T>(run, problem, check_overflow, {o.get(), shape, strides}, {lse.get(), row_shape, row_strides}, d_o, gradients);
}

template <class T>
bool conv_backward_is_faster(simd::Target target, const ConvBasis<T>& basis, const Problem<T>& problem) {
  const int64_t channels = std::max<int64_t>(1, kColumns / problem.d());
  const ConvCosts costs{channels * problem.d(), simd::spectral_kernels<T>(target).lanes};
  constexpr double kPasses = 1.8;  // products, with the passes over rows between them (docs/decisions/0010)
  const int64_t applies = 2 * ((problem.d_v() + channels - 1) / channels + 1);
  const double products = kPasses * static_cast<double>(applies), n = static_cast<double>(basis.n);
  const double exact = 3.5 * n * n * static_cast<double>(problem.d() + problem.d_v());  // two products forward, five backward
  double difference = 0;
  for (const ConvHead<T>& head : basis.list)
    difference += products * conv_product_cost<T>(conv_segments(head, ConvWeights::softmax), basis.n, costs) - exact;
  return difference < 0;
}

#define SUBQUAD_INSTANTIATE(T)                                                                                            \
  template ConvEffort conv_backward<T>(Execution&, const ConvBasis<T>&, const Problem<T>&, bool, const View<const T, 4>&, \
                                       const Gradients<T>&);                                                              \
  template void exact_gradients<T>(Execution&, const Problem<T>&, bool, const View<const T, 4>&, const Gradients<T>&);    \
  template bool conv_backward_is_faster<T>(simd::Target, const ConvBasis<T>&, const Problem<T>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
