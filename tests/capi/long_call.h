/* Calls that last long enough for the callback to be asked, on any machine. */
#ifndef SUBQUAD_TESTS_LONG_CALL_H
#define SUBQUAD_TESTS_LONG_CALL_H

#include "support.h"

/* Attention with ever more queries and keys, from 256 up to 65536, until done(user) is true after a call. Returns the last call's
 * status, which every earlier call must have had as SUBQUAD_OK; fails when done never is true. */
subquad_status attend_until(subquad_context* context, int (*done)(void* user), void* user);

double seconds_now(void);

#endif
