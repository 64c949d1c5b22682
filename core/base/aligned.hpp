// Cache-line aligned memory for workspaces. Not initialised: who allocates says what the first write is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace subquad {

inline constexpr size_t kAlignment = 64;

template <class T>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    const std::align_val_t alignment{bytes >= 2 * kHugePage ? kHugePage : kAlignment};
    data_ = {static_cast<T*>(::operator new(bytes, alignment)), Free{alignment}};
#if defined(__linux__)
    // Strided passes over large buffers would spend much of their time on address translation. Advice: nothing hangs on it.
    if (bytes >= 2 * kHugePage) static_cast<void>(madvise(data_.get(), bytes / kHugePage * kHugePage, MADV_HUGEPAGE));
#endif
  }

  T* get() const { return data_.get(); }

 private:
  static constexpr size_t kHugePage = size_t{1} << 21;

  struct Free {
    std::align_val_t alignment{kAlignment};
    void operator()(T* data) const { ::operator delete(data, alignment); }
  };
  std::unique_ptr<T, Free> data_;
};

constexpr int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

}  // namespace subquad
