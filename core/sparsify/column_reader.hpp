// Columns of X in the form that a computation wants them in: one after the other, or as lists of entries.
#pragma once

#include <vector>

#include "core/base/workspace.hpp"
#include "core/sparsify/columns.hpp"

namespace subquad::sparsify {

// Entries of a few columns: rows[e] - base and values[e] for offsets[c] <= e < offsets[c + 1].
template <class T>
struct ColumnLists {
  const int64_t* offsets;
  const int32_t* rows;
  int32_t base;
  const T* values;
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
  ColumnReader(const Columns<T>& columns, Execution& run, const Fetched& fetched)
      : columns_(columns), workspace_(run.workspace), target_(run.target), fetched_(fetched) {}

  // Column c of [first, first + count) at result + c * stride, contiguous rows: where the caller has it, or a copy that holds until
  // the next call.
  const T* dense(int64_t first, int64_t count, int64_t* stride);

  // The same with room for columns up to `padded`, which are zero.
  const T* padded(int64_t first, int64_t count, int64_t padded, int64_t* stride);

  // A copy in double precision, [count][rows].
  const double* doubles(int64_t first, int64_t count);

  // Copies columns to [count][rows].
  void copy(int64_t first, int64_t count, T* out);

  // The entries of columns, where all parts are sparse.
  ColumnLists<T> lists(int64_t first, int64_t count);

  // A number of columns that is convenient to treat at once.
  int64_t convenient() const;

 private:
  void copy_part(size_t part, int64_t first, int64_t count, T* out);
  template <class Index>
  void copy_sparse(size_t part, int64_t first, int64_t count, T* out);
  template <class Index>
  void seek(size_t part, int64_t first);

  // function(column - first, row, value) for the entries of some columns of one part.
  template <class Index, class Function>
  void visit(size_t part, int64_t first, int64_t count, const Function& function);
  template <class Function>
  void visit_all(int64_t first, int64_t count, const Function& function);

  const Columns<T>& columns_;
  Workspace& workspace_;
  simd::Target target_;
  const Fetched& fetched_;
  Lease<T> panel_, values_;
  Lease<double> doubles_;
  Lease<int32_t> list_rows_;
  std::vector<int64_t> offsets_;
  std::vector<std::vector<int64_t>> cursors_;  // of CSR parts: where column next_[part] begins in each row
  std::vector<int64_t> next_;
};

}  // namespace subquad::sparsify
