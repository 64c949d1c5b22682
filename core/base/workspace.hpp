// The memory that one call takes beyond its arrays: counted, and held to the context's limit.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "core/base/aligned.hpp"
#include "core/base/error.hpp"
#include "core/base/kept_memory.hpp"

namespace subquad {

// Memory of a call. Workers may take and give back at the same time.
class Workspace {
 public:
  // limit: in bytes, 0 for none. kept: where leases are taken from and go back to, or NULL.
  explicit Workspace(int64_t limit, KeptMemory* kept = nullptr) : limit_(limit), kept_(kept) {}

  // Uninitialised memory for count elements, counted until the end of the call.
  template <class T>
  Aligned<T> take(int64_t count) {
    return allocate(count_bytes(count, sizeof(T)), [&] { return Aligned<T>(count); });
  }

  // For Lease.
  MemoryBlock lend(int64_t count, size_t size) {
    const int64_t bytes = count_bytes(count, size);
    return allocate(bytes, [&] { return kept_ != nullptr ? kept_->take(bytes) : MemoryBlock(bytes); });
  }
  void take_back(MemoryBlock block) {
    held_.fetch_sub(block.asked);
    if (kept_ != nullptr) kept_->keep(std::move(block));
  }

  // The most that was held at one time.
  int64_t bytes() const { return most_.load(); }

 private:
  int64_t count_bytes(int64_t count, size_t size) {
    if (count > INT64_MAX / 2 / static_cast<int64_t>(size)) {
      throw Error(Status::err_size, "a workspace of " + std::to_string(count) + " elements overflows the address space");
    }
    const int64_t bytes = count * static_cast<int64_t>(size), held = held_.fetch_add(bytes) + bytes;
    if (limit_ > 0 && held > limit_) {
      throw Error(Status::err_workspace, "the call needs at least " + std::to_string(held) +
                                             " bytes of workspace; workspace_limit is " + std::to_string(limit_));
    }
    int64_t seen = most_.load();
    while (held > seen && !most_.compare_exchange_weak(seen, held)) {
    }
    return bytes;
  }

  template <class Make>
  static std::invoke_result_t<Make> allocate(int64_t bytes, const Make& make) {
    try {
      return make();
    } catch (const std::bad_alloc&) {
      throw Error(Status::err_memory, "a workspace of " + std::to_string(bytes) + " bytes could not be allocated");
    }
  }

  int64_t limit_;
  KeptMemory* kept_;
  std::atomic<int64_t> held_{0}, most_{0};
};

// Memory of one stage of a call: given back when it ends.
template <class T>
class Lease {
 public:
  Lease() = default;
  Lease(Workspace& workspace, int64_t count) : workspace_(&workspace), block_(workspace.lend(count, sizeof(T))) {}
  Lease(Lease&& other) noexcept : workspace_(std::exchange(other.workspace_, nullptr)), block_(std::move(other.block_)) {}
  Lease& operator=(Lease other) noexcept {
    std::swap(workspace_, other.workspace_);
    std::swap(block_, other.block_);
    return *this;
  }
  ~Lease() {
    if (workspace_ != nullptr) workspace_->take_back(std::move(block_));
  }

  T* get() const { return reinterpret_cast<T*>(block_.data.get()); }

  // Memory for at least `count` elements, what it held before forgotten; whether its pages are yet to be mapped.
  bool reserve(Workspace& workspace, int64_t count) {
    if (workspace_ != nullptr && block_.bytes >= count * static_cast<int64_t>(sizeof(T))) return false;
    *this = Lease();
    *this = Lease(workspace, count);
    return !block_.mapped;
  }

 private:
  Workspace* workspace_ = nullptr;
  MemoryBlock block_;
};

}  // namespace subquad
