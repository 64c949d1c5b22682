#include "core/parallel/pool.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/base/error.hpp"

namespace subquad {

namespace {

// One run: tasks are handed out by a counter; the first exception wins.
class Job {
 public:
  Job(int64_t tasks, Monitor& monitor, const Pool::Body& body) : tasks_(tasks), monitor_(monitor), body_(body) {}

  void work(int64_t worker) noexcept {
    try {
      for (int64_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) body_(task, worker);
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fail(std::exception_ptr error) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = std::move(error);
    next_.store(tasks_, std::memory_order_relaxed);
    monitor_.stop();
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const int64_t tasks_;
  Monitor& monitor_;
  const Pool::Body& body_;
  std::atomic<int64_t> next_{0};
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

class Pool::Crew {
 public:
  explicit Crew(int64_t workers) {
    threads_.reserve(static_cast<size_t>(workers));
    try {
      for (int64_t worker = 1; worker <= workers; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
    } catch (const std::system_error& error) {
      const size_t started = threads_.size();
      dismiss();
      throw Error(Status::err_threads, "thread " + std::to_string(started + 1) + " of " + std::to_string(workers) +
                                           " could not be started: " + error.what());
    } catch (...) {
      dismiss();
      throw;
    }
  }
  ~Crew() { dismiss(); }

  void run(Job& job, Monitor& monitor) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      ++generation_;
    }
    start_.notify_all();
    job.work(0);
    std::unique_lock<std::mutex> lock(mutex_);
    job_ = nullptr;  // who wakes late has nothing to do
    while (!left_.wait_for(lock, std::chrono::milliseconds(10), [this] { return busy_ == 0; })) {
      lock.unlock();
      try {
        monitor.advance(0);
      } catch (...) {
        job.fail(std::current_exception());
      }
      lock.lock();
    }
  }

 private:
  void serve(int64_t worker) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      start_.wait(lock, [&] { return dismissed_ || generation_ != seen; });
      if (dismissed_) return;
      seen = generation_;
      if (job_ == nullptr) continue;
      Job& job = *job_;
      ++busy_;
      lock.unlock();
      job.work(worker);
      lock.lock();
      if (--busy_ == 0) left_.notify_one();
    }
  }

  void dismiss() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      dismissed_ = true;
    }
    start_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::mutex mutex_;
  std::condition_variable start_, left_;
  Job* job_ = nullptr;
  uint64_t generation_ = 0;
  int64_t busy_ = 0;
  bool dismissed_ = false;
  std::vector<std::thread> threads_;
};

Pool::Pool(int64_t threads) : threads_(threads) {}

// The threads of a crew stay behind when a process forks: the child can neither join them nor trust their mutex, so it lets go of
// the crew's memory instead.
Pool::~Pool() {
  if (process_ != getpid()) static_cast<void>(crew_.release());
}

void Pool::ensure_crew() {
  if (process_ != getpid()) {
    static_cast<void>(crew_.release());
    process_ = getpid();
  }
  if (!crew_) crew_ = std::make_unique<Crew>(threads_ - 1);
}

void Pool::run(int64_t tasks, Monitor& monitor, const Body& body) {
  Job job(tasks, monitor, body);
  if (threads_ == 1 || tasks <= 1) {
    job.work(0);
  } else {
    ensure_crew();
    crew_->run(job, monitor);
  }
  job.rethrow();
}

int64_t default_threads() {
  if (const char* text = std::getenv("SUBQUAD_NUM_THREADS"); text != nullptr && *text != '\0') {
    char* end = nullptr;
    errno = 0;
    const long long threads = std::strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || threads < 1 || threads > kMaxThreads) {
      throw Error(Status::err_value, "SUBQUAD_NUM_THREADS is \"" + std::string(text) + "\", not a number in [1, " +
                                         std::to_string(kMaxThreads) + "]");
    }
    return threads;
  }
  int64_t processors = static_cast<int64_t>(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) processors = CPU_COUNT(&set);
#endif
  return std::clamp<int64_t>(processors, 1, kMaxThreads);
}

}  // namespace subquad
