/* Faults that C cannot make by itself: memory that runs out at a chosen allocation, a callback that throws. */
#ifndef SUBQUAD_TESTS_FAULTS_H
#define SUBQUAD_TESTS_FAULTS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Let this many allocations of operator new succeed, in all threads together, and every later one fail. */
void faults_allow_allocations(int64_t count);
void faults_allow_all_allocations(void);

/* A subquad_callback that sets the int behind user to 1 and throws a C++ exception. */
int32_t faults_throwing_callback(void* user, double fraction);

#ifdef __cplusplus
}
#endif

#endif
