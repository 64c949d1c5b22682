// Large blocks of memory that a context keeps from one call to the next: fresh ones cost a page fault per page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/aligned.hpp"

namespace subquad {

struct MemoryBlock {
  int64_t bytes = 0, asked = 0;  // asked: of it, what its present holder wanted
  bool mapped = false;           // written before: the system has its pages in place
  Aligned<std::byte> data;

  MemoryBlock() = default;
  explicit MemoryBlock(int64_t size) : bytes(size), asked(size), data(size) {}
};

class KeptMemory {
 public:
  static constexpr int64_t kMost = int64_t{1} << 31;   // bytes kept
  static constexpr int64_t kLeast = int64_t{1} << 20;  // smaller blocks are not worth it

  KeptMemory() { blocks_.reserve(kBlocks); }

  // A kept block that fits without much waste, or a new one.
  MemoryBlock take(int64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i].bytes < bytes || blocks_[i].bytes / 2 > bytes) continue;
      MemoryBlock found = std::move(blocks_[i]);
      forget(i);
      found.asked = bytes;
      return found;
    }
    return MemoryBlock(bytes);
  }

  // Keeps the block, in place of the oldest ones where there are too many.
  void keep(MemoryBlock block) noexcept {
    if (block.bytes < kLeast || block.bytes > kMost) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!blocks_.empty() && (kept_ + block.bytes > kMost || blocks_.size() == kBlocks)) forget(0);
    kept_ += block.bytes;
    block.mapped = true;
    blocks_.push_back(std::move(block));
  }

 private:
  static constexpr size_t kBlocks = 16;

  void forget(size_t i) noexcept {
    kept_ -= blocks_[i].bytes;
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  std::mutex mutex_;
  std::vector<MemoryBlock> blocks_;
  int64_t kept_ = 0;
};

}  // namespace subquad
