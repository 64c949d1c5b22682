// The threads of a context: every task once, exceptions, cancellation, order.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/base/error.hpp"
#include "core/parallel/pool.hpp"
#include "core/parallel/turn.hpp"

using namespace subquad;

TEST_CASE("every task runs exactly once, for any number of threads and tasks") {
  for (const int64_t threads : {1, 2, 4}) {
    Pool pool(threads);
    for (const int64_t tasks : {0, 1, 2, 3, 100}) {
      Ticker ticker({});
      Monitor monitor(ticker, tasks);
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
      pool.run(tasks, monitor, [&](int64_t task, int64_t worker) {
        CHECK(worker < threads);
        ++runs[static_cast<size_t>(task)];
      });
      for (const auto& count : runs) CHECK(count == 1);
    }
  }
}

TEST_CASE("an exception of a body reaches the caller and stops the others") {
  Pool pool(3);
  for (int repeat = 0; repeat < 20; ++repeat) {
    Ticker ticker({});
    Monitor monitor(ticker, 1);
    const auto body = [&](int64_t task, int64_t) {
      if (task == 5) throw std::runtime_error("task 5");
      if (task > 5) {
        for (;;) monitor.advance(0);
      }
    };
    CHECK_THROWS_WITH_AS(pool.run(1000, monitor, body), "task 5", std::runtime_error);
  }
}

TEST_CASE("the callback runs on the calling thread, sees progress that never falls, and cancels") {
  Pool pool(2);
  const auto caller = std::this_thread::get_id();
  double last = 0;
  int calls = 0;
  Ticker ticker([&](double fraction) {
    CHECK((std::this_thread::get_id() == caller));
    CHECK(fraction >= last);
    CHECK(fraction <= 1);
    last = fraction;
    return ++calls == 3;
  });
  Monitor monitor(ticker, 10000);
  try {
    pool.run(10000, monitor, [&](int64_t, int64_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      monitor.advance(1);
    });
    FAIL("was not cancelled");
  } catch (const Error& error) {
    CHECK(error.status() == Status::err_cancelled);
  }
  CHECK(calls == 3);
}

TEST_CASE("an exception of the callback reaches the caller while other workers are still busy") {
  Pool pool(2);
  Ticker ticker([](double) -> bool { throw std::runtime_error("callback"); });
  Monitor monitor(ticker, 1);
  const auto body = [&](int64_t, int64_t) {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      monitor.advance(0);
    }
  };
  CHECK_THROWS_WITH_AS(pool.run(2, monitor, body), "callback", std::runtime_error);
}

TEST_CASE("turns are taken in the order of the tasks") {
  Pool pool(4);
  Ticker ticker({});
  Monitor monitor(ticker, 1);
  Turn turn;
  std::vector<int64_t> order;
  pool.run(200, monitor, [&](int64_t task, int64_t) {
    turn.await(task, monitor);
    order.push_back(task);
    turn.pass();
  });
  for (size_t i = 0; i < order.size(); ++i) CHECK(order[i] == static_cast<int64_t>(i));
  CHECK(order.size() == 200);
}
