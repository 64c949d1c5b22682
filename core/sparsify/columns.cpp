#include "core/sparsify/columns.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/views.hpp"
#include "core/parallel/finite.hpp"

namespace subquad::sparsify {

namespace {

constexpr int64_t kBlockBytes = int64_t{8} << 20;

template <class T>
[[noreturn]] void refuse(const Part<T>& part, int64_t row, int64_t column, T value) {
  throw Error(Status::err_nonfinite, part.name + "[" + text(row) + ", " + text(column) + "] is " +
                                         (std::isnan(value) ? "nan"
                                          : value > 0       ? "inf"
                                                            : "-inf"));
}

// Looks for NaN and infinities in columns that were written to `block`.
template <class T>
void check_block(Execution& run, const Part<T>& part, const T* block, int64_t first, int64_t count) {
  const View<const T, 4> view{block, {1, 1, count, part.rows}, {0, 0, part.rows, 1}};
  const int64_t found = first_nonfinite<T>(run, view, false);
  if (found >= 0) refuse(part, found % part.rows, first + found / part.rows, block[found]);
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
    throw Error(Status::err_value, part.name + ": offsets[" + text(o) + "] is " + text(offset + x.base) +
                                       "; offsets must not fall, from " + text(x.base) + " to " + text(x.nonzeros + x.base) +
                                       ", the number of nonzeros" + (x.base == 0 ? "" : " and one"));
  }
}

// Indices of entries [first, last) of one or more outer indices.
template <class Index>
bool all_in_range(const Index* indices, int64_t first, int64_t last, int64_t base, int64_t inner) {
  bool outside = false;  // no early exit: the loop vectorises
  for (int64_t e = first; e < last; ++e) {
    outside |= static_cast<std::make_unsigned_t<Index>>(indices[e] - static_cast<Index>(base)) >=
               static_cast<std::make_unsigned_t<Index>>(inner);
  }
  return !outside;
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
  throw Error(Status::err_value, part.name + ": indices[" + text(e) + "] is " + text(x.index(e) + x.base) +
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

// Copies a strided rectangle to [count][rows], in squares that stay in cache whichever way it lies.
template <class T, class U>
void copy_dense(const T* x, int64_t row_stride, int64_t column_stride, int64_t rows, int64_t count, U* out, int64_t out_stride) {
  constexpr int64_t kSquare = 16;
  for (int64_t i = 0; i < rows; i += kSquare) {
    const int64_t last_row = std::min(i + kSquare, rows);
    for (int64_t j = 0; j < count; j += kSquare) {
      const int64_t last_column = std::min(j + kSquare, count);
      for (int64_t c = j; c < last_column; ++c) {
        const T* const from = x + c * column_stride;
        U* const to = out + c * out_stride;
        for (int64_t r = i; r < last_row; ++r) to[r] = static_cast<U>(from[r * row_stride]);
      }
    }
  }
}

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
void Columns<T>::check_indices(Execution& run) const {
  for (const auto& part : parts_) {
    if (const auto* x = std::get_if<SparseColumns<T>>(&part.source)) check_indices_part(run, part, *x, count_);
  }
}

template <class T>
void Columns<T>::check_finite(Execution& run) const {
  for (const auto& part : parts_) {
    std::visit([&](const auto& x) { check_finite_part<T>(run, part, x, count_); }, part.source);
  }
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
      width = std::min(width, x->width > 0 ? x->width : std::max<int64_t>(fitting / 64 * 64, 64));
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
      ColumnReader<T> reader(*this, run.workspace, fetched);
      body(slot, reader, first + border(slot), first + border(slot + 1));
    });
  }
}

template <class T>
int64_t ColumnReader<T>::convenient() const {
  constexpr double kEntries = 1 << 15;  // in the second-level cache, and far less than a millisecond
  const double per_column = columns_.work() / std::max<double>(1, static_cast<double>(columns_.count()));
  return std::clamp<int64_t>(static_cast<int64_t>(kEntries / std::max(per_column, 1.0)) / 64 * 64, 64, 1 << 14);
}

template <class T>
const T* ColumnReader<T>::dense(int64_t first, int64_t count, int64_t* stride) {
  const auto& parts = columns_.parts();
  if (parts.size() == 1) {
    if (const auto* x = std::get_if<DenseColumns<T>>(&parts[0].source); x != nullptr && x->row_stride == 1) {
      *stride = x->column_stride;
      return x->data + first * x->column_stride;
    }
    if (fetched_.blocks[0] != nullptr) {
      *stride = parts[0].rows;
      return fetched_.blocks[0] + (first - fetched_.first) * parts[0].rows;
    }
  }
  return padded(first, count, count, stride);
}

template <class T>
const T* ColumnReader<T>::padded(int64_t first, int64_t count, int64_t padded, int64_t* stride) {
  if (count == padded && columns_.parts().size() == 1) {
    const auto* x = std::get_if<DenseColumns<T>>(&columns_.parts()[0].source);
    if ((x != nullptr && x->row_stride == 1) || fetched_.blocks[0] != nullptr) return dense(first, count, stride);
  }
  const int64_t rows = columns_.rows();
  panel_.reserve(workspace_, std::max<int64_t>(padded * rows, 1));
  copy(first, count, panel_.get());
  std::fill(panel_.get() + count * rows, panel_.get() + padded * rows, T{0});
  *stride = rows;
  return panel_.get();
}

template <class T>
const double* ColumnReader<T>::doubles(int64_t first, int64_t count) {
  doubles_.reserve(workspace_, std::max<int64_t>(count * columns_.rows(), 1));
  copy(first, count, doubles_.get());
  return doubles_.get();
}

template <class T>
template <class U>
void ColumnReader<T>::copy(int64_t first, int64_t count, U* out) {
  for (size_t p = 0; p < columns_.parts().size(); ++p) {
    copy_part(p, first, count, out);
    out += columns_.parts()[p].rows;
  }
}

template <class T>
template <class U>
void ColumnReader<T>::copy_part(size_t p, int64_t first, int64_t count, U* out) {
  const Part<T>& part = columns_.parts()[p];
  const int64_t stride = columns_.rows();
  if (const auto* x = std::get_if<DenseColumns<T>>(&part.source)) {
    copy_dense(x->data + first * x->column_stride, x->row_stride, x->column_stride, part.rows, count, out, stride);
  } else if (fetched_.blocks[p] != nullptr) {
    copy_dense(fetched_.blocks[p] + (first - fetched_.first) * part.rows, 1, part.rows, part.rows, count, out, stride);
  } else {
    copy_sparse(p, first, count, out);
  }
}

// In CSR parts the cursors stand where column `first` begins.
template <class T>
void ColumnReader<T>::seek(size_t p, int64_t first) {
  const auto& x = std::get<SparseColumns<T>>(columns_.parts()[p].source);
  cursors_.resize(columns_.parts().size());
  next_.resize(columns_.parts().size(), -1);
  if (next_[p] == first) return;
  cursors_[p].resize(static_cast<size_t>(columns_.parts()[p].rows));
  for (int64_t row = 0; row < columns_.parts()[p].rows; ++row) {
    int64_t low = x.offset(row), high = x.offset(row + 1);
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (x.index(middle) < first) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    cursors_[p][static_cast<size_t>(row)] = low;
  }
  next_[p] = first;
}

template <class T>
template <class U>
void ColumnReader<T>::copy_sparse(size_t p, int64_t first, int64_t count, U* out) {
  const Part<T>& part = columns_.parts()[p];
  const auto& x = std::get<SparseColumns<T>>(part.source);
  const int64_t stride = columns_.rows();
  for (int64_t c = 0; c < count; ++c) std::fill(out + c * stride, out + c * stride + part.rows, U{0});
  if (x.by_columns) {
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t e = x.offset(first + c); e < x.offset(first + c + 1); ++e) {
        out[c * stride + x.index(e)] += static_cast<U>(x.values[e]);
      }
    }
    return;
  }
  seek(p, first);
  for (int64_t row = 0; row < part.rows; ++row) {
    int64_t& e = cursors_[p][static_cast<size_t>(row)];
    for (const int64_t last = x.offset(row + 1); e < last && x.index(e) < first + count; ++e) {
      out[(x.index(e) - first) * stride + row] += static_cast<U>(x.values[e]);
    }
  }
  next_[p] = first + count;
}

template <class T>
ColumnLists<T> ColumnReader<T>::lists(int64_t first, int64_t count) {
  const auto& parts = columns_.parts();
  offsets_.assign(static_cast<size_t>(count) + 1, 0);
  if (parts.size() == 1) {
    const auto& x = std::get<SparseColumns<T>>(parts[0].source);
    if (x.by_columns && !x.wide) {
      for (int64_t c = 0; c <= count; ++c) offsets_[static_cast<size_t>(c)] = x.offset(first + c);
      return {offsets_.data(), static_cast<const int32_t*>(x.indices), static_cast<int32_t>(x.base), x.values};
    }
  }
  // Visits all entries: once to count those of each column, once to put them in place.
  const auto visit = [&](const auto& function) {
    int32_t top = 0;
    for (size_t p = 0; p < parts.size(); ++p) {
      const auto& x = std::get<SparseColumns<T>>(parts[p].source);
      if (x.by_columns) {
        for (int64_t c = 0; c < count; ++c) {
          for (int64_t e = x.offset(first + c); e < x.offset(first + c + 1); ++e) {
            function(c, top + static_cast<int32_t>(x.index(e)), x.values[e]);
          }
        }
      } else {
        seek(p, first);
        for (int64_t row = 0; row < parts[p].rows; ++row) {
          for (int64_t e = cursors_[p][static_cast<size_t>(row)]; e < x.offset(row + 1) && x.index(e) < first + count; ++e) {
            function(x.index(e) - first, top + static_cast<int32_t>(row), x.values[e]);
          }
        }
      }
      top += static_cast<int32_t>(parts[p].rows);
    }
  };
  visit([&](int64_t c, int32_t, T) { ++offsets_[static_cast<size_t>(c) + 1]; });
  for (size_t c = 0; c < static_cast<size_t>(count); ++c) offsets_[c + 1] += offsets_[c];
  list_rows_.reserve(workspace_, std::max<int64_t>(offsets_.back(), 1));
  values_.reserve(workspace_, std::max<int64_t>(offsets_.back(), 1));
  visit([&](int64_t c, int32_t row, T value) {
    const int64_t place = offsets_[static_cast<size_t>(c)]++;
    list_rows_.get()[place] = row;
    values_.get()[place] = value;
  });
  for (size_t c = static_cast<size_t>(count); c > 0; --c) offsets_[c] = offsets_[c - 1];
  offsets_[0] = 0;
  // The next columns most likely follow.
  for (size_t p = 0; p < parts.size(); ++p) {
    const auto& x = std::get<SparseColumns<T>>(parts[p].source);
    if (x.by_columns) continue;
    for (int64_t row = 0; row < parts[p].rows; ++row) {
      int64_t& e = cursors_[p][static_cast<size_t>(row)];
      while (e < x.offset(row + 1) && x.index(e) < first + count) ++e;
    }
    next_[p] = first + count;
  }
  return {offsets_.data(), list_rows_.get(), 0, values_.get()};
}

#define SUBQUAD_INSTANTIATE(T)                                          \
  template class Columns<T>;                                            \
  template class ColumnReader<T>;                                       \
  template void ColumnReader<T>::copy<float>(int64_t, int64_t, float*); \
  template void ColumnReader<T>::copy<double>(int64_t, int64_t, double*);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::sparsify
