/* What the tests of the C API share: cmocka with its prerequisites, status assertions, array views, problems. */
#ifndef SUBQUAD_TESTS_SUPPORT_H
#define SUBQUAD_TESTS_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "subquad.h"

#ifdef __cplusplus
extern "C" {
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* whether a sanitizer slows the library down and owns the address space */
#endif

/* Fail unless a call returned this status; shows the library's own words. */
#define assert_status(call, expected) check_status((call), (expected), #call, __FILE__, __LINE__)
#define assert_ok(call) assert_status((call), SUBQUAD_OK)
void check_status(subquad_status found, subquad_status expected, const char* call, const char* file, int line);

/* Fail unless the last error of this thread has this text in it. */
#define assert_error_says(text) check_error_says((text), __FILE__, __LINE__)
void check_error_says(const char* text, const char* file, int line);

/* A row-major view. Extents beyond ndim are not read. */
subquad_array row_major(void* data, int32_t dtype, int32_t ndim, const int64_t* shape);
subquad_array vector(void* data, int32_t dtype, int64_t n);
subquad_array matrix(void* data, int32_t dtype, int64_t rows, int64_t columns);
subquad_array stack(void* data, int32_t dtype, int64_t heads, int64_t rows, int64_t columns);

int64_t element_count(const subquad_array* view);
double element(const subquad_array* view, int64_t i0, int64_t i1, int64_t i2, int64_t i3);

/* Random inputs of one attention call in [-1, 1], and its outputs, all row-major. Four dimensions; free it after use. */
typedef struct problem {
  int64_t batch, heads_q, heads_kv, n_q, n_k, d, d_v;
  int32_t dtype;
  subquad_array q, k, v, o, lse;
} problem;
void problem_create(problem* p);
void problem_free(problem* p);

/* The call on a problem, without lag bias, key ranges and report. */
subquad_status attend(subquad_context* context, const subquad_options* options, const problem* p);

/* One head, float32, n queries and keys; for tests that only need some computation. */
problem square_problem(int64_t n, int64_t d);

subquad_context* new_context(void);
subquad_options* new_options(void);
subquad_report* new_report(void);

/* Whether two arrays of one shape, both row-major, hold the same bits. */
int same_bits(const subquad_array* a, const subquad_array* b);

#ifdef __cplusplus
}
#endif

#endif
