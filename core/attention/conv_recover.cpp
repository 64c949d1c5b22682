// Method: [CONV, sec. 3], the recovery by binary search (docs/math/conv_basis.md). Differs: the threshold is delta / 2, which separates
// with a margin; a probe compares with the last start's column itself, so that nothing is subtracted; the starts' whole columns
// come from one pass over q at the end.
#include "core/attention/conv_recover.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "core/attention/overflow_watch.hpp"
#include "core/simd/products.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kRowsAtOnce = 64;    // of q per kernel call: with its products they stay in the first-level cache
constexpr int64_t kCallsPerTask = 16;  // enough rows that a thread is worth waking

template <class T>
class Recovery {
 public:
  Recovery(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale, const RecoveryLimits& limits)
      : run_(run),
        q_(q),
        k_(k),
        scale_(scale),
        limits_(limits),
        kernels_(simd::product_kernels<T>(run.target)),
        rows_at_once_(std::clamp<int64_t>((int64_t{1} << 22) / d(), 8, kRowsAtOnce)),
        overflow_(heads(), n()) {}

  ConvBasis<T> recover(RecoveryCounts* most) {
    std::vector<std::vector<int64_t>> starts = find_all_starts();
    overflow_.check();
    ConvBasis<T> basis{q_.shape[0], heads(), n(), {}};
    for (std::vector<int64_t>& of_head : starts) basis.list.emplace_back(n(), std::move(of_head));
    compute_columns(basis);
    overflow_.check();
    *most = {most_probes_.load(), basis.most_bases()};
    return basis;
  }

 private:
  int64_t heads() const { return q_.shape[1]; }
  int64_t n() const { return q_.shape[2]; }
  int64_t d() const { return q_.shape[3]; }
  int64_t stride(int64_t width) const { return width * kernels_.lanes; }
  const T* query(int64_t head, int64_t i) const { return q_.at(head / heads(), head % heads(), i); }
  const T* key(int64_t head, int64_t j) const { return k_.at(head / heads(), head % heads() * k_.shape[1] / heads(), j); }

  // The first `window` entries of three columns, and what a probe works with.
  struct Probe {
    T *last_start, *found, *tried;
    T *packed_key, *products;
    int64_t count = 0;
  };

  std::vector<std::vector<int64_t>> find_all_starts() {
    std::vector<std::vector<int64_t>> starts(static_cast<size_t>(q_.shape[0] * heads()));
    if (n() == 0 || limits_.bases == 0) return starts;
    const int64_t window = round_up(limits_.window, 16), packed = d() * stride(1), products = rows_at_once_ * stride(1);
    const int64_t per_worker = round_up(3 * window + packed + products, 16);
    const Lease<T> memory(run_.workspace, run_.pool.threads() * per_worker);
    Monitor monitor(run_.ticker, 0);
    run_.pool.run(static_cast<int64_t>(starts.size()), monitor, [&](int64_t head, int64_t worker) {
      T* const own = memory.get() + worker * per_worker;
      Probe probe{own, own + window, own + 2 * window, own + 3 * window, own + 3 * window + packed};
      starts[static_cast<size_t>(head)] = find_starts(head, probe, monitor);
      int64_t seen = most_probes_.load();
      while (probe.count > seen && !most_probes_.compare_exchange_weak(seen, probe.count)) {
      }
    });
    return starts;
  }

  std::vector<int64_t> find_starts(int64_t head, Probe& probe, Monitor& monitor) {
    std::vector<int64_t> starts;
    std::fill(probe.last_start, probe.last_start + limits_.window, T{0});
    std::fill(probe.packed_key, probe.packed_key + d() * stride(1), T{0});
    int64_t low = 0;
    const int64_t last = n() - limits_.window;
    while (static_cast<int64_t>(starts.size()) < limits_.bases && low <= last && differs(head, last, probe, monitor)) {
      int64_t high = last;  // it differs; so do all from the first that does to it, as far as the next start
      std::swap(probe.found, probe.tried);
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (differs(head, middle, probe, monitor)) {
          high = middle;
          std::swap(probe.found, probe.tried);
        } else {
          low = middle + 1;
        }
      }
      starts.push_back(high);
      std::swap(probe.last_start, probe.found);
      low = high + 1;
    }
    return starts;
  }

  // Whether column j opens a new basis; its first entries are then those `tried`.
  bool differs(int64_t head, int64_t j, Probe& probe, Monitor& monitor) {
    ++probe.count;
    pack(head, j, 0, stride(1), probe.packed_key);
    double distance = 0;
    for (int64_t t = 0; t < limits_.window; t += rows_at_once_) {
      const int64_t rows = std::min(rows_at_once_, limits_.window - t);
      multiply(head, j + t, rows, 1, probe.packed_key, probe.products);
      for (int64_t r = 0; r < rows; ++r) {
        const T logit = probe.products[r * stride(1)];
        if (!std::isfinite(logit)) {
          overflow_.note(head / heads(), head % heads(), j + t + r);
          return false;
        }
        probe.tried[t + r] = logit;
        distance += std::fabs(static_cast<double>(logit) - static_cast<double>(probe.last_start[t + r]));
      }
      monitor.advance(0);
    }
    return distance >= limits_.delta / 2;
  }

  // Key j, scaled, as column `place` of a matrix [d][row].
  void pack(int64_t head, int64_t j, int64_t place, int64_t row, T* packed) const {
    const T* const from = key(head, j);
    for (int64_t l = 0; l < d(); ++l)
      packed[l * row + place] = static_cast<T>(scale_ * static_cast<double>(from[l * k_.strides[3]]));
  }

  // products[i][:] = q_(first + i) packed
  void multiply(int64_t head, int64_t first, int64_t rows, int64_t width, const T* packed, T* products) const {
    kernels_.rows[width - 1]({query(head, first), q_.strides[2], q_.strides[3], rows, d(), packed, products});
  }

  // Columns that one kernel call computes, and vectors that they take.
  struct Group {
    int64_t first, last;  // bases
    int64_t width;
  };
  int64_t groups(const ConvHead<T>& head) const { return (head.bases() + stride(simd::kMaxWidth) - 1) / stride(simd::kMaxWidth); }
  Group group(const ConvHead<T>& head, int64_t index) const {
    const int64_t full = stride(simd::kMaxWidth), first = index * full, last = std::min(first + full, head.bases());
    return {first, last, (last - first + kernels_.lanes - 1) / kernels_.lanes};
  }

  void compute_columns(ConvBasis<T>& basis) {
    std::vector<int64_t> offsets{0};  // of the heads' packed keys
    int64_t work = 0;
    for (const ConvHead<T>& head : basis.list) {
      offsets.push_back(offsets.back() + groups(head) * d() * stride(simd::kMaxWidth));
      work += head.bases() * n();
    }
    const int64_t rows_per_task = kCallsPerTask * rows_at_once_, tasks_per_head = (n() + rows_per_task - 1) / rows_per_task;
    const Lease<T> packed(run_.workspace, offsets.back());
    const int64_t per_worker = round_up(rows_at_once_ * stride(simd::kMaxWidth), 16);
    const Lease<T> products(run_.workspace, run_.pool.threads() * per_worker);
    Monitor monitor(run_.ticker, work);
    map_kernels(basis, monitor);
    run_.pool.run(static_cast<int64_t>(basis.list.size()), monitor, [&](int64_t head, int64_t) {
      pack_starts(head, basis.list[static_cast<size_t>(head)], packed.get() + offsets[static_cast<size_t>(head)], monitor);
    });
    run_.pool.run(static_cast<int64_t>(basis.list.size()) * tasks_per_head, monitor, [&](int64_t task, int64_t worker) {
      const int64_t head = task / tasks_per_head, first = task % tasks_per_head * rows_per_task;
      for (int64_t i = first; i < std::min(first + rows_per_task, n()); i += rows_at_once_) {
        compute_rows(head, basis.list[static_cast<size_t>(head)], i, packed.get() + offsets[static_cast<size_t>(head)],
                     products.get() + worker * per_worker, monitor);
      }
    });
  }

  // The system maps new memory, huge pages at a time, when it is first written. Done here, kernel by kernel, it takes no longer, is
  // shared among threads, and a first block of rows does not wait for a page of every kernel.
  void map_kernels(ConvBasis<T>& basis, Monitor& monitor) const {
    constexpr int64_t kPage = 4096 / sizeof(T), kPagesPerLook = 512;
    const int64_t most = basis.most_bases();
    run_.pool.run(static_cast<int64_t>(basis.list.size()) * most, monitor, [&](int64_t task, int64_t) {
      ConvHead<T>& head = basis.list[static_cast<size_t>(task / most)];
      const int64_t r = task % most;
      for (int64_t t = 0; r < head.bases() && t < head.length(r); t += kPage) {
        head.kernel(r)[t] = T{0};
        if (t % (kPage * kPagesPerLook) == 0) monitor.advance(0);
      }
    });
  }

  void pack_starts(int64_t index, const ConvHead<T>& head, T* packed, Monitor& monitor) const {
    for (int64_t g = 0; g < groups(head); ++g, packed += d() * stride(simd::kMaxWidth)) {
      const Group columns = group(head, g);
      std::fill(packed, packed + d() * stride(columns.width), T{0});
      for (int64_t r = columns.first; r < columns.last; ++r) {
        pack(index, head.start(r), r - columns.first, stride(columns.width), packed);
      }
      monitor.advance(0);
    }
  }

  // Rows from `first` on of all columns that reach them.
  void compute_rows(int64_t index, ConvHead<T>& head, int64_t first, const T* packed, T* products, Monitor& monitor) {
    const int64_t rows = std::min(rows_at_once_, n() - first);
    for (int64_t g = 0; g < groups(head); ++g, packed += d() * stride(simd::kMaxWidth)) {
      const Group columns = group(head, g);
      if (head.start(columns.first) >= first + rows) break;
      multiply(index, first, rows, columns.width, packed, products);
      for (int64_t r = columns.first; r < columns.last && head.start(r) < first + rows; ++r) {
        store(index, head, r, first, rows, products + (r - columns.first), stride(columns.width));
      }
      monitor.advance(rows * (columns.last - columns.first));
    }
  }

  void store(int64_t index, ConvHead<T>& head, int64_t r, int64_t first, int64_t rows, const T* column, int64_t row) {
    const int64_t start = head.start(r);
    T* const kernel = head.kernel(r);
    for (int64_t i = std::max(first, start); i < first + rows; ++i) {
      const T logit = column[(i - first) * row];
      kernel[i - start] = logit;
      if (!std::isfinite(logit)) overflow_.note(index / heads(), index % heads(), i);
    }
  }

  Execution& run_;
  const View<const T, 4>&q_, &k_;
  const double scale_;
  const RecoveryLimits limits_;
  const simd::ProductKernels<T>& kernels_;
  const int64_t rows_at_once_;
  OverflowWatch overflow_;
  std::atomic<int64_t> most_probes_{0};
};

}  // namespace

template <class T>
ConvBasis<T> recover_conv_basis(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                                const RecoveryLimits& limits, RecoveryCounts* most) {
  return Recovery<T>(run, q, k, scale, limits).recover(most);
}

template ConvBasis<float> recover_conv_basis<float>(Execution&, const View<const float, 4>&, const View<const float, 4>&, double,
                                                    const RecoveryLimits&, RecoveryCounts*);
template ConvBasis<double> recover_conv_basis<double>(Execution&, const View<const double, 4>&, const View<const double, 4>&,
                                                      double, const RecoveryLimits&, RecoveryCounts*);

}  // namespace subquad::attention
