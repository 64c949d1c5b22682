#include "core/sparsify/column_reader.hpp"

#include <algorithm>

#include "core/simd/sketch.hpp"

namespace subquad::sparsify {

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
  int64_t stride;
  const T* const columns = dense(first, count, &stride);
  const int64_t rows = columns_.rows();
  doubles_.reserve(workspace_, std::max<int64_t>(count * rows, 1));
  for (int64_t c = 0; c < count; ++c) std::copy_n(columns + c * stride, rows, doubles_.get() + c * rows);
  return doubles_.get();
}

template <class T>
void ColumnReader<T>::copy(int64_t first, int64_t count, T* out) {
  for (size_t p = 0; p < columns_.parts().size(); ++p) {
    copy_part(p, first, count, out);
    out += columns_.parts()[p].rows;
  }
}

template <class T>
void ColumnReader<T>::copy_part(size_t p, int64_t first, int64_t count, T* out) {
  const Part<T>& part = columns_.parts()[p];
  const auto& copy_strided = simd::sketch_kernels<T>(target_).copy;
  const int64_t stride = columns_.rows();
  if (const auto* x = std::get_if<DenseColumns<T>>(&part.source)) {
    copy_strided({x->data + first * x->column_stride, x->row_stride, x->column_stride, part.rows, count, out, stride});
  } else if (fetched_.blocks[p] != nullptr) {
    copy_strided({fetched_.blocks[p] + (first - fetched_.first) * part.rows, 1, part.rows, part.rows, count, out, stride});
  } else if (std::get<SparseColumns<T>>(part.source).wide) {
    copy_sparse<int64_t>(p, first, count, out);
  } else {
    copy_sparse<int32_t>(p, first, count, out);
  }
}

// In CSR parts the cursors stand where column `first` begins.
template <class T>
template <class Index>
void ColumnReader<T>::seek(size_t p, int64_t first) {
  const auto& x = std::get<SparseColumns<T>>(columns_.parts()[p].source);
  cursors_.resize(columns_.parts().size());
  next_.resize(columns_.parts().size(), -1);
  if (next_[p] == first) return;
  const auto* const indices = static_cast<const Index*>(x.indices);
  cursors_[p].resize(static_cast<size_t>(columns_.parts()[p].rows));
  for (int64_t row = 0; row < columns_.parts()[p].rows; ++row) {
    const auto* const place =
        std::lower_bound(indices + x.offset(row), indices + x.offset(row + 1), static_cast<Index>(first + x.base));
    cursors_[p][static_cast<size_t>(row)] = place - indices;
  }
  next_[p] = first;
}

template <class T>
template <class Index, class Function>
void ColumnReader<T>::visit(size_t p, int64_t first, int64_t count, const Function& function) {
  const auto& x = std::get<SparseColumns<T>>(columns_.parts()[p].source);
  const auto *const offsets = static_cast<const Index*>(x.offsets), *const indices = static_cast<const Index*>(x.indices);
  const auto base = static_cast<Index>(x.base);
  if (x.by_columns) {
    for (int64_t c = 0; c < count; ++c) {
      const int64_t last = offsets[first + c + 1] - base;
      for (int64_t e = offsets[first + c] - base; e < last; ++e)
        function(c, static_cast<int64_t>(indices[e] - base), x.values[e]);
    }
    return;
  }
  seek<Index>(p, first);
  const auto end = static_cast<Index>(first + count + x.base);
  for (int64_t row = 0; row < columns_.parts()[p].rows; ++row) {
    int64_t& e = cursors_[p][static_cast<size_t>(row)];
    for (const int64_t last = offsets[row + 1] - base; e < last && indices[e] < end; ++e) {
      function(indices[e] - base - first, row, x.values[e]);
    }
  }
  next_[p] = first + count;
}

template <class T>
template <class Index>
void ColumnReader<T>::copy_sparse(size_t p, int64_t first, int64_t count, T* out) {
  const int64_t stride = columns_.rows(), rows = columns_.parts()[p].rows;
  for (int64_t c = 0; c < count; ++c) std::fill_n(out + c * stride, rows, T{0});
  visit<Index>(p, first, count, [&](int64_t c, int64_t row, T value) { out[c * stride + row] += value; });
}

template <class T>
template <class Function>
void ColumnReader<T>::visit_all(int64_t first, int64_t count, const Function& function) {
  int64_t top = 0;
  for (size_t p = 0; p < columns_.parts().size(); ++p) {
    const auto shifted = [&](int64_t c, int64_t row, T value) {
      function(static_cast<size_t>(c), static_cast<int32_t>(top + row), value);
    };
    if (std::get<SparseColumns<T>>(columns_.parts()[p].source).wide) {
      visit<int64_t>(p, first, count, shifted);
    } else {
      visit<int32_t>(p, first, count, shifted);
    }
    top += columns_.parts()[p].rows;
  }
}

template <class T>
ColumnLists<T> ColumnReader<T>::lists(int64_t first, int64_t count) {
  const auto& parts = columns_.parts();
  offsets_.assign(static_cast<size_t>(count) + 1, 0);
  if (const auto& x = std::get<SparseColumns<T>>(parts[0].source); parts.size() == 1 && x.by_columns && !x.wide) {
    for (int64_t c = 0; c <= count; ++c) offsets_[static_cast<size_t>(c)] = x.offset(first + c);
    return {offsets_.data(), static_cast<const int32_t*>(x.indices), static_cast<int32_t>(x.base), x.values};
  }
  // Once to count the entries of each column, once to put them in place, which moves every offset to the next one's.
  const std::vector<std::vector<int64_t>> cursors = cursors_;
  const std::vector<int64_t> next = next_;
  visit_all(first, count, [&](size_t c, int32_t, T) { ++offsets_[c + 1]; });
  for (size_t c = 0; c < static_cast<size_t>(count); ++c) offsets_[c + 1] += offsets_[c];
  list_rows_.reserve(workspace_, std::max<int64_t>(offsets_.back(), 1));
  values_.reserve(workspace_, std::max<int64_t>(offsets_.back(), 1));
  cursors_ = cursors;
  next_ = next;
  visit_all(first, count, [&](size_t c, int32_t row, T value) {
    const int64_t place = offsets_[c]++;
    list_rows_.get()[place] = row;
    values_.get()[place] = value;
  });
  for (size_t c = static_cast<size_t>(count); c > 0; --c) offsets_[c] = offsets_[c - 1];
  offsets_[0] = 0;
  return {offsets_.data(), list_rows_.get(), 0, values_.get()};
}

template class ColumnReader<float>;
template class ColumnReader<double>;

}  // namespace subquad::sparsify
