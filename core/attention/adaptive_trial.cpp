// Method: docs/adaptive.md, sections on estimates and on choosing.
#include "core/attention/adaptive_trial.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/attention/conv_far_merge.hpp"

namespace subquad::attention {

namespace {

constexpr double kConvPairs = 36;  // exact pairs that a row's conv far field costs per doubling of their number: docs/adaptive.md
constexpr size_t kStride = 4;      // tiles that lie between one and the next that is tried

}  // namespace

template <class T>
HeadTrials<T>::HeadTrials(const ChoiceInput<T>& input, int64_t batch, int64_t head, HeadPass& pass, PassKeys& keys,
                          std::optional<ConvFarField<T>>& far)
    : in_(input),
      p_(input.low.problem()),
      batch_(batch),
      head_(head),
      low_(input.low.head(batch, head)),
      pass_(pass),
      keys_(keys),
      far_(far) {
  keys_.all = &input.low.keys(batch, head);
}

// The rows of both samples together, since tiles of rows are what exact attention is fast in.
template <class T>
void HeadTrials<T>::take(RowSample sample) {
  sample_ = std::move(sample);
  std::vector<int64_t> rows = rows_of(sample_.choosing);
  const std::vector<int64_t> fresh = rows_of(sample_.fresh);
  rows.insert(rows.end(), fresh.begin(), fresh.end());
  std::sort(rows.begin(), rows.end());
  exact_ = in_.exact.rows(batch_, head_, rows);
}

template <class T>
const T* HeadTrials<T>::exact_row(int64_t row) const {
  const auto found = std::lower_bound(exact_.rows.begin(), exact_.rows.end(), row);
  return exact_.o.data() + (found - exact_.rows.begin()) * p_.d_v();
}

template <class T>
Trial HeadTrials<T>::attempt(const HeadChoice& choice, const std::vector<SampleTile>& tiles, double most) {
  prepare(choice);
  Trial trial;
  if (choice.kind == HeadKind::screened) {
    attempt_rows(choice, tiles, trial);
  } else {
    attempt_tiles(choice, tiles, most, trial);
  }
  return trial;
}

// What the passes read, unless it is there from the candidate before.
template <class T>
void HeadTrials<T>::prepare(const HeadChoice& choice) {
  if (choice.kind != HeadKind::selected) return;
  if (choice.heavy != prepared_heavy_) {
    keys_ = {};
    far_.reset();
    prepared_heavy_ = choice.heavy;
  }
  add_pass_keys(in_.run.workspace, in_.monitor, in_.low, batch_, head_, choice, keys_);
  if (!choice.conv) {
    far_.reset();
  } else if (!far_) {
    far_ = fit_far_field<T>(in_.run, Team(in_.monitor), low_.q, in_.low.k(batch_, head_), p_.scale, choice);
    spent_ += conv_pairs() / 2;
  }
}

// Rows of all tiles together: a screened row does not depend on those beside it.
template <class T>
void HeadTrials<T>::attempt_rows(const HeadChoice& choice, const std::vector<SampleTile>& tiles, Trial& trial) {
  const std::vector<int64_t> rows = rows_of(tiles);
  const auto count = static_cast<int64_t>(rows.size());
  pass_.begin(in_.low.kernels(), low_, rows.data(), count);
  pass_.run(keys_, choice, [](int64_t, int64_t) {});
  trial.counts = pass_.counts();
  int64_t r = 0;
  for (const SampleTile& tile : tiles) {
    trial.errors.add_tile();
    for (const int64_t row : tile.rows) {
      add_error(row, r++, trial.errors);
      trial.pairs += low_.visible(row);
    }
  }
  const double all = std::max<double>(static_cast<double>(trial.pairs), 1);
  trial.computed = static_cast<double>(trial.counts.pairs.computed) / all;
  trial.cost = logit_cost() + weight_cost() * static_cast<double>(trial.counts.work.computed) / all;
  spent_ += static_cast<double>(count * low_.visible(rows.back())) * trial.cost;
}

// Tiles whole: what is selected is selected for all rows of a tile. Those from all over the sequence come first.
template <class T>
void HeadTrials<T>::attempt_tiles(const HeadChoice& choice, const std::vector<SampleTile>& tiles, double most, Trial& trial) {
  if (choice.conv) take_far_rows(rows_of(tiles));
  const std::vector<double> norms = exact(tiles).norm;
  const double allowed = most * most * std::accumulate(norms.begin(), norms.end(), 0.0);
  double error = 0;
  // Costs of a few tiles from everywhere are those of all; costs of the first one are not.
  for (size_t first = 0; first < kStride && !(error > allowed); ++first) {
    for (size_t t = first; t < tiles.size(); t += kStride) {
      attempt_tile(choice, tiles[t], trial);
      error += trial.errors.error.back();
    }
  }
  const double all = std::max<double>(static_cast<double>(trial.pairs), 1);
  trial.computed = static_cast<double>(trial.counts.pairs.computed) / all;
  trial.cost = (logit_cost() * static_cast<double>(trial.counts.work.looked) +
                weight_cost() * static_cast<double>(trial.counts.work.computed)) /
               all;
  spent_ += all * trial.cost;
  far_rows_.clear();
}

template <class T>
void HeadTrials<T>::attempt_tile(const HeadChoice& choice, const SampleTile& tile, Trial& trial) {
  std::vector<int64_t> rows(static_cast<size_t>(tile.count));
  std::iota(rows.begin(), rows.end(), tile.first);
  pass_.begin(in_.low.kernels(), low_, rows.data(), tile.count);
  pass_.run(keys_, choice, [](int64_t, int64_t) {});
  trial.counts.join(pass_.counts());
  trial.errors.add_tile();
  for (const int64_t row : tile.rows) add_error(row, row - tile.first, trial.errors);
  for (const int64_t row : rows) trial.pairs += low_.visible(row);
  in_.monitor.advance(0);
}

template <class T>
void HeadTrials<T>::take_far_rows(const std::vector<int64_t>& rows) {
  far_rows_ = rows;
  far_o_.resize(rows.size() * static_cast<size_t>(p_.d_v()));
  const View<T, 2> o{far_o_.data(), {static_cast<int64_t>(rows.size()), p_.d_v()}, {p_.d_v(), 1}};
  far_field_rows<T>(in_.run, Team(in_.monitor), *far_, in_.low.v(batch_, head_), rows, o);
}

// row is number r of the pass.
template <class T>
void HeadTrials<T>::add_error(int64_t row, int64_t r, TileErrors& errors) {
  output_.resize(static_cast<size_t>(p_.d_v()));
  T lse;
  pass_.queries().finish(low_, r, p_.d_v(), output_.data(), 1, &lse);
  if (!far_rows_.empty()) {
    const auto place = std::lower_bound(far_rows_.begin(), far_rows_.end(), row) - far_rows_.begin();
    merge_far(far_->lse[static_cast<size_t>(row)], far_o_.data() + place * p_.d_v(), p_.d_v(), output_.data(), 1, &lse);
  }
  const T* const o = exact_row(row);
  for (int64_t c = 0; c < p_.d_v(); ++c) {
    const double y = static_cast<double>(o[c]), x = static_cast<double>(output_[static_cast<size_t>(c)]);
    errors.error.back() += (x - y) * (x - y);
    errors.norm.back() += y * y;
  }
}

template <class T>
TileErrors HeadTrials<T>::exact(const std::vector<SampleTile>& tiles) const {
  TileErrors errors;
  for (const SampleTile& tile : tiles) {
    errors.add_tile();
    for (const int64_t row : tile.rows) {
      const T* const o = exact_row(row);
      for (int64_t c = 0; c < p_.d_v(); ++c) errors.norm.back() += static_cast<double>(o[c]) * static_cast<double>(o[c]);
    }
  }
  return errors;
}

// The kernels' costs are for 64 columns in single precision. Vector instructions per vector of pairs scale them: exact attention takes
// d + d_v products and about 20 for the softmax; 8-bit integers take a quarter of the products, and 5 for a logit or 16 for a weight.
template <class T>
double HeadTrials<T>::exact_operations() const {
  return (static_cast<double>(p_.d() + p_.d_v()) + 20) / (64 + 64 + 20) * static_cast<double>(sizeof(T)) / sizeof(float);
}

template <class T>
double HeadTrials<T>::logit_cost() const {
  return in_.low.kernels().logit_cost * (static_cast<double>(round_up(p_.d(), 4)) / 4 + 5) / (16 + 5) / exact_operations();
}

template <class T>
double HeadTrials<T>::weight_cost() const {
  return in_.low.kernels().weight_cost * (static_cast<double>(round_up(p_.d_v(), 16)) / 4 + 16) / (16 + 16) / exact_operations();
}

template <class T>
double HeadTrials<T>::conv_pairs() const {
  return kConvPairs * static_cast<double>(p_.n_q()) * std::log2(static_cast<double>(p_.n_q()));
}

template class HeadTrials<float>;
template class HeadTrials<double>;

}  // namespace subquad::attention
