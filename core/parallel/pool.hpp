// The threads of one context. The only place that starts threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/parallel/monitor.hpp"

namespace subquad {

// Processors that this process may run on, or SUBQUAD_NUM_THREADS where the environment sets it; throws Error(value) when that is
// not a number in [1, kMaxThreads].
int64_t default_threads();
inline constexpr int64_t kMaxThreads = 1024;

class Pool {
 public:
  // threads: how many work, the caller included. They start at the first run that can use them.
  explicit Pool(int64_t threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int64_t threads() const { return threads_; }

  // body(task, worker) for every task in [0, tasks), started in increasing order; worker < threads() is constant on a thread.
  // Rethrows the first exception of a body after all workers have left. After fork() a child's first run starts new threads.
  using Body = std::function<void(int64_t task, int64_t worker)>;
  void run(int64_t tasks, Monitor& monitor, const Body& body);

 private:
  class Crew;
  void ensure_crew();

  int64_t threads_;
  int64_t process_ = 0;  // the one that the crew's threads live in
  std::unique_ptr<Crew> crew_;
};

}  // namespace subquad
