#include "core/parallel/monitor.hpp"

#include <algorithm>
#include <utility>

#include "core/base/error.hpp"

namespace subquad {

namespace {
// Callers are promised a callback every 50 ms; one piece of work between two looks takes up to about 10.
constexpr auto kInterval = std::chrono::milliseconds(20);
}  // namespace

Monitor::Monitor(Callback callback, int64_t total)
    : callback_(std::move(callback)), due_(Clock::now() + kInterval), total_(std::max<int64_t>(total, 1)) {}

void Monitor::advance(int64_t work) {
  const int64_t done = done_.fetch_add(work, std::memory_order_relaxed) + work;
  if (callback_ && std::this_thread::get_id() == owner_ && Clock::now() >= due_) {
    if (callback_(std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)))) stop();
    due_ = Clock::now() + kInterval;
  }
  if (stopped_.load(std::memory_order_relaxed)) throw Error(Status::err_cancelled, "the callback cancelled the call");
}

}  // namespace subquad
