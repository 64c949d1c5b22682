/* Memory that runs out at the first, the second, .. allocation of an action. */
#ifndef SUBQUAD_TESTS_SWEEP_H
#define SUBQUAD_TESTS_SWEEP_H

#include "support.h"

/* Repeat the action, letting one allocation more succeed each time, until it needs no more; until then it must return MEMORY with a text.
 * Returns how many allocations the action makes. */
int64_t sweep(subquad_status (*action)(void* user), void* user);

#endif
