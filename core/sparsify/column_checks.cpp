#include "core/sparsify/column_checks.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/views.hpp"
#include "core/parallel/finite.hpp"

namespace subquad::sparsify {

namespace {

template <class T>
[[noreturn]] void refuse(const Part<T>& part, int64_t row, int64_t column, T value) {
  throw Error(Status::err_nonfinite, part.name + "[" + text(row) + ", " + text(column) + "] is " +
                                         (std::isnan(value) ? "nan"
                                          : value > 0       ? "inf"
                                                            : "-inf"));
}

template <class T>
void check_finite_part(Execution& run, const Part<T>& part, const DenseColumns<T>& x, int64_t count) {
  const View<const T, 4> view{x.data, {1, 1, part.rows, count}, {0, 0, x.row_stride, x.column_stride}};
  const View<const T, 4> turned{x.data, {1, 1, count, part.rows}, {0, 0, x.column_stride, x.row_stride}};
  // Along the axis that is contiguous; the order only decides which of several is named.
  const bool by_rows = std::abs(x.column_stride) <= std::abs(x.row_stride);
  const int64_t found = first_nonfinite<T>(run, by_rows ? view : turned, false);
  if (found < 0) return;
  const int64_t row = by_rows ? found / count : found % part.rows, column = by_rows ? found % count : found / part.rows;
  refuse(part, row, column, *view.at(0, 0, row, column));
}

template <class T>
void check_finite_part(Execution& run, const Part<T>& part, const SparseColumns<T>& x, int64_t count) {
  const int64_t found = first_nonfinite<T>(run, View<const T, 4>{x.values, {1, 1, 1, x.nonzeros}, {0, 0, 0, 1}}, false);
  if (found < 0) return;
  const int64_t outer = x.by_columns ? count : part.rows;
  int64_t o = 0;
  while (o + 1 < outer && x.offset(o + 1) <= found) ++o;
  const int64_t inner = x.index(found);
  refuse(part, x.by_columns ? inner : o, x.by_columns ? o : inner, x.values[found]);
}

template <class T>
void check_finite_part(Execution&, const Part<T>&, const BlockColumns&, int64_t) {}

template <class T>
void check_offsets(const Part<T>& part, const SparseColumns<T>& x, int64_t outer) {
  for (int64_t o = 0; o <= outer; ++o) {
    const int64_t offset = x.offset(o), least = o == 0 ? 0 : x.offset(o - 1);
    const bool fits = o == 0 ? offset == 0 : offset >= least && offset <= x.nonzeros;
    if (fits && (o < outer || offset == x.nonzeros)) continue;
    throw Error(Status::err_value, part.name + ": offsets[" + text(o) + "] is " + text(x.at(x.offsets, o)) +
                                       "; offsets must not fall, from " + text(x.base) + " to " + text(x.nonzeros + x.base) +
                                       ", the number of nonzeros" + (x.base == 0 ? "" : " and one"));
  }
}

// Without an early exit, so that the loop vectorises: some difference is negative where an index is out of range.
template <class Index>
bool all_in_range(const Index* indices, int64_t first, int64_t last, int64_t base, int64_t inner) {
  using Word = std::make_unsigned_t<Index>;
  const auto low = static_cast<Word>(base), most = static_cast<Word>(inner - 1);
  Word outside = 0;
  for (int64_t e = first; e < last; ++e) {
    const Word index = static_cast<Word>(indices[e]) - low;
    outside |= index | (most - index);
  }
  return outside >> (8 * sizeof(Word) - 1) == 0;
}

template <class Index>
bool never_falls(const Index* indices, int64_t first, int64_t last) {
  bool falls = false;
  for (int64_t e = first + 1; e < last; ++e) falls |= indices[e] < indices[e - 1];
  return !falls;
}

template <class T>
[[noreturn]] void refuse_index(const Part<T>& part, const SparseColumns<T>& x, int64_t first, int64_t last, int64_t inner) {
  int64_t e = first;
  while (e + 1 < last && x.index(e) >= 0 && x.index(e) < inner && (x.by_columns || e == first || x.index(e) >= x.index(e - 1)))
    ++e;
  const bool outside = x.index(e) < 0 || x.index(e) >= inner;
  throw Error(Status::err_value, part.name + ": indices[" + text(e) + "] is " + text(x.at(x.indices, e)) +
                                     (outside ? ", not in [" + text(x.base) + ", " + text(inner + x.base) + ")"
                                              : ", less than the one before it in its row: CSR needs them sorted"));
}

template <class T>
void check_indices_part(Execution& run, const Part<T>& part, const SparseColumns<T>& x, int64_t count) {
  const int64_t outer = x.by_columns ? count : part.rows, inner = x.by_columns ? part.rows : count;
  check_offsets(part, x, outer);
  Monitor monitor(run.ticker, 0);
  constexpr int64_t kEntries = int64_t{1} << 18;
  const int64_t tasks = std::max<int64_t>(x.nonzeros / kEntries, 1);
  const auto task_of = [&](int64_t first, int64_t last, bool one_row) {
    const auto check = [&](auto* indices) {
      if (!all_in_range(indices, first, last, x.base, inner) || (one_row && !never_falls(indices, first, last)))
        refuse_index(part, x, first, last, inner);
    };
    if (x.wide) {
      check(static_cast<const int64_t*>(x.indices));
    } else {
      check(static_cast<const int32_t*>(x.indices));
    }
    monitor.advance(0);
  };
  if (x.by_columns) {
    run.pool.run(tasks, monitor,
                 [&](int64_t task, int64_t) { task_of(x.nonzeros * task / tasks, x.nonzeros * (task + 1) / tasks, false); });
  } else {
    run.pool.run(part.rows, monitor, [&](int64_t row, int64_t) { task_of(x.offset(row), x.offset(row + 1), true); });
  }
}

}  // namespace

template <class T>
void check_indices(Execution& run, const Columns<T>& x) {
  for (const auto& part : x.parts()) {
    if (const auto* sparse = std::get_if<SparseColumns<T>>(&part.source)) check_indices_part(run, part, *sparse, x.count());
  }
}

template <class T>
void check_finite(Execution& run, const Columns<T>& x) {
  for (const auto& part : x.parts()) {
    std::visit([&](const auto& source) { check_finite_part<T>(run, part, source, x.count()); }, part.source);
  }
}

template <class T>
void check_block(Execution& run, const Part<T>& part, const T* block, int64_t first, int64_t count) {
  const View<const T, 4> view{block, {1, 1, count, part.rows}, {0, 0, part.rows, 1}};
  const int64_t found = first_nonfinite<T>(run, view, false);
  if (found >= 0) refuse(part, found % part.rows, first + found / part.rows, block[found]);
}

#define SUBQUAD_INSTANTIATE(T)                                   \
  template void check_indices<T>(Execution&, const Columns<T>&); \
  template void check_finite<T>(Execution&, const Columns<T>&);  \
  template void check_block<T>(Execution&, const Part<T>&, const T*, int64_t, int64_t);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::sparsify
