// Progress and cancellation of one call. Workers report finished work; the thread that made the call asks the callback.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

namespace subquad {

class Monitor {
 public:
  // Returns true to cancel. Runs on the thread that made the Monitor, and only there.
  using Callback = std::function<bool(double fraction)>;

  // total: the work of the whole call, in units of the caller's choice, at least 1.
  Monitor(Callback callback, int64_t total);

  // Count finished work (0 only looks). Throws Error(cancelled) once the call has been stopped. Call it at least every 10 ms.
  void advance(int64_t work);

  // Make every later advance throw. A worker that fails stops its siblings with it.
  void stop() noexcept { stopped_.store(true, std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  Callback callback_;
  std::thread::id owner_ = std::this_thread::get_id();
  Clock::time_point due_;
  int64_t total_;
  std::atomic<int64_t> done_{0};
  std::atomic<bool> stopped_{false};
};

}  // namespace subquad
