#include "sweep.h"

#include <string.h>

#include "faults.h"

int64_t sweep(subquad_status (*action)(void* user), void* user) {
  for (int64_t allowed = 0; allowed < 10000; ++allowed) {
    faults_allow_allocations(allowed);
    const subquad_status status = action(user);
    faults_allow_all_allocations();
    if (status == SUBQUAD_OK) return allowed;
    assert_status(status, SUBQUAD_ERR_MEMORY);
    assert_true(strlen(subquad_last_error()) > 0);
  }
  fail_msg("still no success with 10000 allocations");
  return -1;
}
