// Method: segments of keys by merging, lag means as kernels, what softmax ignores taken out (docs/math/conv_basis.md). [CONV] claims a
// conv basis for arbitrary logits without saying how to choose one that is small and close: this is our own.
#include "core/attention/conv_fit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/attention/conv_cuts.hpp"
#include "core/attention/conv_error.hpp"
#include "core/attention/conv_lag_sums.hpp"
#include "core/attention/conv_row_constants.hpp"
#include "core/attention/for_heads.hpp"
#include "core/attention/layout.hpp"
#include "core/attention/overflow_watch.hpp"

namespace subquad::attention {

namespace {

// Fitting and applying one more basis costs about what exact attention does for 32 keys per query, half of 64 since it is causal: 1 ms
// beside 100 ms / 128 at n = 8192. So many bases are tried whatever n is; no cost is worth a thought there.
constexpr int64_t kRowsPerBasis = 64, kBasesTried = 16;

template <class T>
bool is_finite(const ConvHead<T>& head) {
  for (int64_t r = 0; r < head.bases(); ++r) {
    const T* const kernel = head.kernel(r);
    if (!std::all_of(kernel, kernel + head.length(r), [](T x) { return std::isfinite(x); })) return false;
  }
  return true;
}

template <class T>
struct Fitted {
  ConvHead<T> head;
  RowErrors errors;
};

// One head.
template <class T>
class Fit {
 public:
  Fit(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale, uint64_t seed,
      uint64_t stream)
      : run_(run), team_(team), q_(q), k_(k), scale_(scale), n_(q.shape[0]), seed_(seed), stream_(stream) {}

  Fitted<T> with_bases(int64_t bases) {
    if (bases > 0) prepare();
    return measured(kernels(bases));
  }

  Fitted<T> within(double tol) {
    prepare();
    const int64_t most = std::max(n_ / kRowsPerBasis, kBasesTried);
    Fitted<T> best = measured(kernels(1));
    for (int64_t bases = 2; !(best.errors.mean <= tol) && bases <= most; bases *= 2) {
      Fitted<T> next = measured(kernels(bases));
      const bool all = next.head.bases() < bases;  // there are no more segments to tell apart
      if (next.errors.mean < best.errors.mean) best = std::move(next);
      if (all) break;
    }
    return best;
  }

 private:
  void prepare() {
    cuts_ = rank_cuts<T>(run_, team_, q_, k_, scale_);
    sums_.emplace(run_, team_, q_, k_);
  }

  Fitted<T> measured(ConvHead<T> head) const {
    const RowErrors errors = sample_errors<T>(run_, team_, q_, k_, scale_, head, seed_, stream_);
    return {std::move(head), errors};
  }

  // The basis with so many segments, or fewer where there are not as many to tell apart.
  ConvHead<T> kernels(int64_t bases) {
    std::vector<int64_t> starts;
    if (bases > 0) starts.push_back(0);
    for (int64_t r = 0; r + 1 < bases && r < static_cast<int64_t>(cuts_.size()); ++r)
      starts.push_back(cuts_[static_cast<size_t>(r)]);
    std::sort(starts.begin(), starts.end());
    ConvHead<T> head(n_, std::move(starts));
    const Lease<double> sums(run_.workspace, n_);
    for (int64_t r = 0; r < head.bases(); ++r) {
      sums_->compute(team_, head.start(r), head.end(r), sums.get());
      for (int64_t t = 0; t < head.length(r); ++t) {
        const int64_t pairs = std::min(head.end(r), n_ - t) - head.start(r);
        head.kernel(r)[t] = static_cast<T>(scale_ * sums.get()[t] / static_cast<double>(pairs));
      }
      team_.monitor().advance(0);
    }
    if (head.bases() > 0) remove_row_constants<T>(run_, team_.monitor(), q_, k_, scale_, head);
    return head;
  }

  Execution& run_;
  const Team& team_;
  const View<const T, 2> q_, k_;
  const double scale_;
  const int64_t n_;
  const uint64_t seed_, stream_;
  std::vector<int64_t> cuts_;
  std::optional<LagSums<T>> sums_;
};

// The first row with a logit that is not finite, or 0 where only sums of logits are not. For messages: takes what exact attention does.
template <class T>
int64_t overflowing_row(Monitor& monitor, const View<const T, 2>& q, const View<const T, 2>& k, double scale) {
  for (int64_t i = 0; i < q.shape[0]; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double logit = 0;
      for (int64_t l = 0; l < q.shape[1]; ++l) logit += static_cast<double>(*q.at(i, l)) * static_cast<double>(*k.at(j, l));
      if (!std::isfinite(static_cast<T>(scale * logit))) return i;
    }
    monitor.advance(0);
  }
  return 0;
}

}  // namespace

template <class T>
ConvBasis<T> fit_conv_basis(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                            const FitRequest& request, FitErrors* errors) {
  const int64_t batch = q.shape[0], heads = q.shape[1], n = q.shape[2];
  const auto count = static_cast<size_t>(batch * heads);
  *errors = {std::min(n, kSampledRows), std::vector<double>(count), std::vector<double>(count)};
  ConvBasis<T> basis{batch, heads, n, {}};
  for (size_t head = 0; head < count; ++head) basis.list.emplace_back(n, std::vector<int64_t>());
  if (n == 0) return basis;
  Monitor monitor(run.ticker, batch * heads);
  Aligned<T> q_storage, k_storage;
  const auto queries = with_contiguous_columns(run, monitor, q, q_storage),
             keys = with_contiguous_columns(run, monitor, k, k_storage);
  OverflowWatch overflow(heads, n);
  for_heads(run, monitor, batch, heads, n, [&](const Team& team, int64_t b, int64_t h) {
    const auto head = static_cast<size_t>(b * heads + h);
    const auto own_q = matrix_of(queries, b, h), own_k = matrix_of(keys, b, h * k.shape[1] / heads);
    Fit<T> fit(run, team, own_q, own_k, scale, request.seed, head);
    Fitted<T> fitted = request.tol ? fit.within(*request.tol) : fit.with_bases(request.bases);
    if (!is_finite(fitted.head) || !std::isfinite(fitted.errors.mean)) {
      overflow.note(b, h, overflowing_row(monitor, own_q, own_k, scale));
    }
    basis.list[head] = std::move(fitted.head);
    errors->mean[head] = fitted.errors.mean;
    errors->max[head] = fitted.errors.max;
    monitor.advance(1);
  });
  overflow.check();
  return basis;
}

template ConvBasis<float> fit_conv_basis<float>(Execution&, const View<const float, 4>&, const View<const float, 4>&, double,
                                                const FitRequest&, FitErrors*);
template ConvBasis<double> fit_conv_basis<double>(Execution&, const View<const double, 4>&, const View<const double, 4>&, double,
                                                  const FitRequest&, FitErrors*);

}  // namespace subquad::attention
