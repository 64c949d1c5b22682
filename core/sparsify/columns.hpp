// The matrix X by columns, wherever they come from: dense arrays, sparse matrices, functions that write blocks; or two of these, one
// above the other (queries and keys).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/workspace.hpp"
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

  int64_t offset(int64_t outer) const { return at(offsets, outer) - base; }
  int64_t index(int64_t entry) const { return at(indices, entry) - base; }

 private:
  int64_t at(const void* list, int64_t i) const {
    return wide ? static_cast<const int64_t*>(list)[i] : static_cast<const int32_t*>(list)[i];
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

// Entries of a few columns: rows[e] - base and values[e] for offsets[c] <= e < offsets[c + 1].
template <class T>
struct ColumnLists {
  const int64_t* offsets;
  const int32_t* rows;
  int32_t base;
  const T* values;
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

  // Throws Error(value) unless sparse offsets and indices are in order and in range. Comes before every other access.
  void check_indices(Execution& run) const;

  // Throws Error(nonfinite), naming the entry, where there is a NaN or an infinity; for parts in memory.
  void check_finite(Execution& run) const;

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

// Reads columns for one slot of a pass.
template <class T>
class ColumnReader {
 public:
  // Where the columns from `first` on that a function has written are, by part; or NULL.
  struct Fetched {
    std::vector<const T*> blocks;
    int64_t first;
  };
  ColumnReader(const Columns<T>& columns, Workspace& workspace, const Fetched& fetched)
      : columns_(columns), workspace_(workspace), fetched_(fetched) {}

  // Column c of [first, first + count) at result + c * stride, contiguous rows: where the caller has it, or a copy that holds until
  // the next call.
  const T* dense(int64_t first, int64_t count, int64_t* stride);

  // The same with room for columns up to `padded`, which are zero.
  const T* padded(int64_t first, int64_t count, int64_t padded, int64_t* stride);

  // A copy in double precision, [count][rows].
  const double* doubles(int64_t first, int64_t count);

  // Copies columns to [count][rows].
  template <class U>
  void copy(int64_t first, int64_t count, U* out);

  // The entries of columns, where all parts are sparse.
  ColumnLists<T> lists(int64_t first, int64_t count);

  // A number of columns that is convenient to treat at once.
  int64_t convenient() const;

 private:
  template <class U>
  void copy_part(size_t part, int64_t first, int64_t count, U* out);
  template <class U>
  void copy_sparse(size_t part, int64_t first, int64_t count, U* out);
  void seek(size_t part, int64_t first);

  const Columns<T>& columns_;
  Workspace& workspace_;
  const Fetched& fetched_;
  Lease<T> panel_, values_;
  Lease<double> doubles_;
  Lease<int32_t> list_rows_;
  std::vector<int64_t> offsets_;
  std::vector<std::vector<int64_t>> cursors_;  // of CSR parts: where column next_[part] begins in each row
  std::vector<int64_t> next_;
};

}  // namespace subquad::sparsify
