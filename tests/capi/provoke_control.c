/* Codes that need a callback: BUSY, CANCELLED, INTERNAL. */
#include "faults.h"
#include "long_call.h"
#include "provocations.h"

static int is_set(void* user) { return *(const int*)user; }

static int32_t cancel(void* user, double fraction) {
  (void)fraction;
  *(int*)user = 1;
  return 1;
}

subquad_status provoke_cancelled(void) {
  int asked = 0;
  subquad_context* context = new_context();
  assert_ok(subquad_context_set_callback(context, cancel, &asked));
  const subquad_status status = attend_until(context, is_set, &asked);
  subquad_context_destroy(context);
  return status;
}

subquad_status provoke_internal(void) {
  int asked = 0;
  subquad_context* context = new_context();
  assert_ok(subquad_context_set_callback(context, faults_throwing_callback, &asked));
  const subquad_status status = attend_until(context, is_set, &asked);
  subquad_context_destroy(context);
  return status;
}

typedef struct nested {
  int asked;
  subquad_context* context;
  subquad_status status;
} nested;

static int32_t call_again(void* user, double fraction) {
  (void)fraction;
  nested* n = user;
  problem p = square_problem(2, 2);
  n->asked = 1;
  n->status = attend(n->context, NULL, &p);
  problem_free(&p);
  return 0;
}

static int was_asked(void* user) { return ((const nested*)user)->asked; }

subquad_status provoke_busy(void) {
  nested n = {0, new_context(), SUBQUAD_OK};
  assert_ok(subquad_context_set_callback(n.context, call_again, &n));
  assert_ok(attend_until(n.context, was_asked, &n));
  subquad_context_destroy(n.context);
  return n.status;
}
