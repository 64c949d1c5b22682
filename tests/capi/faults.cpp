#include "faults.h"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>
#include <stdexcept>

// These replace the operators of the whole process, the library under test included.
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();
std::atomic<int64_t> allowed{kUnlimited};

void spend_allocation() {
  if (allowed.load() == kUnlimited) return;
  if (allowed.fetch_sub(1) <= 0) throw std::bad_alloc();
}

void* checked(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) {
  spend_allocation();
  return checked(std::malloc(size > 0 ? size : 1));
}

void* operator new(std::size_t size, std::align_val_t alignment) {
  spend_allocation();
  const std::size_t step = static_cast<std::size_t>(alignment);
  return checked(std::aligned_alloc(step, (size + step - 1) / step * step));
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

void faults_allow_allocations(int64_t count) { allowed.store(count); }
void faults_allow_all_allocations() { allowed.store(kUnlimited); }

int32_t faults_throwing_callback(void* user, double) {
  *static_cast<int*>(user) = 1;
  throw std::runtime_error("thrown by the test's callback");
}
