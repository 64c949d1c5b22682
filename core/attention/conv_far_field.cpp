// Method: rows i and keys j of far pairs are a causal Toeplitz problem in a = i - window and j, with exp(kernel) as weights: conv_operator
// multiplies it, with its rows divided by their sums. The operand is exp(c_j - max c) v_j. Differs: whether a transform serves a row is
// decided again, for the row's weights fall with c, too.
#include "core/attention/conv_far_field.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/conv_far_direct.hpp"
#include "core/attention/conv_operator.hpp"
#include "core/attention/for_heads.hpp"
#include "core/attention/layout.hpp"
#include "core/parallel/new_memory.hpp"

namespace subquad::attention {

namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();
constexpr int64_t kRows = 1024;  // per task of a pass over rows

template <class T>
ConvHead<T> kernel_head(const ConvFarField<T>& far) {
  ConvHead<T> head(far.size(), {0});
  std::copy(far.kernel.begin(), far.kernel.end(), head.kernel(0));
  return head;
}

// The head's weights by transforms, where they serve.
template <class T>
class FarOperator {
 public:
  FarOperator(Execution& run, const Team& team, const ConvFarField<T>& far, int64_t columns)
      : run_(run),
        team_(team),
        far_(far),
        head_(kernel_head(far)),
        op_(team, run.target, run.workspace, head_, ConvMode{}, columns),
        top_key_(*std::max_element(far.key.begin(), far.key.end())),
        top_lag_(static_cast<double>(*std::max_element(far.kernel.begin(), far.kernel.end()))) {
    choose_rows();
    key_factors_.resize(static_cast<size_t>(far.size()));
    for (int64_t j = 0; j < far.size(); ++j) key_factors_[static_cast<size_t>(j)] = static_cast<T>(std::exp(key(j) - top_key_));
    reserve_mapped(team, run.workspace, operand_, far.size() * columns);
  }

  // Rows of o that transforms serve, and zeros in the others.
  void forward(const View<const T, 2>& v, const View<T, 2>& o) {
    const View<const T, 2> x = fill_operand(v.shape[1], [&](int64_t j, T* to) {
      const T factor = key_factors_[static_cast<size_t>(j)];
      const T* const from = v.at(j);
      for (int64_t c = 0; c < v.shape[1]; ++c) to[c] = factor != 0 ? factor * from[c] : 0;
    });
    const View<T, 2> y{o.at(far_.window), {far_.size(), o.shape[1]}, o.strides};
    op_.forward(team_, x, y);
    for_rows([&](int64_t a) {
      const T factor = row_factor(a, far_.lse[static_cast<size_t>(a + far_.window)]);
      for (int64_t c = 0; c < y.shape[1]; ++c) *y.at(a, c) = factor != 0 ? factor * *y.at(a, c) : 0;
    });
  }

  // dv += what those rows contribute.
  void transposed(const View<const T, 1>& lse, const View<const T, 2>& d_o, const View<T, 2>& dv) {
    const int64_t columns = d_o.shape[1];
    const View<const T, 2> x = fill_operand(columns, [&](int64_t a, T* to) {
      const T* const from = d_o.at(a + far_.window);
      const T factor = row_factor(a, static_cast<double>(*lse.at(a + far_.window)));
      for (int64_t c = 0; c < columns; ++c) to[c] = factor != 0 ? factor * from[c] : 0;
    });
    Lease<T> product;
    reserve_mapped(team_, run_.workspace, product, far_.size() * columns);
    const View<T, 2> y{product.get(), {far_.size(), columns}, {columns, 1}};
    op_.transposed(team_, x, y);
    for_rows([&](int64_t j) {
      const T factor = key_factors_[static_cast<size_t>(j)];
      for (int64_t c = 0; c < columns; ++c) *dv.at(j, c) += factor * *y.at(j, c);
    });
  }

  // Queries with far pairs that no transform serves.
  const std::vector<int64_t>& other_rows() const { return other_rows_; }

 private:
  double key(int64_t j) const { return far_.key[static_cast<size_t>(j)]; }

  template <class Body>
  void for_rows(const Body& body) const {
    team_.run((far_.size() + kRows - 1) / kRows, [&](int64_t task, int64_t) {
      for (int64_t a = task * kRows; a < std::min((task + 1) * kRows, far_.size()); ++a) body(a);
      team_.monitor().advance(0);
    });
  }

  template <class Fill>
  View<const T, 2> fill_operand(int64_t columns, const Fill& fill) const {
    for_rows([&](int64_t a) { fill(a, operand_.get() + a * columns); });
    return {operand_.get(), {far_.size(), columns}, {columns, 1}};
  }

  // What a row of the operator is multiplied by for weights relative to exp(lse); 0 for a row that is not served.
  T row_factor(int64_t a, double lse) const {
    if (!served_[static_cast<size_t>(a)]) return T{0};
    const double row = far_.row[static_cast<size_t>(a + far_.window)];
    return static_cast<T>(std::exp(row + top_key_ - lse + kLn2 * op_.log2_sums()[static_cast<size_t>(a)]));
  }

  // A transform's error, as in conv_plan.cpp with the operand's own norms, against the row's sum of weights.
  void choose_rows() {
    const int64_t size = far_.size(), block = op_.effort().block > 0 ? op_.effort().block : size, blocks = (size + block - 1) / block;
    std::vector<double> keys(static_cast<size_t>(blocks)), lags(keys);
    for (int64_t x = 0; x < size; ++x) {
      keys[static_cast<size_t>(x / block)] += std::exp(2 * (key(x) - top_key_));
      lags[static_cast<size_t>(x / block)] += std::exp(2 * (static_cast<double>(far_.kernel[static_cast<size_t>(x)]) - top_lag_));
    }
    served_.assign(static_cast<size_t>(size), false);
    const double roundoff = std::numeric_limits<T>::epsilon() / 2 * std::log2(2.0 * static_cast<double>(block));
    for (int64_t b = 0; b < blocks; ++b) {
      double error = 0;
      for (int64_t p = 0; p <= b; ++p) {
        const auto apart = static_cast<size_t>(b - p);
        const double window = lags[apart] + (apart > 0 ? lags[apart - 1] : 0);
        error += roundoff * std::sqrt(window * keys[static_cast<size_t>(p)]);
      }
      const double least = op_.effort().block > 0 ? std::log(error / kFarTolerance<T>) + top_key_ + top_lag_ : kNothing;
      for (int64_t a = b * block; a < std::min((b + 1) * block, size); ++a) {
        const auto i = static_cast<size_t>(a + far_.window);
        const double sum = far_.lse[i] - far_.row[i],
                     average = sum - top_key_ - kLn2 * op_.log2_sums()[static_cast<size_t>(a)];  // log of exp(c_j - max c)
        if (far_.lse[i] == kNothing) continue;
        served_[static_cast<size_t>(a)] = sum >= least && average >= -kMostFall;
        if (!served_[static_cast<size_t>(a)]) other_rows_.push_back(a + far_.window);
      }
      team_.monitor().advance(0);
    }
  }

  // exp(c_j - max c) below exp(-kMostFall) has no digits left in T, or is lost beside others.
  static constexpr double kMostFall = sizeof(T) == 4 ? 60 : 600;

  Execution& run_;
  const Team& team_;
  const ConvFarField<T>& far_;
  const ConvHead<T> head_;
  ConvOperator<T> op_;
  const double top_key_, top_lag_;
  std::vector<bool> served_;
  std::vector<int64_t> other_rows_;
  std::vector<T> key_factors_;
  Lease<T> operand_;
};

template <class T>
bool is_empty(const ConvFarField<T>& far) {
  return std::all_of(far.lse.begin(), far.lse.end(), [](double x) { return x == kNothing; });
}

}  // namespace

template <class T>
int64_t apply_conv_far_field(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 2>& v,
                             const View<T, 2>& o) {
  fill_zero(team, View<T, 2>{o.data, {is_empty(far) ? far.n() : far.window, o.shape[1]}, o.strides});
  if (is_empty(far) || v.shape[1] == 0) return 0;
  FarOperator<T> op(run, team, far, v.shape[1]);
  op.forward(v, o);
  const std::vector<int64_t>& rows = op.other_rows();
  const FarDirect<T> direct(run, team, far);
  direct.forward(v, rows, [&](size_t r) { return o.at(rows[r]); }, o.strides[1]);
  return static_cast<int64_t>(rows.size());
}

template <class T>
void far_field_rows(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 2>& v,
                    const std::vector<int64_t>& rows, const View<T, 2>& o) {
  FarDirect<T>(run, team, far).forward(v, rows, [&](size_t r) { return o.at(r); }, o.strides[1]);
}

template <class T>
void apply_conv_far_field_transposed(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 1>& lse,
                                     const View<const T, 2>& d_o, const View<T, 2>& dv) {
  if (is_empty(far) || d_o.shape[1] == 0) return;
  FarOperator<T> op(run, team, far, d_o.shape[1]);
  op.transposed(lse, d_o, dv);
  FarDirect<T>(run, team, far).transposed(lse, d_o, op.other_rows(), dv);
}

#define SUBQUAD_INSTANTIATE(T)                                                                                              \
  template int64_t apply_conv_far_field<T>(Execution&, const Team&, const ConvFarField<T>&, const View<const T, 2>&,        \
                                           const View<T, 2>&);                                                              \
  template void far_field_rows<T>(Execution&, const Team&, const ConvFarField<T>&, const View<const T, 2>&,                 \
                                  const std::vector<int64_t>&, const View<T, 2>&);                                          \
  template void apply_conv_far_field_transposed<T>(Execution&, const Team&, const ConvFarField<T>&, const View<const T, 1>&, \
                                                   const View<const T, 2>&, const View<T, 2>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
