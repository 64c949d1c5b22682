#include "core/sparsify/columns.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/sparsify/column_checks.hpp"
#include "core/sparsify/column_reader.hpp"

namespace subquad::sparsify {

namespace {

constexpr int64_t kBlockBytes = int64_t{8} << 20;  // of columns that a function writes at once

}  // namespace

template <class T>
int64_t Columns<T>::rows() const {
  int64_t total = 0;
  for (const auto& part : parts_) total += part.rows;
  return total;
}

template <class T>
bool Columns<T>::all_sparse() const {
  return std::all_of(parts_.begin(), parts_.end(),
                     [](const auto& part) { return std::holds_alternative<SparseColumns<T>>(part.source); });
}

template <class T>
bool Columns<T>::in_memory() const {
  return std::none_of(parts_.begin(), parts_.end(),
                      [](const auto& part) { return std::holds_alternative<BlockColumns>(part.source); });
}

template <class T>
double Columns<T>::work() const {
  double total = 0;
  for (const auto& part : parts_) {
    const auto* sparse = std::get_if<SparseColumns<T>>(&part.source);
    total += sparse != nullptr ? static_cast<double>(sparse->nonzeros) + static_cast<double>(count_)
                               : static_cast<double>(part.rows) * static_cast<double>(count_);
  }
  return total;
}

template <class T>
void Columns<T>::pass(Execution& run, Monitor& monitor, int64_t slots, Check check, const Body& body) const {
  pass_over(run, monitor, slots, check, 0, count_, body);
}

template <class T>
void Columns<T>::pass_over(Execution& run, Monitor& monitor, int64_t slots, Check check, int64_t begin, int64_t end,
                           const Body& body) const {
  int64_t width = end - begin;
  for (const auto& part : parts_) {
    if (const auto* x = std::get_if<BlockColumns>(&part.source)) {
      const int64_t fitting = kBlockBytes / std::max<int64_t>(part.rows * static_cast<int64_t>(sizeof(T)), 1);
      const int64_t most = x->width > 0 ? x->width : std::max<int64_t>(fitting, 64);
      // Columns are then sketched in the same groups as if they were in memory.
      width = std::min(width, most < 64 ? most : most / 64 * 64);
    }
  }
  std::vector<Lease<T>> blocks(parts_.size());
  for (int64_t first = begin; first < end; first += width) {
    const int64_t count = std::min(width, end - first);
    typename ColumnReader<T>::Fetched fetched{std::vector<const T*>(parts_.size()), first};
    for (size_t p = 0; p < parts_.size(); ++p) {
      const auto* x = std::get_if<BlockColumns>(&parts_[p].source);
      if (x == nullptr) continue;
      blocks[p].reserve(run.workspace, std::max<int64_t>(parts_[p].rows * width, 1));
      if (!x->write(first, count, blocks[p].get())) {
        throw Error(Status::err_cancelled, parts_[p].name + ": its function cancelled the call at columns " + text(first) +
                                               " to " + text(first + count - 1));
      }
      if (check == Check::yes) check_block<T>(run, parts_[p], blocks[p].get(), first, count);
      fetched.blocks[p] = blocks[p].get();
      monitor.advance(0);
    }
    run.pool.run(slots, monitor, [&](int64_t slot, int64_t) {
      // Borders at multiples of 64, which is how many columns a sketch mixes.
      const auto border = [&](int64_t s) { return s == slots ? count : count * s / slots / 64 * 64; };
      if (border(slot) == border(slot + 1)) return;
      ColumnReader<T> reader(*this, run, fetched);
      body(slot, reader, first + border(slot), first + border(slot + 1));
    });
  }
}

template class Columns<float>;
template class Columns<double>;

}  // namespace subquad::sparsify
