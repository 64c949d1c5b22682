#include "core/attention/conv_forms.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/base/error.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kChunk = int64_t{1} << 15;  // entries between two looks at the callback

std::string place(int64_t b, int64_t h, int64_t r, int64_t lag) {
  return "[batch " + std::to_string(b) + ", head " + std::to_string(h) + ", basis " + std::to_string(r) + ", lag " +
         std::to_string(lag) + "]";
}

// Calls make(b, h) for every head in order and gathers what it returns.
template <class T, class Make>
ConvBasis<T> gather(int64_t batch, int64_t heads, int64_t n, const Make& make) {
  ConvBasis<T> basis{batch, heads, n, {}};
  basis.list.reserve(static_cast<size_t>(batch * heads));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) basis.list.push_back(make(b, h));
  }
  return basis;
}

// Columns of one head's matrix at which a new basis starts.
template <class T>
std::vector<int64_t> starts_of_dense(Monitor& monitor, const View<const T, 4>& h, int64_t b, int64_t head) {
  const int64_t n = h.shape[2];
  std::vector<int64_t> starts;
  for (int64_t j = 0; j < n; ++j) {
    bool differs = false;
    for (int64_t t = 0; t < n - j && !differs; ++t) {
      if (t % kChunk == 0) monitor.advance(0);
      const T last = starts.empty() ? T{0} : *h.at(b, head, starts.back() + t, starts.back());
      differs = *h.at(b, head, j + t, j) != last;
    }
    if (differs) starts.push_back(j);
  }
  return starts;
}

// The starts of a head with one at column 0, and how many (0 or 1) that puts before its own.
template <class T>
std::pair<std::vector<int64_t>, int64_t> starts_from_zero(const ConvHead<T>& head) {
  std::vector<int64_t> starts = head.starts();
  const int64_t lead = head.n() > 0 && (starts.empty() || starts.front() > 0) ? 1 : 0;
  if (lead > 0) starts.insert(starts.begin(), 0);
  return {std::move(starts), lead};
}

}  // namespace

template <class T>
ConvBasis<T> conv_from_kernels(Execution& run, const View<const int64_t, 3>& starts, const View<const T, 4>& kernels,
                               ConvKernels form) {
  const int64_t n = kernels.shape[3];
  Monitor monitor(run.ticker, kernels.count());
  std::vector<double> sums(form == ConvKernels::increments ? static_cast<size_t>(n) : 0);
  return gather<T>(kernels.shape[0], kernels.shape[1], n, [&](int64_t b, int64_t h) {
    std::vector<int64_t> list;
    for (int64_t r = 0; r < kernels.shape[2] && *starts.at(b, h, r) < n; ++r) list.push_back(*starts.at(b, h, r));
    ConvHead<T> head(n, std::move(list));
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t r = 0; r < head.bases(); ++r) {
      for (int64_t lag = 0; lag < head.length(r); ++lag) {
        T entry = *kernels.at(b, h, r, lag);
        if (form == ConvKernels::increments) {
          double& sum = sums[static_cast<size_t>(lag)];
          const bool sound = std::isfinite(sum) && std::isfinite(entry);
          sum += static_cast<double>(entry);
          entry = static_cast<T>(sum);
          if (sound && !std::isfinite(entry))
            throw Error(Status::err_overflow,
                        "the sum of kernels up to kernels" + place(b, h, r, lag) + " overflows their data type");
        }
        head.kernel(r)[lag] = entry;
        if (lag % kChunk == 0) monitor.advance(0);
      }
      monitor.advance(head.length(r));
    }
    return head;
  });
}

template <class T>
ConvBasis<T> conv_from_dense(Execution& run, const View<const T, 4>& h) {
  Monitor monitor(run.ticker, 0);
  return gather<T>(h.shape[0], h.shape[1], h.shape[2], [&](int64_t b, int64_t head_index) {
    ConvHead<T> head(h.shape[2], starts_of_dense(monitor, h, b, head_index));
    for (int64_t r = 0; r < head.bases(); ++r) {
      for (int64_t lag = 0; lag < head.length(r); ++lag) {
        if (lag % kChunk == 0) monitor.advance(0);
        head.kernel(r)[lag] = *h.at(b, head_index, head.start(r) + lag, head.start(r));
      }
    }
    return head;
  });
}

template <class T>
void conv_to_kernels(const ConvBasis<T>& basis, ConvKernels form, const View<int64_t, 3>& starts, const View<T, 4>& kernels) {
  const int64_t most = basis.most_bases();
  for (int64_t b = 0; b < basis.batch; ++b) {
    for (int64_t h = 0; h < basis.heads; ++h) {
      const ConvHead<T>& head = basis.head(b, h);
      for (int64_t r = 0; r < most; ++r) {
        const bool real = r < head.bases();
        if (starts.data != nullptr) *starts.at(b, h, r) = real ? head.start(r) : basis.n;
        for (int64_t lag = 0; kernels.data != nullptr && lag < basis.n; ++lag) {
          T entry = real && lag < head.length(r) ? head.kernel(r)[lag] : T{0};
          if (form == ConvKernels::increments && r > 0 && real && lag < head.length(r)) {
            const T before = head.kernel(r - 1)[lag];
            const bool sound = std::isfinite(entry) && std::isfinite(before);
            entry -= before;
            if (sound && !std::isfinite(entry))
              throw Error(Status::err_overflow, "the increment of kernels" + place(b, h, r, lag) + " overflows their data type");
          }
          *kernels.at(b, h, r, lag) = entry;
        }
      }
    }
  }
}

template <class T>
void conv_to_dense(Execution& run, const ConvBasis<T>& basis, const View<T, 4>& h) {
  const int64_t n = basis.n;
  Monitor monitor(run.ticker, basis.batch * basis.heads * n * n);
  run.pool.run(basis.batch * basis.heads * n, monitor, [&](int64_t task, int64_t) {
    const int64_t b = task / n / basis.heads, head_index = task / n % basis.heads, i = task % n;
    const ConvHead<T>& head = basis.head(b, head_index);
    for (int64_t j = 0; j < n; ++j) *h.at(b, head_index, i, j) = T{0};
    for (int64_t r = 0; r < head.bases(); ++r) {
      for (int64_t j = head.start(r); j < std::min(head.end(r), i + 1); ++j) *h.at(b, head_index, i, j) = head.kernel(r)[i - j];
    }
    monitor.advance(n);
  });
}

template <class T>
ConvBasis<T> conv_exp(Execution& run, const ConvBasis<T>& basis) {
  Monitor monitor(run.ticker, 0);
  return gather<T>(basis.batch, basis.heads, basis.n, [&](int64_t b, int64_t h) {
    const ConvHead<T>& from = basis.head(b, h);
    const auto [starts, lead] = starts_from_zero(from);
    ConvHead<T> head(basis.n, starts);
    if (lead > 0) std::fill(head.kernel(0), head.kernel(0) + head.length(0), T{1});
    for (int64_t r = 0; r < from.bases(); ++r) {
      T* const to = head.kernel(r + lead);
      for (int64_t lag = 0; lag < from.length(r); ++lag) {
        to[lag] = std::exp(from.kernel(r)[lag]);
        if (!std::isfinite(to[lag]))
          throw Error(Status::err_overflow, "exp of the kernel's entry " + place(b, h, r, lag) + ", " +
                                                std::to_string(from.kernel(r)[lag]) + ", overflows its data type");
        if (lag % kChunk == 0) monitor.advance(0);
      }
    }
    return head;
  });
}

template <class T>
ConvBasis<T> conv_add_lag_bias(const ConvBasis<T>& basis, const View<const T, 2>& lag_bias, int64_t lag_min) {
  return gather<T>(basis.batch, basis.heads, basis.n, [&](int64_t b, int64_t h) {
    const ConvHead<T>& from = basis.head(b, h);
    const T* const bias = lag_bias.at(lag_bias.shape[0] == 1 ? 0 : h, -lag_min);
    const auto [starts, lead] = starts_from_zero(from);
    ConvHead<T> head(basis.n, starts);
    for (int64_t r = 0; r < head.bases(); ++r) {
      const T* const kernel = r < lead ? nullptr : from.kernel(r - lead);
      for (int64_t lag = 0; lag < head.length(r); ++lag) {
        const T added = bias[lag * lag_bias.strides[1]], entry = kernel != nullptr ? kernel[lag] : T{0};
        head.kernel(r)[lag] = entry + added;
        if (!std::isfinite(entry + added) && std::isfinite(entry) && std::isfinite(added))
          throw Error(Status::err_overflow,
                      "a logit with its lag_bias overflows the arrays' data type, of the basis at " + place(b, h, r, lag));
      }
    }
    return head;
  });
}

#define SUBQUAD_INSTANTIATE(T)                                                                                                 \
  template ConvBasis<T> conv_from_kernels<T>(Execution&, const View<const int64_t, 3>&, const View<const T, 4>&, ConvKernels); \
  template ConvBasis<T> conv_from_dense<T>(Execution&, const View<const T, 4>&);                                               \
  template void conv_to_kernels<T>(const ConvBasis<T>&, ConvKernels, const View<int64_t, 3>&, const View<T, 4>&);              \
  template void conv_to_dense<T>(Execution&, const ConvBasis<T>&, const View<T, 4>&);                                          \
  template ConvBasis<T> conv_exp<T>(Execution&, const ConvBasis<T>&);                                                          \
  template ConvBasis<T> conv_add_lag_bias<T>(const ConvBasis<T>&, const View<const T, 2>&, int64_t);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
