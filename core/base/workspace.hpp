// The memory that one call takes beyond its arrays: counted, and held to the context's limit.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/aligned.hpp"
#include "core/base/error.hpp"

namespace subquad {

class Workspace {
 public:
  explicit Workspace(int64_t limit) : limit_(limit) {}  // 0: none

  // Uninitialised memory for count elements.
  template <class T>
  Aligned<T> take(int64_t count) {
    if (count > INT64_MAX / 2 / static_cast<int64_t>(sizeof(T))) {
      throw Error(Status::err_size, "a workspace of " + std::to_string(count) + " elements overflows the address space");
    }
    bytes_ += count * static_cast<int64_t>(sizeof(T));
    if (limit_ > 0 && bytes_ > limit_) {
      throw Error(Status::err_workspace, "the call needs at least " + std::to_string(bytes_) +
                                             " bytes of workspace; workspace_limit is " + std::to_string(limit_));
    }
    try {
      return Aligned<T>(count);
    } catch (const std::bad_alloc&) {
      throw Error(Status::err_memory,
                  "a workspace of " + std::to_string(count * static_cast<int64_t>(sizeof(T))) + " bytes could not be allocated");
    }
  }

  int64_t bytes() const { return bytes_; }

 private:
  int64_t limit_;
  int64_t bytes_ = 0;
};

}  // namespace subquad
