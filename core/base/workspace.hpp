// The memory that one call takes beyond its arrays: counted, and held to the context's limit.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "core/base/aligned.hpp"
#include "core/base/error.hpp"

namespace subquad {

// Memory of a call. Workers may take and give back at the same time.
class Workspace {
 public:
  explicit Workspace(int64_t limit) : limit_(limit) {}  // 0: none

  // Uninitialised memory for count elements, counted until the end of the call.
  template <class T>
  Aligned<T> take(int64_t count) {
    if (count > INT64_MAX / 2 / static_cast<int64_t>(sizeof(T))) {
      throw Error(Status::err_size, "a workspace of " + std::to_string(count) + " elements overflows the address space");
    }
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T)), held = held_.fetch_add(bytes) + bytes;
    if (limit_ > 0 && held > limit_) {
      throw Error(Status::err_workspace, "the call needs at least " + std::to_string(held) +
                                             " bytes of workspace; workspace_limit is " + std::to_string(limit_));
    }
    int64_t seen = most_.load();
    while (held > seen && !most_.compare_exchange_weak(seen, held)) {
    }
    try {
      return Aligned<T>(count);
    } catch (const std::bad_alloc&) {
      throw Error(Status::err_memory, "a workspace of " + std::to_string(bytes) + " bytes could not be allocated");
    }
  }

  void give_back(int64_t bytes) { held_.fetch_sub(bytes); }

  // The most that was held at one time.
  int64_t bytes() const { return most_.load(); }

 private:
  int64_t limit_;
  std::atomic<int64_t> held_{0}, most_{0};
};

// Memory of one stage of a call: given back when it ends.
template <class T>
class Lease {
 public:
  Lease() = default;
  Lease(Workspace& workspace, int64_t count) : workspace_(&workspace), count_(count), data_(workspace.take<T>(count)) {}
  Lease(Lease&& other) noexcept
      : workspace_(std::exchange(other.workspace_, nullptr)), count_(other.count_), data_(std::move(other.data_)) {}
  Lease& operator=(Lease other) noexcept {
    std::swap(workspace_, other.workspace_);
    std::swap(count_, other.count_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Lease() {
    if (workspace_ != nullptr) workspace_->give_back(count_ * static_cast<int64_t>(sizeof(T)));
  }

  T* get() const { return data_.get(); }

  // Memory for at least `count` elements, what it held before forgotten.
  void reserve(Workspace& workspace, int64_t count) {
    if (workspace_ != nullptr && count_ >= count) return;
    *this = Lease();
    *this = Lease(workspace, count);
  }

 private:
  Workspace* workspace_ = nullptr;
  int64_t count_ = 0;
  Aligned<T> data_;
};

}  // namespace subquad
