// The matrix X by columns, wherever they come from: dense arrays, sparse matrices, functions that write blocks; or two of these, one
// above the other (queries and keys).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "core/parallel/execution.hpp"

namespace subquad::sparsify {

template <class T>
struct DenseColumns {
  const T* data;
  int64_t row_stride, column_stride;
};

// CSC (by_columns) or CSR. Offsets and indices are int32, or int64 where `wide`, and count from `base`.
template <class T>
struct SparseColumns {
  const void *offsets, *indices;
  const T* values;
  int64_t nonzeros;
  bool by_columns, wide;
  int64_t base;

  int64_t offset(int64_t outer) const { return from_zero(at(offsets, outer)); }
  int64_t index(int64_t entry) const { return from_zero(at(indices, entry)); }

  // As it stands in `offsets` or `indices`.
  int64_t at(const void* list, int64_t i) const {
    return wide ? static_cast<const int64_t*>(list)[i] : static_cast<const int32_t*>(list)[i];
  }

 private:
  // The least number of all, which is wrong in either list, wraps to the greatest, which is too.
  int64_t from_zero(int64_t number) const {
    return static_cast<int64_t>(static_cast<uint64_t>(number) - static_cast<uint64_t>(base));
  }
};

// write(first, count, block) puts columns [first, first + count) one after the other; false cancels.
struct BlockColumns {
  std::function<bool(int64_t first, int64_t count, void* block)> write;
  int64_t width;  // most columns of a block
};

template <class T>
struct Part {
  std::string name;  // in messages
  int64_t rows;
  std::variant<DenseColumns<T>, SparseColumns<T>, BlockColumns> source;
};

template <class T>
class ColumnReader;

template <class T>
class Columns {
 public:
  Columns(std::vector<Part<T>> parts, int64_t count) : parts_(std::move(parts)), count_(count) {}

  int64_t rows() const;
  int64_t count() const { return count_; }
  const std::vector<Part<T>>& parts() const { return parts_; }

  bool all_sparse() const;  // every part is
  bool in_memory() const;   // no part is written by a function
  double work() const;      // entries that a pass looks at: nonzeros of sparse parts, all of the others

  // One pass: body(slot, reader, first, last) covers all columns, cut in `slots` pieces (of each block, where columns are written in
  // blocks), which run at the same time. Who adds up per slot gets the same bits for any number of threads. With `check`, blocks
  // are searched for NaN and infinities.
  enum class Check { no, yes };
  using Body = std::function<void(int64_t slot, ColumnReader<T>& reader, int64_t first, int64_t last)>;
  void pass(Execution& run, Monitor& monitor, int64_t slots, Check check, const Body& body) const;

  // The same for columns [first, last) only.
  void pass_over(Execution& run, Monitor& monitor, int64_t slots, Check check, int64_t first, int64_t last,
                 const Body& body) const;

 private:
  std::vector<Part<T>> parts_;
  int64_t count_;
};

}  // namespace subquad::sparsify
