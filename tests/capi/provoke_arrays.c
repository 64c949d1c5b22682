/* Codes of the tens 2x: arrays. Each spoils one array of a good call. */
#include "provocations.h"

#include <math.h>

static subquad_status attend_spoilt(void (*spoil)(problem*)) {
  subquad_context* context = new_context();
  problem p = square_problem(6, 4), spoilt = p;
  spoil(&spoilt);
  const subquad_status status = attend(context, NULL, &spoilt);
  problem_free(&p);
  subquad_context_destroy(context);
  return status;
}

static void spoil_shape(problem* p) { p->k.shape[3] = 3; }
static void spoil_dtype(problem* p) { p->v.dtype = SUBQUAD_INT32; }
static void spoil_stride(problem* p) { p->o.strides[2] = 0; }
static void spoil_alias(problem* p) { p->o.data = p->v.data; }
static void spoil_finite(problem* p) { ((float*)p->k.data)[4 * 2 + 1] = NAN; }

/* Rows of 32 bytes, 2^62 of them. */
static void spoil_size(problem* p) {
  p->q.shape[2] = p->o.shape[2] = p->lse.shape[2] = (int64_t)1 << 62;
  p->q.strides[2] = p->o.strides[2] = 8;
}

/* Finite, but their product is above the greatest float. */
static void spoil_magnitude(problem* p) {
  assert_ok(subquad_fill_uniform(&p->q, 0, 0, 1e30, 2e30));
  assert_ok(subquad_fill_uniform(&p->k, 0, 0, 1e30, 2e30));
}

subquad_status provoke_shape(void) { return attend_spoilt(spoil_shape); }
subquad_status provoke_dtype(void) { return attend_spoilt(spoil_dtype); }
subquad_status provoke_stride(void) { return attend_spoilt(spoil_stride); }
subquad_status provoke_alias(void) { return attend_spoilt(spoil_alias); }
subquad_status provoke_nonfinite(void) { return attend_spoilt(spoil_finite); }
subquad_status provoke_size(void) { return attend_spoilt(spoil_size); }
subquad_status provoke_overflow(void) { return attend_spoilt(spoil_magnitude); }
