// Method: [BSS, theorem 3.1], columns found with the tree of [SPARS]. Differs: of the columns that pass, one is taken whose weight has
// wide bounds, not any (docs/math/sparsify.md).
#include "core/sparsify/barriers.hpp"

#include <algorithm>
#include <utility>

#include "core/sparsify/barrier_functions.hpp"
#include "core/sparsify/column_search.hpp"
#include "core/sparsify/reweighting.hpp"

namespace subquad::sparsify {

namespace {

struct Pick {
  int64_t column;
  double weight;
};

// Of a leaf's columns so many are looked at: more choose hardly better, and each has to be read on its own.
constexpr int64_t kOfLeaf = 8;
// Those of several leaves stay candidates. Up to three steps of four make do with them, while they give a weight almost as much room as
// the last search did: that saves two thirds of the searches, and epsilon stays the same within 3 %.
constexpr int64_t kCandidates = 4 * kOfLeaf, kStepsPerSearch = 4;
constexpr double kAlmost = 0.9;

// The last candidates.
class Candidates {
 public:
  // vectors: [kCandidates][stride]
  Candidates(const SelectionColumns& columns, int64_t stride, double* vectors)
      : columns_(columns), stride_(stride), vectors_(vectors) {
    std::fill(vectors_, vectors_ + kCandidates * stride_, 0.0);
  }

  int64_t count() const { return static_cast<int64_t>(indices_.size()); }
  int64_t index(int64_t candidate) const { return indices_[static_cast<size_t>(candidate)]; }

  // Adds some, in place of the oldest.
  void add(const std::vector<int64_t>& indices) {
    for (const int64_t index : indices) {
      if (std::find(indices_.begin(), indices_.end(), index) != indices_.end()) continue;
      if (count() < kCandidates) {
        indices_.push_back(index);
      } else {
        indices_[static_cast<size_t>(next_)] = index;
      }
      columns_.column(index, vectors_ + next_ * stride_);
      next_ = (next_ + 1) % kCandidates;
    }
  }

 private:
  const SelectionColumns& columns_;
  int64_t stride_, next_ = 0;
  double* vectors_;
  std::vector<int64_t> indices_;
};

std::vector<Pick> take_steps(Execution& run, const SelectionColumns& columns, int64_t steps, double enough) {
  const int64_t rank = columns.rank();
  ColumnSearch search(run, columns);
  BarrierFunctions barriers(run, rank, static_cast<double>(steps) / static_cast<double>(rank), kCandidates);
  Lease<double> vectors(run.workspace, kCandidates * barriers.stride());
  Candidates candidates(columns, barriers.stride(), vectors.get());
  Monitor monitor(run.ticker, steps);
  std::vector<Pick> picks;
  double room_enough = 1;
  const int64_t steps_per_look = std::max<int64_t>(8, rank / 16);  // eigenvalues then take a tenth of the time
  for (int64_t step = 0; step < steps; ++step) {
    if (enough > 0 && step > rank && step % steps_per_look == 0 && barriers.epsilon() <= enough) break;
    barriers.advance(monitor);
    BarrierFunctions::Choice choice{};
    if (step % kStepsPerSearch != 0) choice = barriers.choose(monitor, vectors.get(), candidates.count());
    if (choice.room < room_enough) {
      candidates.add(search.candidates(monitor, barriers.test(monitor), kOfLeaf));
      choice = barriers.choose(monitor, vectors.get(), candidates.count());
      room_enough = std::max(kAlmost * choice.room, 1.0);
    }
    barriers.add(monitor, vectors.get(), choice);
    picks.push_back({candidates.index(choice.column), choice.weight});
    monitor.advance(1);
  }
  return picks;
}

// Steps that took the same column become one.
void merge(std::vector<Pick> picks, BarrierChoice& choice) {
  std::stable_sort(picks.begin(), picks.end(), [](const Pick& a, const Pick& b) { return a.column < b.column; });
  for (const Pick& pick : picks) {
    if (choice.indices.empty() || choice.indices.back() != pick.column) {
      choice.indices.push_back(pick.column);
      choice.weights.push_back(0);
    }
    choice.weights.back() += pick.weight;
  }
}

void drop_zeros(BarrierChoice& choice) {
  size_t kept = 0;
  for (size_t j = 0; j < choice.indices.size(); ++j) {
    if (choice.weights[j] == 0) continue;
    choice.indices[kept] = choice.indices[j];
    choice.weights[kept++] = choice.weights[j];
  }
  choice.indices.resize(kept);
  choice.weights.resize(kept);
}

}  // namespace

BarrierChoice choose_by_barriers(Execution& run, const SelectionColumns& columns, int64_t steps, double enough) {
  std::vector<Pick> picks = take_steps(run, columns, steps, enough);
  BarrierChoice choice;
  choice.steps = static_cast<int64_t>(picks.size());
  merge(std::move(picks), choice);
  const linalg::Panels panels(run.target, columns.rank());
  const auto count = static_cast<int64_t>(choice.indices.size());
  Lease<double> chosen(run.workspace, count * panels.padded());
  Monitor monitor(run.ticker, 0);
  for (int64_t j = 0; j < count; ++j) {
    double* const v = chosen.get() + j * panels.padded();
    columns.column(choice.indices[static_cast<size_t>(j)], v);
    std::fill(v + columns.rank(), v + panels.padded(), 0.0);
    monitor.advance(0);
  }
  Reweighting reweighting(run, panels, chosen.get(), count);
  choice.epsilon_barriers = reweighting.center(monitor, choice.weights.data());
  choice.epsilon = reweighting.improve(monitor, choice.epsilon_barriers, choice.weights.data());
  drop_zeros(choice);
  return choice;
}

}  // namespace subquad::sparsify
