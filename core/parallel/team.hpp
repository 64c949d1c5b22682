// Who works on the stages of one head: all threads of the pool, or one of its workers alone while others take other heads.
#pragma once

#include <cstdint>

#include "core/parallel/monitor.hpp"
#include "core/parallel/pool.hpp"

namespace subquad {

class Team {
 public:
  Team(Pool& pool, Monitor& monitor) : pool_(&pool), monitor_(monitor) {}
  explicit Team(Monitor& monitor) : pool_(nullptr), monitor_(monitor) {}

  int64_t size() const { return pool_ != nullptr ? pool_->threads() : 1; }
  Monitor& monitor() const { return monitor_; }

  // body(task, member) for every task in [0, tasks), member < size().
  template <class Body>
  void run(int64_t tasks, const Body& body) const {
    if (pool_ != nullptr && tasks > 1) {
      pool_->run(tasks, monitor_, body);
    } else {
      for (int64_t task = 0; task < tasks; ++task) body(task, int64_t{0});
    }
  }

 private:
  Pool* pool_;
  Monitor& monitor_;
};

}  // namespace subquad
