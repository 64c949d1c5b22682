// Method: alternating least squares. Each of r, c and f is in turn the mean of what the two others leave, over its row, key or lag: means
// of logits come from conv_far_sums, those of the others from running sums, less the heavy keys' terms one by one.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/conv_far_field.hpp"
#include "core/attention/conv_far_mass.hpp"
#include "core/attention/conv_far_sums.hpp"
#include "core/attention/layout.hpp"
#include "core/base/error.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kRounds = 3;  // on heads of a real model the second lowered the mean square by 1 %, the third by 0.05 %
constexpr double kNothing = -std::numeric_limits<double>::infinity();

class Model {
 public:
  Model(const FarPairs& pairs, const FarSums& sums, Monitor& monitor)
      : pairs_(pairs), sums_(sums), monitor_(monitor), r(size()), c(size()), f(size()), kept_up_to_(size()) {
    int64_t count = 0;
    for (size_t a = 0; a < size(); ++a) kept_up_to_[a] = static_cast<double>(count += pairs.kept[a] ? 1 : 0);
  }

  void fit() {
    for (int64_t round = 0; round < kRounds; ++round) {
      fit_rows();
      fit_keys();
      fit_lags();
    }
    fit_rows();
    for (size_t a = 0; a < size(); ++a) {
      r[a] += sums_.row_part[a];
      c[a] += sums_.key_part[a];
    }
  }

  // A line in c and the same line in f are one in r: so the steeper of the two is made level, the other falls, and every row sees the
  // largest weights. Rows that see none of them are what transforms serve badly.
  void level() {
    const double tilt = std::max(slope(c, [&](size_t j) { return pairs_.kept[j] ? rows_of(j) : 0; }),
                                 slope(f, [&](size_t s) { return kept_up_to_[size() - 1 - s]; }));
    for (size_t a = 0; a < size(); ++a) {
      const double line = tilt * static_cast<double>(a);
      r[a] += line;
      c[a] -= line;
      f[a] -= line;
    }
    for (size_t s = 1; s < size(); ++s) {
      if (kept_up_to_[size() - 1 - s] == 0) f[s] = f[s - 1];  // a lag without pairs
    }
  }

  bool has_pairs(size_t a) const { return kept_up_to_[a] > 0; }

 private:
  const FarPairs& pairs_;
  const FarSums& sums_;
  Monitor& monitor_;

 public:
  std::vector<double> r, c, f;  // c: 0 for keys that are not kept

 private:
  size_t size() const { return static_cast<size_t>(pairs_.size); }
  double rows_of(size_t j) const { return static_cast<double>(size() - j); }

  void fit_rows() {
    double keys = 0, lags = 0;
    for (size_t a = 0; a < size(); ++a) {
      keys += c[a];
      lags += f[a];
      r[a] = sums_.rows[a] - keys - lags;
    }
    give_back(f, r);
    for (size_t a = 0; a < size(); ++a) r[a] = has_pairs(a) ? r[a] / kept_up_to_[a] : 0;
  }

  void fit_keys() {
    double rows = 0, lags = 0;
    for (size_t s = 0; s < size(); ++s) lags += f[s];
    for (size_t j = 0; j < size(); ++j) c[j] = (sums_.keys[j] - lags) / rows_of(j), lags -= f[size() - 1 - j];
    for (size_t j = size(); j-- > 0;) {
      rows += r[j];
      c[j] = pairs_.kept[j] ? c[j] - rows / rows_of(j) : 0;
    }
  }

  void fit_lags() {
    double rows = 0, keys = 0;
    for (size_t x = 0; x < size(); ++x) keys += c[x];
    std::vector<double> rest(size());
    for (size_t s = 0; s < size(); ++s) {
      rest[s] = sums_.lags[s] - keys;
      keys -= c[size() - 1 - s];
    }
    for (size_t s = size(); s-- > 0;) rest[s] -= rows += r[s];
    for (const int64_t h : pairs_.left_out) {
      const auto key = static_cast<size_t>(h);
      for (size_t s = 0; s + key < size(); ++s) rest[s] += r[key + s];
      monitor_.advance(0);
    }
    for (size_t s = 0; s < size(); ++s) {
      const double pairs = kept_up_to_[size() - 1 - s];
      if (pairs > 0) f[s] = rest[s] / pairs;
    }
  }

  // out[a] += sum over left out keys h <= a of lags[a - h]
  void give_back(const std::vector<double>& lags, std::vector<double>& out) const {
    for (const int64_t h : pairs_.left_out) {
      const auto key = static_cast<size_t>(h);
      for (size_t a = key; a < size(); ++a) out[a] += lags[a - key];
      monitor_.advance(0);
    }
  }

  template <class Weight>
  double slope(const std::vector<double>& values, const Weight& weight) const {
    double total = 0, place = 0, value = 0, square = 0, product = 0;
    for (size_t x = 0; x < size(); ++x) {
      total += weight(x);
      place += weight(x) * static_cast<double>(x);
      value += weight(x) * values[x];
    }
    if (total == 0) return 0;
    place /= total;
    value /= total;
    for (size_t x = 0; x < size(); ++x) {
      const double distance = static_cast<double>(x) - place;
      square += weight(x) * distance * distance;
      product += weight(x) * distance * (values[x] - value);
    }
    return square > 0 ? product / square : 0;
  }

  std::vector<double> kept_up_to_;  // keys j <= a: a row's pairs, and those of lag size - 1 - a
};

}  // namespace

template <class T>
ConvFarField<T> fit_conv_far_field(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k,
                                   double scale, int64_t window, const std::vector<int64_t>& heavy,
                                   const std::vector<int64_t>& sampled_rows) {
  const int64_t n = q.shape[0];
  const auto count = static_cast<size_t>(n);
  ConvFarField<T> far{
      window, std::vector<double>(count), std::vector<double>(count, kNothing), {}, std::vector<double>(count, kNothing)};
  const FarPairs pairs(n, window, heavy);
  if (pairs.size == 0) return far;
  const FarSums sums = far_sums<T>(run, team, q, k, scale, pairs);
  Model model(pairs, sums, team.monitor());
  model.fit();
  model.level();
  far.kernel.resize(static_cast<size_t>(pairs.size));
  bool finite = true;
  for (size_t a = 0; a < far.kernel.size(); ++a) {
    far.row[a + static_cast<size_t>(window)] = model.r[a];
    if (pairs.kept[a]) far.key[a] = model.c[a];
    far.kernel[a] = static_cast<T>(model.f[a]);
    finite &= std::isfinite(model.r[a]) && std::isfinite(model.c[a]) && std::isfinite(far.kernel[a]);
  }
  if (!finite) throw Error(Status::err_overflow, "sums of the logits of far pairs overflow the arrays' data type");
  far_masses(run, team, far);
  calibrate<T>(run, team, q, k, scale, sampled_rows, far);
  return far;
}

template ConvFarField<float> fit_conv_far_field<float>(Execution&, const Team&, const View<const float, 2>&,
                                                       const View<const float, 2>&, double, int64_t, const std::vector<int64_t>&,
                                                       const std::vector<int64_t>&);
template ConvFarField<double> fit_conv_far_field<double>(Execution&, const Team&, const View<const double, 2>&,
                                                         const View<const double, 2>&, double, int64_t,
                                                         const std::vector<int64_t>&, const std::vector<int64_t>&);

}  // namespace subquad::attention
