/* What the two translation units of the language tests share. Compiled as C99, C11 and C++17: no later construct here. */
#ifndef SUBQUAD_TESTS_LANGUAGE_H
#define SUBQUAD_TESTS_LANGUAGE_H

#include "subquad.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fill a view with 0.5; the library's version, or -1 when that failed. */
int64_t second_unit(const subquad_array* view);

#ifdef __cplusplus
}
#endif

#endif
