// A place in a fixed order: lets workers add to one sum in the order of their tasks, so that its bits do not depend on who was first.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "core/parallel/monitor.hpp"

namespace subquad {

class Turn {
 public:
  // Wait until `number` turns have been taken. Tasks must be started in the order of their turns: then the earliest never waits.
  void await(int64_t number, Monitor& monitor) const {
    while (taken_.load(std::memory_order_acquire) != number) {
      monitor.advance(0);
      std::this_thread::yield();
    }
  }

  void pass() { taken_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<int64_t> taken_{0};
};

}  // namespace subquad
