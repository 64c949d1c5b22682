// Queries and keys whose logits have a conv basis that is known, exactly or up to a noise that is known.
//
// A kernel is a sum of cosines, B[t] = sum_f a_f cos(w_f t) + b_f sin(w_f t), which q_i = (cos w_f i, sin w_f i) and keys turned by the
// angle w_f j make of inner products. The noise is one more coordinate: x_i y_j with |x_i y_j| = noise, of random signs.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/attention/conv_basis.hpp"
#include "core/random/philox.hpp"
#include "tests/core/attention_case.hpp"

namespace subquad::test {

struct ConvShape {
  int64_t n, window;
  std::vector<int64_t> starts;
  int64_t frequencies = 4;  // the first of them 0
};

template <class T>
struct ConvCase {
  ConvShape shape;
  double noise;
  Tensor<T> q, k;               // [1][1][n][2 frequencies + 1], for scale 1
  long double logit_scale = 0;  // largest sum of |terms| of a logit

  // noise: as a share of the most that the theorem allows, delta / (5 window).
  ConvCase(ConvShape s, double noise_share, uint64_t seed)
      : shape(std::move(s)), noise(0), q(1, 1, shape.n, d()), k(1, 1, shape.n, d()), seed_(seed) {
    delta_ = least_distance();
    noise = noise_share * static_cast<double>(delta_) / (5 * static_cast<double>(shape.window));
    for (int64_t i = 0; i < shape.n; ++i) write_row(i);
    long double q_size = 0, k_size = 0;
    for (const T x : q.data) q_size = std::max(q_size, std::fabs(static_cast<long double>(x)));
    for (int64_t j = 0; j < shape.n; ++j) {
      long double sum = 0;
      for (int64_t l = 0; l < d(); ++l) sum += std::fabs(static_cast<long double>(k(0, 0, j, l)));
      k_size = std::max(k_size, sum);
    }
    logit_scale = q_size * k_size;
  }

  int64_t bases() const { return static_cast<int64_t>(shape.starts.size()); }
  int64_t d() const { return 2 * shape.frequencies + 1; }

  // Number of the basis that key j belongs to, or -1.
  int64_t basis_of(int64_t j) const {
    return std::upper_bound(shape.starts.begin(), shape.starts.end(), j) - shape.starts.begin() - 1;
  }

  // Kernel r; r = -1: before the first start.
  long double kernel(int64_t r, int64_t t) const {
    long double sum = 0;
    for (int64_t f = 0; f < shape.frequencies && r >= 0; ++f) {
      const long double angle = frequency(f) * static_cast<long double>(t);
      sum += amplitude(r, 2 * f) * std::cos(angle) + amplitude(r, 2 * f + 1) * std::sin(angle);
    }
    return sum;
  }

  // The least l1 distance of the first `window` entries of two kernels, nothing before the first start among them.
  long double delta() const { return delta_; }

  // <q_i, k_j> of the rounded arrays.
  long double logit(int64_t i, int64_t j) const {
    long double sum = 0;
    for (int64_t l = 0; l < d(); ++l) sum += static_cast<long double>(q(0, 0, i, l)) * k(0, 0, j, l);
    return sum;
  }

  // How far a logit may be from its kernel's entry beyond the noise: entries of q and k were rounded, and a computed logit, too.
  long double rounding() const {
    return static_cast<long double>(std::numeric_limits<T>::epsilon()) / 2 * static_cast<long double>(d() + 6) * logit_scale;
  }

 private:
  double uniform(uint64_t stream, int64_t index) const {
    return 2 * random_uniform(seed_, stream, static_cast<uint64_t>(index)) - 1;
  }
  long double frequency(int64_t f) const { return f == 0 ? 0 : 1.5L + uniform(0, f); }
  long double amplitude(int64_t r, int64_t place) const { return uniform(1, r * 2 * shape.frequencies + place); }

  void write_row(int64_t i) {
    const int64_t r = basis_of(i);
    for (int64_t f = 0; f < shape.frequencies; ++f) {
      const long double angle = frequency(f) * static_cast<long double>(i), c = std::cos(angle), s = std::sin(angle);
      const long double a = r < 0 ? 0 : amplitude(r, 2 * f), b = r < 0 ? 0 : amplitude(r, 2 * f + 1);
      q(0, 0, i, 2 * f) = static_cast<T>(c);
      q(0, 0, i, 2 * f + 1) = static_cast<T>(s);
      k(0, 0, i, 2 * f) = static_cast<T>(a * c - b * s);
      k(0, 0, i, 2 * f + 1) = static_cast<T>(a * s + b * c);
    }
    q(0, 0, i, d() - 1) = uniform(2, i) < 0 ? T{-1} : T{1};
    k(0, 0, i, d() - 1) = static_cast<T>(uniform(3, i) < 0 ? -noise : noise);
  }

  long double least_distance() const {
    std::vector<std::vector<long double>> beginnings{std::vector<long double>(static_cast<size_t>(shape.window))};
    for (int64_t r = 0; r < bases(); ++r) {
      beginnings.emplace_back();
      for (int64_t t = 0; t < shape.window; ++t) beginnings.back().push_back(kernel(r, t));
    }
    long double least = std::numeric_limits<long double>::infinity();
    for (size_t a = 0; a < beginnings.size(); ++a) {
      for (size_t b = 0; b < a; ++b) {
        long double distance = 0;
        for (size_t t = 0; t < beginnings[a].size(); ++t) distance += std::fabs(beginnings[a][t] - beginnings[b][t]);
        least = std::min(least, distance);
      }
    }
    return least;
  }

  uint64_t seed_;
  long double delta_ = 0;
};

// A shape with `bases` random starts in [least, n - window]; least: where the first may be (it is there, too, if it is 0).
inline ConvShape random_shape(int64_t n, int64_t window, int64_t bases, int64_t least, uint64_t seed) {
  std::vector<int64_t> places;
  for (int64_t j = least; j + window <= n; ++j) places.push_back(j);
  for (size_t i = least == 0 ? 1 : 0; i < places.size(); ++i) {  // the first entries of a random permutation
    const auto left = static_cast<double>(places.size() - i);
    std::swap(places[i], places[i + static_cast<size_t>(random_uniform(seed, 9, i) * left)]);
  }
  places.resize(std::min(places.size(), static_cast<size_t>(bases)));
  std::sort(places.begin(), places.end());
  return {n, window, places};
}

// Weights of row i, from logits of type double or long double.
template <class Logit>
std::vector<long double> softmax_row(int64_t i, const Logit& logit) {
  std::vector<long double> row;
  long double top = -std::numeric_limits<long double>::infinity(), sum = 0;
  for (int64_t j = 0; j <= i; ++j) {
    row.push_back(logit(j));
    top = std::max(top, row.back());
  }
  for (long double& x : row) sum += x = std::exp(x - top);
  for (long double& x : row) x /= sum;
  return row;
}

template <class T>
View<const T, 4> read(const Tensor<T>& x) {
  return x.view();
}

// Entry of a conv basis.
template <class T>
long double entry(const attention::ConvHead<T>& head, int64_t i, int64_t j) {
  const auto& starts = head.starts();
  const int64_t r = std::upper_bound(starts.begin(), starts.end(), j) - starts.begin() - 1;
  return r < 0 ? 0 : head.kernel(r)[i - j];
}

}  // namespace subquad::test
