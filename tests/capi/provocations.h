/* One real call for each status code. */
#ifndef SUBQUAD_TESTS_PROVOCATIONS_H
#define SUBQUAD_TESTS_PROVOCATIONS_H

#include "support.h"

/* Each returns what the library returned. */
subquad_status provoke_ok(void);
subquad_status provoke_null(void);
subquad_status provoke_value(void);
subquad_status provoke_unknown(void);
subquad_status provoke_type(void);
subquad_status provoke_unset(void);
subquad_status provoke_conflict(void);
subquad_status provoke_shape(void);
subquad_status provoke_dtype(void);
subquad_status provoke_stride(void);
subquad_status provoke_alias(void);
subquad_status provoke_nonfinite(void);
subquad_status provoke_size(void);
subquad_status provoke_overflow(void);
subquad_status provoke_memory(void);
subquad_status provoke_workspace(void);
subquad_status provoke_busy(void);
subquad_status provoke_threads(void);
subquad_status provoke_cancelled(void);
subquad_status provoke_unsupported(void);
subquad_status provoke_internal(void);

#endif
