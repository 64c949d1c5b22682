// Method: sparse sign embedding [CohenSparse], or, where X is dense, a Hadamard transform of 64 columns with random
// signs [AilonChazelle] whose results go to one row each. Differs: the rows of a column are an arithmetic progression, not
// independent (docs/math/sparsify.md).
#include "core/sparsify/sketch.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/parallel/new_memory.hpp"
#include "core/random/philox.hpp"
#include "core/simd/sketch.hpp"
#include "core/sparsify/column_reader.hpp"
#include "core/sparsify/streams.hpp"

namespace subquad::sparsify {

namespace {

constexpr size_t kSigns = 8;             // rows that a sparse column goes to
constexpr double kDenseFrom = 1.0 / 24;  // share of nonzeros from which mixing dense columns is faster: bench/sparsify_scores
constexpr int64_t kMostSlots = 16;

bool is_prime(int64_t value) {
  for (int64_t factor = 2; factor * factor <= value; ++factor) {
    if (value % factor == 0) return false;
  }
  return true;
}

// Random words for column or block `index`.
PhiloxBlock words(uint64_t seed, uint64_t stream, int64_t index) {
  const auto half = [](uint64_t value, int shift) { return static_cast<uint32_t>(value >> shift); };
  const auto counter = static_cast<uint64_t>(index);
  return philox4x32({half(counter, 0), half(counter, 32), half(stream, 0), half(stream, 32)}, {half(seed, 0), half(seed, 32)});
}

// An arithmetic progression of rows without repetition, the number of rows being prime.
struct Rows {
  int64_t first, step;
  Rows(uint32_t first_word, uint32_t step_word, int64_t rows)
      : first(static_cast<int64_t>(static_cast<uint64_t>(first_word) * static_cast<uint64_t>(rows) >> 32)),
        step(1 + static_cast<int64_t>(static_cast<uint64_t>(step_word) * static_cast<uint64_t>(rows - 1) >> 32)) {}
};

template <class T>
struct Accumulator {
  Lease<T> sums;                // [rows of the sketch][n]
  std::vector<double> squares;  // [n]
  std::vector<double> column;   // [n], zero between columns
};

template <class T>
class Sketcher {
 public:
  Sketcher(Execution& run, const Columns<T>& x, int64_t rows, uint64_t seed, uint64_t stream)
      : run_(run),
        x_(x),
        n_(x.rows()),
        rows_(rows),
        seed_(seed),
        stream_(stream),
        kernels_(simd::sketch_kernels<T>(run.target)) {}

  void add(Monitor& monitor, ColumnReader<T>& reader, int64_t first, int64_t last, bool mix, Accumulator<T>& sum) const {
    const int64_t width = reader.convenient();
    for (int64_t j = first; j < last; j += width) {
      const int64_t end = std::min(j + width, last);
      if (mix) {
        for (int64_t c = j; c < end; c += simd::kMixed) mix_block(reader, c, std::min(c + simd::kMixed, end), sum);
      } else {
        scatter(reader, j, end, sum);
      }
      monitor.advance(end - j);
    }
  }

 private:
  void mix_block(ColumnReader<T>& reader, int64_t first, int64_t last, Accumulator<T>& sum) const {
    int64_t stride;
    const T* panel = reader.padded(first, last - first, simd::kMixed, &stride);
    const PhiloxBlock random = words(seed_, stream_, 2 * first), signs = words(seed_, stream_, 2 * first + 1);
    const auto wide = [](uint32_t high, uint32_t low) { return static_cast<uint64_t>(high) << 32 | low; };
    const Rows rows(random[2], random[3], rows_);
    kernels_.mix({panel, stride, n_, wide(random[1], random[0]), wide(signs[1], signs[0]), rows.first, rows.step, rows_,
                  sum.sums.get(), sum.squares.data()});
  }

  // The places that a sparse column goes to: where the rows begin, and the factors.
  struct Places {
    std::array<T*, kSigns> rows;
    std::array<T, kSigns> factors;
  };

  Places places_of(int64_t column, T* sums) const {
    const T factor = static_cast<T>(1 / std::sqrt(static_cast<double>(kSigns)));
    const PhiloxBlock random = words(seed_, stream_, column);
    const Rows progression(random[2], random[3], rows_);
    Places places;
    int64_t row = progression.first;
    for (size_t k = 0; k < kSigns; ++k) {
      places.rows[k] = sums + row * n_;
      places.factors[k] = (random[0] >> k & 1) != 0 ? -factor : factor;
      row += progression.step;
      row = row >= rows_ ? row - rows_ : row;
    }
    return places;
  }

  void scatter(ColumnReader<T>& reader, int64_t first, int64_t last, Accumulator<T>& sum) const {
    const ColumnLists<T> lists = reader.lists(first, last - first);
    for (int64_t c = 0; c < last - first; ++c) {
      const Places places = places_of(first + c, sum.sums.get());
      // Entries outside, places inside: columns have few entries, and how many cannot be foreseen.
      for (int64_t e = lists.offsets[c]; e < lists.offsets[c + 1]; ++e) {
        const int64_t row = lists.rows[e] - lists.base;
        for (size_t k = 0; k < kSigns; ++k) places.rows[k][row] += places.factors[k] * lists.values[e];
        sum.column[static_cast<size_t>(row)] += static_cast<double>(lists.values[e]);
      }
      // Entries of one place have been added up before they are squared.
      for (int64_t e = lists.offsets[c]; e < lists.offsets[c + 1]; ++e) {
        const auto row = static_cast<size_t>(lists.rows[e] - lists.base);
        sum.squares[row] += sum.column[row] * sum.column[row];
        sum.column[row] = 0;
      }
    }
  }

  Execution& run_;
  const Columns<T>& x_;
  int64_t n_, rows_;
  uint64_t seed_, stream_;
  const simd::SketchKernels<T>& kernels_;
};

// Pieces that are summed apart: few enough that clearing and joining them is little work beside X, and little memory.
template <class T>
int64_t slots_for(const Columns<T>& x, int64_t entries) {
  const double share = x.work() / 16 / std::max(1.0, static_cast<double>(entries));
  int64_t slots = 1;
  while (slots < kMostSlots && 2.0 * static_cast<double>(slots) <= share) slots *= 2;
  return slots;
}

// X' itself; where X has no columns, one row of zeros in its place: Armadillo's columns need an address.
template <class T>
Sketch transposed(Execution& run, Monitor& monitor, const Columns<T>& x, typename Columns<T>::Check check) {
  Sketch result;
  const int64_t n = x.rows(), d = std::max<int64_t>(x.count(), 1);
  result.matrix.zeros(static_cast<arma::uword>(d), static_cast<arma::uword>(n));
  x.pass(run, monitor, 1, check, [&](int64_t, ColumnReader<T>& reader, int64_t first, int64_t last) {
    const int64_t width = reader.convenient();
    for (int64_t j = first; j < last; j += width) {
      const int64_t end = std::min(j + width, last);
      const double* columns = reader.doubles(j, end - j);
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t c = j; c < end; ++c) result.matrix.memptr()[i * d + c] = columns[(c - j) * n + i];
      }
      monitor.advance(end - j);
    }
  });
  for (int64_t i = 0; i < n; ++i) {
    const double* column = result.matrix.memptr() + i * d;
    double sum = 0;
    for (int64_t j = 0; j < d; ++j) sum += column[j] * column[j];
    result.squares.push_back(sum);
  }
  return result;
}

// The sum of the accumulators, transposed to what LAPACK reads.
template <class T>
Sketch gather(Execution& run, Monitor& monitor, const std::vector<Accumulator<T>>& sums, int64_t rows, int64_t n) {
  Sketch result;
  result.rows = rows;
  result.squares.assign(static_cast<size_t>(n), 0);
  for (const auto& sum : sums) {
    for (int64_t i = 0; i < n; ++i) result.squares[static_cast<size_t>(i)] += sum.squares[static_cast<size_t>(i)];
  }
  result.matrix.set_size(static_cast<arma::uword>(rows), static_cast<arma::uword>(n));
  constexpr int64_t kSquare = 64;
  run.pool.run((n + kSquare - 1) / kSquare, monitor, [&](int64_t task, int64_t) {
    const int64_t first = task * kSquare, count = std::min(kSquare, n - first);
    double square[kSquare][kSquare];
    for (int64_t h = 0; h < rows; h += kSquare) {
      const int64_t some = std::min(kSquare, rows - h);
      for (int64_t r = 0; r < some; ++r) {
        for (int64_t i = 0; i < count; ++i) {
          double total = 0;
          for (const auto& sum : sums) total += static_cast<double>(sum.sums.get()[(h + r) * n + first + i]);
          square[i][r] = total;
        }
      }
      for (int64_t i = 0; i < count; ++i) std::copy_n(square[i], some, result.matrix.memptr() + (first + i) * rows + h);
    }
    monitor.advance(0);
  });
  return result;
}

}  // namespace

int64_t sketch_rows(int64_t rank, double failure) {
  // For a Gaussian S with s rows, |sigma - 1| <= sqrt(rank / s) + sqrt(2 log(2 / failure) / s) [Vershynin, cor. 5.35].
  const double root = std::sqrt(static_cast<double>(rank)) + std::sqrt(2 * std::log(2 / failure));
  auto rows = std::max<int64_t>(static_cast<int64_t>(std::ceil(root * root / (kDistortion * kDistortion))), 2 * simd::kMixed);
  while (!is_prime(rows)) ++rows;
  return rows;
}

template <class T>
Sketch sketch_columns(Execution& run, Monitor& monitor, const Columns<T>& x, double failure, uint64_t seed, int64_t attempt,
                      typename Columns<T>::Check check) {
  const int64_t n = x.rows(), rows = sketch_rows(n, failure);
  if (x.count() <= rows) return transposed(run, monitor, x, check);
  const double share = x.work() / (static_cast<double>(n) * static_cast<double>(x.count()));
  const bool mix = !x.all_sparse() || share >= kDenseFrom;
  std::vector<Accumulator<T>> sums(static_cast<size_t>(slots_for(x, rows * n)));
  Monitor preparation(run.ticker, 0);
  for (auto& sum : sums) {
    reserve_mapped(Team(run.pool, preparation), run.workspace, sum.sums, rows * n);
    std::fill(sum.sums.get(), sum.sums.get() + rows * n, T{0});
    sum.squares.assign(static_cast<size_t>(n), 0);
    sum.column.assign(static_cast<size_t>(n), 0);
    preparation.advance(0);
  }
  const Sketcher<T> sketcher(run, x, rows, seed, kSketchStream + static_cast<uint64_t>(attempt));
  x.pass(run, monitor, static_cast<int64_t>(sums.size()), check,
         [&](int64_t slot, ColumnReader<T>& reader, int64_t first, int64_t last) {
           sketcher.add(monitor, reader, first, last, mix, sums[static_cast<size_t>(slot)]);
         });
  Sketch result = gather(run, preparation, sums, rows, n);
  result.additions = static_cast<double>(x.count()) * (mix ? 1.0 : kSigns * share) / static_cast<double>(rows);
  return result;
}

template Sketch sketch_columns<float>(Execution&, Monitor&, const Columns<float>&, double, uint64_t, int64_t,
                                      Columns<float>::Check);
template Sketch sketch_columns<double>(Execution&, Monitor&, const Columns<double>&, double, uint64_t, int64_t,
                                       Columns<double>::Check);

}  // namespace subquad::sparsify
