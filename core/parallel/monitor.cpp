#include "core/parallel/monitor.hpp"

#include <algorithm>
#include <utility>

#include "core/base/error.hpp"

namespace subquad {

namespace {
// Callers are promised a callback every 50 ms; one piece of work between two looks takes up to about 10.
constexpr auto kInterval = std::chrono::milliseconds(20);
}  // namespace

Ticker::Ticker(Callback callback) : callback_(std::move(callback)), due_(Clock::now() + kInterval) {}

bool Ticker::ask(double fraction) {
  highest_ = std::max(highest_, fraction);  // stages that only prepare or check report 0
  const bool cancel = callback_(highest_);
  due_ = Clock::now() + kInterval;
  return cancel;
}

void Monitor::advance(int64_t work) {
  const int64_t done = done_.fetch_add(work, std::memory_order_relaxed) + work;
  if (!stopped_.load(std::memory_order_relaxed) && ticker_.due()) {
    const double fraction = total_ > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 0.0;
    if (ticker_.ask(fraction)) stop();
  }
  if (stopped_.load(std::memory_order_relaxed)) throw Error(Status::err_cancelled, "the callback cancelled the call");
}

}  // namespace subquad
