// Cache-line aligned memory for workspaces. Not initialised: who allocates says what the first write is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace subquad {

inline constexpr size_t kAlignment = 64;

template <class T>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(int64_t count)
      : data_(static_cast<T*>(::operator new (static_cast<size_t>(count) * sizeof(T), std::align_val_t{kAlignment}))) {}

  T* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { ::operator delete (data, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<T, Free> data_;
};

constexpr int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

}  // namespace subquad
