// Method: [SPARS], the tree of Gram matrices (docs/math/sparsify.md). The test is linear in v v', so a piece of columns with a total of
// at least 0 has a part with such a total.
#include "core/sparsify/gram_tree.hpp"

#include <algorithm>

#include "core/simd/products.hpp"

namespace subquad::sparsify {

namespace {
constexpr int64_t kLargeNode = 8192;  // entries; below, a thread has no more work than it takes to wake
}  // namespace

GramTree::GramTree(Execution& run, const SelectionColumns& columns)
    : run_(run), size_(columns.size()), packed_(size_ * (size_ + 1) / 2) {
  int64_t nodes = 0;
  for (int64_t count = static_cast<int64_t>(columns.leaves().size()) - 1;; count = (count + kArity - 1) / kArity) {
    levels_.push_back({nodes, count});
    nodes += count;
    if (count <= kArity) break;
  }
  nodes_ = Lease<double>(run.workspace, nodes * packed_);
  test_ = Lease<double>(run.workspace, packed_);
  columns.leaf_grams(nodes_.get());
  Monitor monitor(run.ticker, 0);
  add_up(monitor);
}

void GramTree::add_up(Monitor& monitor) {
  for (size_t level = 1; level < levels_.size(); ++level) {
    const Level below = levels_[level - 1], here = levels_[level];
    run_.pool.run(here.count, monitor, [&](int64_t node, int64_t) {
      double* const sum = nodes_.get() + (here.first + node) * packed_;
      const double* const children = nodes_.get() + (below.first + node * kArity) * packed_;
      std::copy(children, children + packed_, sum);
      for (int64_t child = 1; child < std::min(kArity, below.count - node * kArity); ++child) {
        const double* const term = children + child * packed_;
        for (int64_t e = 0; e < packed_; ++e) sum[e] += term[e];
        monitor.advance(0);
      }
    });
  }
}

void GramTree::pack(const double* test) {
  double* to = test_.get();
  for (int64_t i = 0; i < size_; ++i) {
    const double* const row = test + i * size_;
    for (int64_t j = 0; j < i; ++j) *to++ = 2 * row[j];
    *to++ = row[i];
  }
}

void GramTree::totals(Monitor& monitor, int64_t first, int64_t count, double* values) const {
  const auto total = [&](int64_t node, int64_t) {
    const double* const gram = nodes_.get() + (first + node) * packed_;
    simd::product_kernels<double>(run_.target).dots({gram, test_.get(), packed_, 0, 1, packed_, values + node});
    monitor.advance(0);
  };
  if (packed_ < kLargeNode) {
    for (int64_t node = 0; node < count; ++node) total(node, 0);
  } else {
    run_.pool.run(count, monitor, total);
  }
}

int64_t GramTree::descend(Monitor& monitor, const double* test) {
  pack(test);
  int64_t node = 0;
  for (size_t level = levels_.size(); level-- > 0;) {
    const bool top = level + 1 == levels_.size();
    const int64_t first = top ? 0 : node * kArity,
                  last = top ? levels_[level].count : std::min(first + kArity, levels_[level].count);
    double values[kArity];
    totals(monitor, levels_[level].first + first, last - first, values);
    node = first + (std::max_element(values, values + (last - first)) - values);
  }
  return node;
}

void GramTree::leaf_totals(Monitor& monitor, double* values) const { totals(monitor, 0, leaves(), values); }

}  // namespace subquad::sparsify
