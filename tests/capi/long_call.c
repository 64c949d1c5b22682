#include "long_call.h"

#include <time.h>

subquad_status attend_until(subquad_context* context, int (*done)(void* user), void* user) {
  for (int64_t n = 256; n <= 65536; n *= 2) {
    problem p = square_problem(n, 64);
    const subquad_status status = attend(context, NULL, &p);
    problem_free(&p);
    if (done(user)) return status;
    assert_ok(status);
  }
  fail_msg("no call lasted long enough");
  return SUBQUAD_OK;
}

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
