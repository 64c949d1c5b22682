#include "core/attention/loss.hpp"

#include <algorithm>
#include <vector>

#include "core/simd/products.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kRows = 256;      // per look at the callback
constexpr int64_t kMostParts = 64;  // of a sum over rows: independent of the number of threads, and few

int64_t run_rows(int64_t n) { return round_up(std::max((n + kMostParts - 1) / kMostParts, kRows), kRows); }
int64_t row_runs(int64_t n) { return (n + run_rows(n) - 1) / run_rows(n); }

// Calls body(first, last, part) for rows in runs of kRows; those of one part one after the other.
template <class Body>
void for_row_runs(Execution& run, int64_t n, const Body& body) {
  Monitor monitor(run.ticker, 0);
  run.pool.run(row_runs(n), monitor, [&](int64_t part, int64_t) {
    const int64_t end = std::min((part + 1) * run_rows(n), n);
    for (int64_t first = part * run_rows(n); first < end; first += kRows) {
      body(first, std::min(first + kRows, end), part);
      monitor.advance(0);
    }
  });
}

}  // namespace

template <class T>
void matrix_product(Execution& run, const View<const T, 2>& a, const View<const T, 2>& x, const View<T, 2>& out) {
  const auto& kernels = simd::product_kernels<T>(run.target);
  const int64_t depth = x.shape[0], columns = x.shape[1], panel = simd::kMaxWidth * kernels.lanes;
  const Lease<T> packed(run.workspace, depth * panel), results(run.workspace, row_runs(a.shape[0]) * kRows * panel);
  for (int64_t first = 0; first < columns; first += panel) {
    const int64_t count = std::min(panel, columns - first), width = (count + kernels.lanes - 1) / kernels.lanes,
                  padded = width * kernels.lanes;
    for (int64_t l = 0; l < depth; ++l) {
      for (int64_t c = 0; c < padded; ++c) packed.get()[l * padded + c] = c < count ? *x.at(l, first + c) : T{0};
    }
    for_row_runs(run, a.shape[0], [&](int64_t begin, int64_t end, int64_t task) {
      T* const rows = results.get() + task * kRows * panel;
      kernels.rows[width - 1]({a.at(begin), a.strides[0], a.strides[1], end - begin, depth, packed.get(), rows});
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t c = 0; c < count; ++c) *out.at(i, first + c) = rows[(i - begin) * padded + c];
      }
    });
  }
}

template <class T>
void transposed_product(Execution& run, const View<const T, 2>& a, const View<const T, 2>& b, const View<T, 2>& out) {
  const int64_t n = a.shape[0], d = a.shape[1], columns = b.shape[1];
  // Parts are added in the order of rows, whichever thread made them.
  std::vector<std::vector<double>> parts(static_cast<size_t>(row_runs(n)));
  for_row_runs(run, n, [&](int64_t begin, int64_t end, int64_t task) {
    auto& part = parts[static_cast<size_t>(task)];
    part.resize(static_cast<size_t>(d * columns));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t l = 0; l < d; ++l) {
        const double factor = static_cast<double>(*a.at(i, l));
        for (int64_t c = 0; c < columns; ++c)
          part[static_cast<size_t>(l * columns + c)] += factor * static_cast<double>(*b.at(i, c));
      }
    }
  });
  for (int64_t l = 0; l < d; ++l) {
    for (int64_t c = 0; c < columns; ++c) {
      double sum = 0;
      for (const auto& part : parts) sum += part[static_cast<size_t>(l * columns + c)];
      *out.at(l, c) = static_cast<T>(sum);
    }
  }
}

template <class T>
double squared_error(Execution& run, const View<const T, 2>& o, const View<const T, 2>& e, const View<T, 2>& residual) {
  std::vector<double> parts(static_cast<size_t>(row_runs(o.shape[0])));
  for_row_runs(run, o.shape[0], [&](int64_t begin, int64_t end, int64_t task) {
    double& part = parts[static_cast<size_t>(task)];
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t c = 0; c < o.shape[1]; ++c) {
        const double difference = static_cast<double>(*o.at(i, c)) - static_cast<double>(*e.at(i, c));
        *residual.at(i, c) = static_cast<T>(difference);
        part += difference * difference;
      }
    }
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum / 2;
}

#define SUBQUAD_INSTANTIATE(T)                                                                                          \
  template void matrix_product<T>(Execution&, const View<const T, 2>&, const View<const T, 2>&, const View<T, 2>&);     \
  template void transposed_product<T>(Execution&, const View<const T, 2>&, const View<const T, 2>&, const View<T, 2>&); \
  template double squared_error<T>(Execution&, const View<const T, 2>&, const View<const T, 2>&, const View<T, 2>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
