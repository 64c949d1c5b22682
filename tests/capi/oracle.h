/* Attention by its definition, in long double, and the comparison of a result with it. */
#ifndef SUBQUAD_TESTS_ORACLE_H
#define SUBQUAD_TESTS_ORACLE_H

#include "support.h"

/* What a call of subquad_attention may be given beyond its arrays. offset: query i stands at position i + offset. */
typedef struct settings {
  int causal;
  int64_t offset, key_offset, lag_min;
  double scale;                   /* 0 means 1/sqrt(d) */
  const subquad_array* lag_bias;  /* NULL or [H_q or 1, L], float64 or float32 */
  const int64_t (*key_ranges)[2]; /* NULL or one (start, end) per batch element */
} settings;

/* The call that the settings describe. */
subquad_status attend_with(subquad_context* context, const problem* p, const settings* s);

/* Fail unless o and lse of the problem are within round-off of the definition. */
void assert_is_attention(const problem* p, const settings* s);

#endif
