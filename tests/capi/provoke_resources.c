/* Codes of the tens 3x that the machine gives: MEMORY, WORKSPACE, THREADS. */
#include <pthread.h>

#include "faults.h"
#include "provocations.h"

subquad_status provoke_memory(void) {
  subquad_context* context = new_context();
  problem p = square_problem(64, 8);
  faults_allow_allocations(0);
  const subquad_status status = attend(context, NULL, &p);
  faults_allow_all_allocations();
  problem_free(&p);
  subquad_context_destroy(context);
  return status;
}

subquad_status provoke_workspace(void) {
  subquad_context* context = new_context();
  problem p = square_problem(64, 8);
  assert_ok(subquad_context_set_workspace_limit(context, 1));
  const subquad_status status = attend(context, NULL, &p);
  problem_free(&p);
  subquad_context_destroy(context);
  return status;
}

/* A new thread asks for a stack larger than any address space, so the system refuses it, whoever runs this. */
subquad_status provoke_threads(void) {
  pthread_attr_t usual, huge;
  assert_int_equal(pthread_getattr_default_np(&usual), 0);
  assert_int_equal(pthread_attr_init(&huge), 0);
  assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 60), 0);
  subquad_context* context = new_context();
  problem p = square_problem(1000, 8);
  assert_ok(subquad_context_set_threads(context, 2));
  assert_int_equal(pthread_setattr_default_np(&huge), 0);
  const subquad_status status = attend(context, NULL, &p);
  assert_int_equal(pthread_setattr_default_np(&usual), 0);
  assert_ok(attend(context, NULL, &p));
  problem_free(&p);
  subquad_context_destroy(context);
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&usual);
  return status;
}
