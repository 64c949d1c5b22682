// Method: rows i and keys j of far pairs are a causal Toeplitz problem in a = i - window and j, with exp(kernel) as weights: conv_operator
// multiplies it, with its rows divided by their sums. The operand is exp(c_j - max c) v_j. Differs: whether a transform serves a row is
// decided again, for the row's weights fall with c, too.
#include "core/attention/conv_far_field.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/attention/conv_far_direct.hpp"
#include "core/attention/conv_operator.hpp"
#include "core/attention/for_heads.hpp"
#include "core/attention/layout.hpp"
#include "core/parallel/new_memory.hpp"
#include "core/simd/exp2.hpp"

namespace subquad::attention {

namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();
constexpr int64_t kRows = 1024;  // per task of a pass over rows

template <class T, class R>
ConvHead<R> kernel_head(const ConvFarField<T>& far) {
  ConvHead<R> head(far.size(), {0});
  std::copy(far.kernel.begin(), far.kernel.end(), head.kernel(0));
  return head;
}

// The rows, of those asked for, that transforms in R serve.
template <class T, class R>
class FarOperator {
 public:
  FarOperator(Execution& run, const Team& team, const ConvFarField<T>& far, const std::vector<int64_t>& rows, int64_t columns)
      : run_(run),
        team_(team),
        far_(far),
        head_(kernel_head<T, R>(far)),
        op_(team, run.target, run.workspace, head_, ConvMode{}, columns),
        top_key_(*std::max_element(far.key.begin(), far.key.end())),
        top_lag_(static_cast<double>(*std::max_element(far.kernel.begin(), far.kernel.end()))),
        served_(static_cast<size_t>(far.size())) {
    key_factors_ = powers(far.key, top_key_);
    choose_rows(rows);
    reserve_mapped(team, run.workspace, operand_, far.size() * columns);
    reserve_mapped(team, run.workspace, product_, far.size() * columns);
  }

  // Those rows of o.
  void forward(const View<const T, 2>& v, const View<T, 2>& o) {
    const int64_t columns = v.shape[1];
    for_rows([&](int64_t j) {
      scale_row(v.at(j), static_cast<R>(key_factors_[static_cast<size_t>(j)]), columns, operand_row(j, columns));
    });
    op_.forward(team_, operand(columns), product(columns));
    for_rows([&](int64_t a) {
      if (!served_[static_cast<size_t>(a)]) return;
      const R factor = row_factor(a, far_.lse[static_cast<size_t>(a + far_.window)]);
      const R* const from = product_.get() + a * columns;
      T* const to = o.at(a + far_.window);
      for (int64_t c = 0; c < columns; ++c) to[c * o.strides[1]] = static_cast<T>(factor * from[c]);
    });
  }

  // dv += what those rows contribute.
  void transposed(const View<const T, 1>& lse, const View<const T, 2>& d_o, const View<T, 2>& dv) {
    const int64_t columns = d_o.shape[1];
    for_rows([&](int64_t a) {
      const R factor = served_[static_cast<size_t>(a)] ? row_factor(a, static_cast<double>(*lse.at(a + far_.window))) : R{0};
      scale_row(d_o.at(a + far_.window), factor, columns, operand_row(a, columns));
    });
    op_.transposed(team_, operand(columns), product(columns));
    for_rows([&](int64_t j) {
      const R factor = static_cast<R>(key_factors_[static_cast<size_t>(j)]);
      const R* const from = product_.get() + j * columns;
      for (int64_t c = 0; c < columns; ++c) *dv.at(j, c) += static_cast<T>(factor * from[c]);
    });
  }

  // Those asked for that it does not serve.
  const std::vector<int64_t>& other_rows() const { return other_rows_; }

 private:
  template <class Body>
  void for_rows(const Body& body) const {
    team_.run((far_.size() + kRows - 1) / kRows, [&](int64_t task, int64_t) {
      for (int64_t a = task * kRows; a < std::min((task + 1) * kRows, far_.size()); ++a) body(a);
      team_.monitor().advance(0);
    });
  }

  R* operand_row(int64_t a, int64_t columns) const { return operand_.get() + a * columns; }
  View<const R, 2> operand(int64_t columns) const { return {operand_.get(), {far_.size(), columns}, {columns, 1}}; }
  View<R, 2> product(int64_t columns) const { return {product_.get(), {far_.size(), columns}, {columns, 1}}; }

  static void scale_row(const T* from, R factor, int64_t columns, R* to) {
    for (int64_t c = 0; c < columns; ++c) to[c] = factor * static_cast<R>(from[c]);
  }

  // exp(values - top) of the far rows' keys or lags
  template <class V>
  std::vector<double> powers(const std::vector<V>& values, double top) const {
    std::vector<double> x(static_cast<size_t>(far_.size()));
    for (size_t a = 0; a < x.size(); ++a) x[a] = kLog2E * (static_cast<double>(values[a]) - top);
    simd::exp2_array<double>(run_.target, x.data(), x.data(), far_.size());
    for (size_t a = 0; a < x.size(); ++a) x[a] = static_cast<double>(values[a]) != kNothing ? x[a] : 0;
    return x;
  }

  // What a row of the operator is multiplied by for weights relative to exp(lse).
  R row_factor(int64_t a, double lse) const {
    const double row = far_.row[static_cast<size_t>(a + far_.window)];
    return static_cast<R>(std::exp(row + top_key_ - lse + kLn2 * op_.log2_sums()[static_cast<size_t>(a)]));
  }

  // A transform's error, as in conv_plan.cpp with the operand's own norms, against the row's sum of weights.
  void choose_rows(const std::vector<int64_t>& rows) {
    const int64_t size = far_.size(), block = op_.effort().block > 0 ? op_.effort().block : size,
                  blocks = (size + block - 1) / block;
    const std::vector<double> lag_factors = powers(far_.kernel, top_lag_);
    std::vector<double> keys(static_cast<size_t>(blocks)), lags(keys), log_least(keys);
    for (int64_t x = 0; x < size; ++x) {
      const auto at = static_cast<size_t>(x), b = static_cast<size_t>(x / block);
      keys[b] += key_factors_[at] * key_factors_[at];
      lags[b] += lag_factors[at] * lag_factors[at];
    }
    const double roundoff = std::numeric_limits<R>::epsilon() / 2 * std::log2(2.0 * static_cast<double>(block));
    for (size_t b = 0; b < keys.size(); ++b) {
      double error = 0;
      for (size_t p = 0; p <= b; ++p) error += roundoff * std::sqrt((lags[b - p] + (b > p ? lags[b - p - 1] : 0)) * keys[p]);
      log_least[b] = op_.effort().block > 0 ? std::log(error / kFarTolerance<T>) + top_key_ + top_lag_ : kNothing;
    }
    for (const int64_t i : rows) {
      const auto a = static_cast<size_t>(i - far_.window);
      const double sum = far_.lse[static_cast<size_t>(i)] - far_.row[static_cast<size_t>(i)],
                   average = sum - top_key_ - kLn2 * op_.log2_sums()[a];  // log of exp(c_j - max c)
      served_[a] = sum >= log_least[a / static_cast<size_t>(block)] && average >= -kMostFall;
      if (!served_[a]) other_rows_.push_back(i);
    }
  }

  // exp(c_j - max c) below exp(-kMostFall) has no digits left in R.
  static constexpr double kMostFall = sizeof(R) == 4 ? 60 : 600;

  Execution& run_;
  const Team& team_;
  const ConvFarField<T>& far_;
  const ConvHead<R> head_;
  ConvOperator<R> op_;
  const double top_key_, top_lag_;
  std::vector<bool> served_;
  std::vector<int64_t> other_rows_;
  std::vector<double> key_factors_;
  Lease<R> operand_, product_;
};

// Calls use(operator) for transforms in T, and in double where they leave many rows; returns the rows that none serves.
template <class T, class Use>
std::vector<int64_t> for_operators(Execution& run, const Team& team, const ConvFarField<T>& far, int64_t columns,
                                   const Use& use) {
  std::vector<int64_t> rows;
  for (int64_t i = far.window; i < far.n(); ++i) {
    if (far.lse[static_cast<size_t>(i)] != kNothing) rows.push_back(i);
  }
  FarOperator<T, T> op(run, team, far, rows, columns);
  use(op);
  rows = op.other_rows();
  if constexpr (!std::is_same_v<T, double>) {
    double direct = 0;
    for (const int64_t i : rows) direct += static_cast<double>((i - far.window + 1) * (2 * columns + 16));
    const ConvSegment<double> segment{0, far.size(), nullptr};
    const ConvCosts costs{columns, simd::spectral_kernels<double>(run.target).lanes};
    if (direct > 2 * conv_product_cost<double>({segment}, far.size(), costs)) {
      FarOperator<T, double> exact(run, team, far, rows, columns);
      use(exact);
      rows = exact.other_rows();
    }
  }
  return rows;
}

template <class T>
bool is_empty(const ConvFarField<T>& far) {
  return std::all_of(far.lse.begin(), far.lse.end(), [](double x) { return x == kNothing; });
}

}  // namespace

template <class T>
int64_t apply_conv_far_field(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 2>& v,
                             const View<T, 2>& o) {
  for (int64_t i = 0; i < far.n(); ++i) {
    if (far.lse[static_cast<size_t>(i)] != kNothing) continue;
    for (int64_t c = 0; c < o.shape[1]; ++c) *o.at(i, c) = T{0};
  }
  if (is_empty(far) || v.shape[1] == 0) return 0;
  const std::vector<int64_t> rows = for_operators(run, team, far, v.shape[1], [&](auto& op) { op.forward(v, o); });
  FarDirect<T>(run, team, far)
      .forward(
          v, rows, [&](size_t r) { return o.at(rows[r]); }, o.strides[1]);
  return static_cast<int64_t>(rows.size());
}

template <class T>
void far_field_rows(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 2>& v,
                    const std::vector<int64_t>& rows, const View<T, 2>& o) {
  FarDirect<T>(run, team, far)
      .forward(
          v, rows, [&](size_t r) { return o.at(r); }, o.strides[1]);
}

template <class T>
void apply_conv_far_field_transposed(Execution& run, const Team& team, const ConvFarField<T>& far, const View<const T, 1>& lse,
                                     const View<const T, 2>& d_o, const View<T, 2>& dv) {
  if (is_empty(far) || d_o.shape[1] == 0) return;
  const std::vector<int64_t> rows = for_operators(run, team, far, d_o.shape[1], [&](auto& op) { op.transposed(lse, d_o, dv); });
  FarDirect<T>(run, team, far).transposed(lse, d_o, rows, dv);
}

#define SUBQUAD_INSTANTIATE(T)                                                                                               \
  template int64_t apply_conv_far_field<T>(Execution&, const Team&, const ConvFarField<T>&, const View<const T, 2>&,         \
                                           const View<T, 2>&);                                                               \
  template void far_field_rows<T>(Execution&, const Team&, const ConvFarField<T>&, const View<const T, 2>&,                  \
                                  const std::vector<int64_t>&, const View<T, 2>&);                                           \
  template void apply_conv_far_field_transposed<T>(Execution&, const Team&, const ConvFarField<T>&, const View<const T, 1>&, \
                                                   const View<const T, 2>&, const View<T, 2>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
