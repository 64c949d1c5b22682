// Progress and cancellation of one call. Workers report finished work; the thread that made the call asks the callback.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

namespace subquad {

// Asks a call's callback when it is due, across all stages of the call, and only on the thread that made it.
class Ticker {
 public:
  using Callback = std::function<bool(double fraction)>;  // returns true to cancel

  explicit Ticker(Callback callback);
  bool due() const { return callback_ && std::this_thread::get_id() == owner_ && Clock::now() >= due_; }
  bool ask(double fraction);

 private:
  using Clock = std::chrono::steady_clock;

  Callback callback_;
  std::thread::id owner_ = std::this_thread::get_id();
  Clock::time_point due_;
  double highest_ = 0;
};

// One stage of a call.
class Monitor {
 public:
  // total: the work of the stage, in units of the caller's choice. A stage that only prepares gives 0 and reports no progress.
  Monitor(Ticker& ticker, int64_t total) : ticker_(ticker), total_(total) {}

  // Count finished work (0 only looks). Throws Error(cancelled) once the call has been stopped. Call it at least every 10 ms.
  void advance(int64_t work);

  // Make every later advance throw. A worker that fails stops its siblings with it.
  void stop() noexcept { stopped_.store(true, std::memory_order_relaxed); }

 private:
  Ticker& ticker_;
  int64_t total_;
  std::atomic<int64_t> done_{0};
  std::atomic<bool> stopped_{false};
};

}  // namespace subquad
