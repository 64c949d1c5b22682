// Columns chosen by barriers: the bound of the method on every instance, its certificate against long double, what is promised of
// indices, weights, threads and SIMD targets.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/base/error.hpp"
#include "core/random/philox.hpp"
#include "core/sparsify/barriers.hpp"
#include "core/sparsify/gram_tree.hpp"
#include "tests/core/attention_case.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

using Matrix = std::vector<std::vector<long double>>;  // [column][row]

double normal(uint64_t seed, uint64_t stream, uint64_t index) {
  double sum = -6;
  for (uint64_t k = 0; k < 12; ++k) sum += random_uniform(seed, stream, 12 * index + k);
  return sum;
}

Matrix gaussian(int64_t rank, int64_t count, uint64_t seed) {
  Matrix x(static_cast<size_t>(count), std::vector<long double>(static_cast<size_t>(rank)));
  for (size_t j = 0; j < x.size(); ++j) {
    for (size_t i = 0; i < x[j].size(); ++i) x[j][i] = normal(seed, j, i);
  }
  return x;
}

// Gaussian columns, column j times factor(j).
template <class Factor>
Matrix scaled(int64_t rank, int64_t count, uint64_t seed, const Factor& factor) {
  Matrix x = gaussian(rank, count, seed);
  for (size_t j = 0; j < x.size(); ++j) {
    for (long double& entry : x[j]) entry *= factor(j);
  }
  return x;
}

// `copies` of every column, apart by `distance` times another column.
Matrix repeated(int64_t rank, int64_t count, int64_t copies, long double distance) {
  const Matrix x = gaussian(rank, count, 21), other = gaussian(rank, count * copies, 22);
  Matrix all;
  for (size_t j = 0; j < other.size(); ++j) {
    all.push_back(x[j / static_cast<size_t>(copies)]);
    for (size_t i = 0; i < all[j].size(); ++i) all[j][i] += distance * other[j][i];
  }
  return all;
}

// Coordinate vectors, each `copies` times.
Matrix coordinates(int64_t rank, int64_t copies) {
  Matrix x(static_cast<size_t>(rank * copies), std::vector<long double>(static_cast<size_t>(rank)));
  for (size_t j = 0; j < x.size(); ++j) x[j][j % static_cast<size_t>(rank)] = 1;
  return x;
}

// Makes the rows orthonormal, by Gram-Schmidt twice.
Matrix whitened(Matrix x) {
  for (size_t pass = 0; pass < 2; ++pass) {
    for (size_t i = 0; i < x.front().size(); ++i) {
      for (size_t k = 0; k <= i; ++k) {
        long double product = 0;
        for (const auto& column : x) product += column[i] * column[k];
        for (auto& column : x) column[i] = k < i ? column[i] - product * column[k] : column[i] / std::sqrt(product);
      }
    }
  }
  return x;
}

// Tests have coordinates of their own: entry i of v is entry i + 1 there, times 2^(i mod 3); entry 0 is zero.
class ColumnsInMemory : public sparsify::SelectionColumns {
 public:
  ColumnsInMemory(const Matrix& v, int64_t leaf) : leaf_(leaf), rank_(static_cast<int64_t>(v.front().size())) {
    for (const auto& column : v) v_.emplace_back(column.begin(), column.end());
  }

  int64_t count() const override { return static_cast<int64_t>(v_.size()); }
  int64_t rank() const override { return rank_; }
  std::vector<int64_t> leaves() const override {
    std::vector<int64_t> first;
    for (int64_t j = 0; j < count(); j += leaf_) first.push_back(j);
    first.push_back(count());
    return first;
  }
  int64_t size() const override { return rank_ + 1; }
  void leaf_grams(double* grams) const override {
    for (int64_t first = 0; first < count(); first += leaf_) {
      for (int64_t i = 0; i < size(); ++i) {
        for (int64_t k = 0; k <= i; ++k) {
          *grams = 0;
          for (int64_t j = first; j < std::min(first + leaf_, count()); ++j) *grams += in_tests(j, i) * in_tests(j, k);
          ++grams;
        }
      }
    }
  }
  void test_matrix(const double* m, double* test) const override {
    std::fill(test, test + size() * size(), 1.0);  // where no column has entries, nothing counts
    for (int64_t i = 0; i < rank_; ++i) {
      for (int64_t k = 0; k < rank_; ++k) test[(i + 1) * size() + k + 1] = m[i * rank_ + k] / (factor(i) * factor(k));
    }
  }
  void test_columns(const double* m, const double*, int64_t first, int64_t last, double* values) const override {
    for (int64_t j = first; j < last; ++j) {
      values[j - first] = 0;
      for (int64_t i = 0; i < rank_; ++i) {
        values[j - first] += std::inner_product(m + i * rank_, m + (i + 1) * rank_, of(j).begin(), 0.0) * of(j)[i];
      }
    }
  }
  void column(int64_t j, double* v) const override { std::copy(of(j).begin(), of(j).end(), v); }

 private:
  static double factor(int64_t i) { return static_cast<double>(1 << i % 3); }
  const std::vector<double>& of(int64_t j) const { return v_[static_cast<size_t>(j)]; }
  double in_tests(int64_t j, int64_t i) const { return i == 0 ? 0 : factor(i - 1) * of(j)[static_cast<size_t>(i - 1)]; }

  int64_t leaf_, rank_;
  std::vector<std::vector<double>> v_;
};

// Largest and smallest eigenvalue, by Jacobi rotations.
std::pair<long double, long double> extreme_eigenvalues(Matrix a) {
  const size_t n = a.size();
  const auto off_diagonal = [&] {
    long double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      for (size_t k = 0; k < i; ++k) sum += a[i][k] * a[i][k];
    }
    return sum;
  };
  const auto rotate = [&](size_t p, size_t q) {
    if (a[p][q] == 0) return;
    const long double angle = std::atan2(2 * a[p][q], a[q][q] - a[p][p]) / 2, c = std::cos(angle), s = std::sin(angle);
    for (size_t i = 0; i < n; ++i) {
      const long double x = a[i][p], y = a[i][q];
      a[i][p] = c * x - s * y;
      a[i][q] = s * x + c * y;
    }
    for (size_t i = 0; i < n; ++i) {
      const long double x = a[p][i], y = a[q][i];
      a[p][i] = c * x - s * y;
      a[q][i] = s * x + c * y;
    }
  };
  // Sweeps converge quadratically: where the rest is below the roundoff of doubles, the next leaves none in long double.
  for (bool last = false; !last;) {
    last = off_diagonal() < 1e-34L;
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) rotate(p, q);
    }
  }
  std::pair<long double, long double> extremes{a[0][0], a[0][0]};
  for (size_t i = 0; i < n; ++i) extremes = {std::max(extremes.first, a[i][i]), std::min(extremes.second, a[i][i])};
  return extremes;
}

// |sum_j w_j v_j v_j' - 1|_2
long double exact_epsilon(const Matrix& v, const sparsify::BarrierChoice& choice) {
  const size_t rank = v.front().size();
  Matrix a(rank, std::vector<long double>(rank));
  for (size_t c = 0; c < choice.indices.size(); ++c) {
    const auto& column = v[static_cast<size_t>(choice.indices[c])];
    for (size_t i = 0; i < rank; ++i) {
      for (size_t k = 0; k < rank; ++k) a[i][k] += static_cast<long double>(choice.weights[c]) * column[i] * column[k];
    }
  }
  const auto [largest, least] = extreme_eigenvalues(a);
  return std::max(largest - 1, 1 - least);
}

// Roundoff of eigenvalues of sum_j w_j v_j v_j', with u = unit roundoff: each of the terms, whose norms add up to the trace of the sum,
// errs by 4 u of its norm where v was rounded to double, and by m u where it is added up; reducing the sum to tridiagonal form and
// scaling add less than 8 rank u of a norm below 2.
long double eigenvalue_budget(int64_t rank, int64_t m) {
  const auto n = static_cast<long double>(rank);
  return std::numeric_limits<double>::epsilon() / 2 * (2 * n * (static_cast<long double>(m) + 4) + 16 * n);
}

long double bound(int64_t rank, int64_t steps) {
  const long double c = static_cast<long double>(steps) / static_cast<long double>(rank);
  return 2 * std::sqrt(c) / (c + 1);
}

sparsify::BarrierChoice choose(const sparsify::SelectionColumns& columns, int64_t steps, int64_t threads = 1,
                               simd::Target target = simd::targets().front()) {
  Pool pool(threads);
  Execution run = execution(pool, target);
  return sparsify::choose_by_barriers(run, columns, steps);
}

struct Instance {
  std::string name;
  Matrix x;
  std::vector<int64_t> steps;
};

std::vector<Instance> instances() {
  const auto one_dominant = [](size_t j) { return j == 77 ? 1e8L : 1.0L; };
  const auto skewed = [](size_t j) { return std::exp(2.0L * normal(13, 0, j)); };
  const auto extreme = [](size_t j) { return std::pow(10.0L, 24.0L * random_uniform(14, 0, j) - 12); };
  const auto with_zeros = [](size_t j) { return j % 3 == 0 ? 1.0L : 0.0L; };
  const auto only_zeros_at_first = [](size_t j) { return j < 100 ? 0.0L : 1.0L; };
  return {
      {"Gaussian", gaussian(8, 300, 11), {9, 16, 32, 72, 128}},
      {"one more column than the rank", gaussian(17, 18, 12), {18, 40}},
      {"as many columns as the rank", gaussian(9, 9, 12), {10, 200}},
      {"skewed norms", scaled(12, 400, 13, skewed), {13, 24, 48, 192}},
      {"one dominant column", scaled(10, 200, 14, one_dominant), {11, 40, 160}},
      {"norms from 1e-12 to 1e12", scaled(7, 150, 15, extreme), {8, 14, 63}},
      {"zero columns", scaled(6, 200, 16, with_zeros), {7, 24, 96}},
      {"leaves of zeros", scaled(6, 200, 17, only_zeros_at_first), {7, 24}},
      {"every column ten times", repeated(9, 20, 10, 0), {10, 36, 144}},
      {"near-duplicates", repeated(9, 20, 10, 1e-9L), {10, 36, 144}},
      {"coordinate vectors", coordinates(12, 5), {13, 24, 48, 300}},
      {"rank 1", scaled(1, 50, 18, skewed), {2, 3, 60}},
      {"rank 2", gaussian(2, 30, 19), {3, 200}},
      {"more steps than columns", gaussian(5, 12, 20), {6, 13, 500}},
  };
}

void check_choice(const Matrix& v, int64_t steps, const sparsify::BarrierChoice& choice) {
  const auto rank = static_cast<int64_t>(v.front().size()), m = static_cast<int64_t>(choice.indices.size());
  REQUIRE(choice.weights.size() == choice.indices.size());
  CHECK(choice.steps == steps);
  CHECK(m <= steps);
  CHECK(m >= rank);
  for (size_t c = 0; c < choice.indices.size(); ++c) {
    REQUIRE(choice.indices[c] >= 0);
    REQUIRE(choice.indices[c] < static_cast<int64_t>(v.size()));
    if (c > 0) CHECK(choice.indices[c] > choice.indices[c - 1]);
    CHECK(choice.weights[c] > 0);
    CHECK(std::isfinite(choice.weights[c]));
    const auto& column = v[static_cast<size_t>(choice.indices[c])];
    CHECK(std::any_of(column.begin(), column.end(), [](long double entry) { return entry != 0; }));
  }
  const long double roundoff = eigenvalue_budget(rank, steps);
  CHECK(choice.epsilon_barriers <= bound(rank, steps) + roundoff);
  CHECK(choice.epsilon <= choice.epsilon_barriers);
  CHECK(std::fabs(choice.epsilon - exact_epsilon(v, choice)) <= roundoff);
}

}  // namespace

TEST_CASE("epsilon is within the bound of the method, and is what the chosen columns have") {
  for (const Instance& instance : instances()) {
    const Matrix v = whitened(instance.x);
    for (const int64_t steps : instance.steps) {
      for (const int64_t leaf : {5, 40}) {
        INFO(instance.name << ", " << steps << " steps, leaves of " << leaf);
        check_choice(v, steps, choose(ColumnsInMemory(v, leaf), steps));
      }
    }
  }
}

TEST_CASE("weights that make the sum the identity are found") {
  const Matrix v = whitened(coordinates(12, 5));
  const auto choice = choose(ColumnsInMemory(v, 7), 24);
  CHECK(choice.epsilon_barriers > 0.01);
  CHECK(choice.epsilon <= eigenvalue_budget(12, 24));
}

TEST_CASE("better weights lower epsilon") {
  const Matrix v = whitened(gaussian(16, 400, 31));
  const auto choice = choose(ColumnsInMemory(v, 64), 64);
  CHECK(choice.epsilon < 0.9 * choice.epsilon_barriers);
}

TEST_CASE("steps end where epsilon is small enough") {
  const Matrix v = whitened(gaussian(16, 400, 32));
  const ColumnsInMemory columns(v, 64);
  const int64_t steps = 679;  // for which the bound is 0.3
  Pool pool(1);
  Execution run = execution(pool);
  REQUIRE(bound(16, steps) <= 0.3L);
  REQUIRE(bound(16, steps - 1) > 0.3L);
  const auto choice = sparsify::choose_by_barriers(run, columns, steps, 0.3);
  CHECK(choice.steps < steps / 4);
  CHECK(static_cast<int64_t>(choice.indices.size()) <= choice.steps);
  CHECK(choice.epsilon_barriers <= 0.3 + eigenvalue_budget(16, steps));
  CHECK(std::fabs(choice.epsilon - exact_epsilon(v, choice)) <= eigenvalue_budget(16, steps));
}

TEST_CASE("columns and weights do not depend on the number of threads") {
  const int64_t rank = 200, steps = 220;  // so large that threads share the work on one matrix
  const ColumnsInMemory columns(whitened(gaussian(rank, 480, 41)), 60);
  const auto one = choose(columns, steps, 1);
  for (const int64_t threads : {2, 3}) {
    const auto several = choose(columns, steps, threads);
    CHECK(several.indices == one.indices);
    CHECK(several.weights == one.weights);
    CHECK(several.epsilon_barriers == one.epsilon_barriers);
  }
}

TEST_CASE("every SIMD target chooses the same columns") {
  const ColumnsInMemory columns(whitened(gaussian(21, 300, 42)), 30);
  const auto best = choose(columns, 84);
  for (const simd::Target target : simd::targets()) {
    INFO(simd::name(target));
    CHECK(choose(columns, 84, 1, target).indices == best.indices);
  }
}

TEST_CASE("a leaf found in the tree passes where the columns together do") {
  for (const int64_t leaf : {1, 2, 3, 50, 600}) {
    const ColumnsInMemory columns(whitened(gaussian(4, 600, 51)), leaf);
    Pool pool(2);
    Execution run = execution(pool);
    Monitor monitor(run.ticker, 0);
    sparsify::GramTree tree(run, columns);
    std::vector<double> test(25), totals(static_cast<size_t>(tree.leaves()));
    for (uint64_t trial = 0; trial < 20; ++trial) {
      double m[16];
      for (uint64_t e = 0; e < 16; ++e) m[e] = normal(52, trial, std::max(e / 4, e % 4) * 4 + std::min(e / 4, e % 4));
      m[15] += std::max(0.0, -(m[0] + m[5] + m[10] + m[15])) + 1;  // the total is the trace
      columns.test_matrix(m, test.data());
      const int64_t found = tree.descend(monitor, test.data());
      tree.leaf_totals(monitor, totals.data());
      CHECK(totals[static_cast<size_t>(found)] > 0);
      for (int64_t l = 0; l < tree.leaves(); ++l) {
        const int64_t first = l * leaf, last = std::min(first + leaf, columns.count());
        std::vector<double> values(static_cast<size_t>(last - first));
        columns.test_columns(m, test.data(), first, last, values.data());
        // 25 products and their sums over the columns of the leaf, of vectors with norms of at most 1.
        const long double magnitude = 16 * 12 * static_cast<long double>(last - first);
        const long double budget =
            std::numeric_limits<double>::epsilon() * (25 + static_cast<long double>(last - first)) * magnitude;
        CHECK(std::fabs(totals[static_cast<size_t>(l)] - std::accumulate(values.begin(), values.end(), 0.0)) <= budget);
      }
    }
  }
}

// As though rounding had hidden every column that passes.
class HiddenColumns : public ColumnsInMemory {
 public:
  using ColumnsInMemory::ColumnsInMemory;
  void test_columns(const double* m, const double* test, int64_t first, int64_t last, double* values) const override {
    ColumnsInMemory::test_columns(m, test, first, last, values);
    const double largest = std::fabs(
        *std::max_element(values, values + (last - first), [](double a, double b) { return std::fabs(a) < std::fabs(b); }));
    for (int64_t j = first; j < last; ++j) {
      if (values[j - first] != 0) values[j - first] -= 2 * largest;
    }
  }
};

TEST_CASE("where no column passes, the best one is taken and epsilon says what came of it") {
  const Matrix v = whitened(gaussian(6, 120, 61));
  const auto choice = choose(HiddenColumns(v, 120), 24);
  CHECK(std::fabs(choice.epsilon - exact_epsilon(v, choice)) <= eigenvalue_budget(6, 24));
}

TEST_CASE("a choice can be cancelled") {
  const ColumnsInMemory columns(whitened(gaussian(40, 200, 71)), 40);
  Pool pool(1);
  static fft::PlanCache plans;
  int calls = 0;
  Execution run{pool, Ticker([&](double) { return ++calls == 2; }), simd::targets().front(), Workspace(0), plans};
  try {
    sparsify::choose_by_barriers(run, columns, 100000);
    FAIL("was not cancelled");
  } catch (const Error& error) {
    CHECK(error.status() == Status::err_cancelled);
  }
}

TEST_CASE("a choice keeps to the workspace limit") {
  const ColumnsInMemory columns(whitened(gaussian(10, 100, 81)), 10);
  Pool pool(1);
  static fft::PlanCache plans;
  Execution run{pool, Ticker({}), simd::targets().front(), Workspace(1000), plans};
  CHECK_THROWS_AS(sparsify::choose_by_barriers(run, columns, 20), Error);
}
