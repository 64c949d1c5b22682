#include "carry_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t element_bytes(int32_t dtype) { return dtype == SUBQUAD_FLOAT64 || dtype == SUBQUAD_INT64 ? 8 : 4; }

int64_t element_count(const array_spec* spec) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < spec->ndim; ++axis) count *= spec->shape[axis] > 0 ? spec->shape[axis] : 0;
  return count;
}

/* Place in the buffer of the element with a row-major number. */
static int64_t place_of(const array_spec* spec, int64_t number) {
  int64_t place = spec->offset;
  for (int32_t axis = spec->ndim - 1; axis >= 0; --axis) {
    place += number % spec->shape[axis] * spec->strides[axis];
    number /= spec->shape[axis];
  }
  return place;
}

unsigned char* elements_of_buffer(const array_spec* spec) {
  unsigned char* used = calloc((size_t)spec->size + 1, 1);
  if (!used) abort();
  for (int64_t number = 0; number < element_count(spec); ++number) used[place_of(spec, number)] = 1;
  return used;
}

const unsigned char* element_at(const prepared_call* call, size_t array, int64_t number) {
  const array_spec* spec = &call->spec->arrays[array];
  return call->memories[array].base + (size_t)place_of(spec, number) * element_bytes(spec->dtype);
}

static double read_value(const unsigned char* at, int32_t dtype) {
  float single;
  double full;
  int32_t word;
  int64_t wide;
  switch (dtype) {
    case SUBQUAD_FLOAT32:
      memcpy(&single, at, sizeof single);
      return single;
    case SUBQUAD_FLOAT64:
      memcpy(&full, at, sizeof full);
      return full;
    case SUBQUAD_INT32:
      memcpy(&word, at, sizeof word);
      return word;
    default:
      memcpy(&wide, at, sizeof wide);
      return (double)wide;
  }
}

static void write_value(unsigned char* at, int32_t dtype, double value) {
  const float single = (float)value;
  const int32_t word = dtype == SUBQUAD_INT32 && value == value ? (int32_t)value : 0;
  const int64_t wide = dtype == SUBQUAD_INT64 && value == value ? (int64_t)value : 0;
  switch (dtype) {
    case SUBQUAD_FLOAT32:
      memcpy(at, &single, sizeof single);
      break;
    case SUBQUAD_FLOAT64:
      memcpy(at, &value, sizeof value);
      break;
    case SUBQUAD_INT32:
      memcpy(at, &word, sizeof word);
      break;
    default:
      memcpy(at, &wide, sizeof wide);
      break;
  }
}

double value_at(const prepared_call* call, size_t array, int64_t number) {
  return read_value(element_at(call, array, number), call->spec->arrays[array].dtype);
}

/* Fill through a contiguous array, so that a bad view can be filled too. An axis with stride 0 counts once. */
static void fill_elements(const array_spec* spec, unsigned char* base) {
  subquad_array whole = {NULL, spec->dtype, spec->ndim, {0}, {0}};
  int64_t count = 1;
  for (int32_t axis = spec->ndim - 1; axis >= 0; --axis) {
    whole.shape[axis] = spec->strides[axis] == 0 ? 1 : spec->shape[axis];
    whole.strides[axis] = count;
    count *= whole.shape[axis];
  }
  const size_t bytes = element_bytes(spec->dtype);
  if (!(whole.data = malloc((size_t)count * bytes + 1))) abort();
  if (subquad_fill_uniform(&whole, spec->fill->seed, spec->fill->stream, spec->fill->low, spec->fill->high) != SUBQUAD_OK) {
    fprintf(stderr, "%s cannot be filled: %s\n", spec->name, subquad_last_error());
    abort();
  }
  array_spec distinct = *spec;
  memcpy(distinct.shape, whole.shape, sizeof whole.shape);
  for (int64_t number = 0; number < count; ++number)
    memcpy(base + (size_t)place_of(&distinct, number) * bytes, (unsigned char*)whole.data + (size_t)number * bytes, bytes);
  free(whole.data);
}

static void allocate(memory* m, const array_spec* spec) {
  const size_t shift = spec->data == DATA_MISALIGNED ? 1 : 0;
  m->bytes = (size_t)spec->size * element_bytes(spec->dtype) + shift;
  m->allocation = malloc(m->bytes + 1);
  if (!m->allocation) abort();
  memset(m->allocation, 0, m->bytes + 1);
  m->base = m->allocation + shift;
  for (int64_t place = 0; place < spec->size; ++place)
    write_value(m->base + (size_t)place * element_bytes(spec->dtype), spec->dtype, NAN);
}

static void write_input(const array_spec* spec, unsigned char* base) {
  const size_t bytes = element_bytes(spec->dtype);
  if (spec->data == DATA_ONE || spec->data == DATA_NULL) return;
  if (spec->fill) fill_elements(spec, base);
  for (int64_t number = 0; spec->values && number < element_count(spec); ++number)
    write_value(base + (size_t)place_of(spec, number) * bytes, spec->dtype, spec->values[number]);
  for (size_t i = 0; i < spec->set_count; ++i)
    write_value(base + (size_t)place_of(spec, spec->set[i].index) * bytes, spec->dtype, spec->set[i].value);
}

static size_t find(const call_spec* spec, const char* name) {
  size_t array = 0;
  while (array < spec->array_count && strcmp(spec->arrays[array].name, name) != 0) ++array;
  return array;
}

const subquad_array* view(const prepared_call* call, const char* name) {
  const size_t array = find(call->spec, name);
  return array < call->spec->array_count ? &call->views[array] : NULL;
}

static const subquad_array* part(const prepared_call* call, const char* of, int64_t number) {
  char name[32];
  snprintf(name, sizeof name, "%s_parts[%d]", of, (int)number);
  return view(call, name);
}

void prepare(prepared_call* call, const call_spec* spec) {
  memset(call, 0, sizeof *call);
  call->spec = spec;
  for (size_t array = 0; array < spec->array_count; ++array) {
    const array_spec* a = &spec->arrays[array];
    memory* m = &call->memories[array];
    subquad_array* v = &call->views[array];
    allocate(m, a);
    if (!a->is_output) write_input(a, m->base);
    v->data = a->data == DATA_NULL ? NULL : m->base + (size_t)a->offset * element_bytes(a->dtype);
    v->dtype = a->dtype;
    v->ndim = a->ndim;
    memcpy(v->shape, a->shape, sizeof v->shape);
    memcpy(v->strides, a->strides, sizeof v->strides);
    if (!(m->before = malloc(m->bytes + 1))) abort();
    memcpy(m->before, m->allocation, m->bytes);
  }
  for (size_t array = 0; array < spec->array_count; ++array)
    if (spec->arrays[array].same_as) call->views[array].data = call->views[find(spec, spec->arrays[array].same_as)].data;
  if (subquad_report_create(&call->report) != SUBQUAD_OK) abort();
}

void release(prepared_call* call) {
  for (size_t array = 0; array < call->spec->array_count; ++array) {
    free(call->memories[array].allocation);
    free(call->memories[array].before);
  }
  subquad_report_destroy(call->report);
}

static subquad_status apply_settings(const context_spec* spec, subquad_context* context) {
  subquad_status status = SUBQUAD_OK;
  if (spec->threads) status = subquad_context_set_threads(context, *spec->threads);
  if (status == SUBQUAD_OK && spec->workspace_limit)
    status = subquad_context_set_workspace_limit(context, *spec->workspace_limit);
  if (status == SUBQUAD_OK && spec->simd_target) status = subquad_context_set_simd_target(context, spec->simd_target);
  return status;
}

subquad_status make_options(const option_spec* given, size_t count, subquad_options** options_out) {
  subquad_status status = subquad_options_create(options_out);
  for (size_t i = 0; i < count && status == SUBQUAD_OK; ++i) {
    const option_spec* o = &given[i];
    status = o->is_float ? subquad_options_set_float(*options_out, o->id, o->float_value)
                         : subquad_options_set_int(*options_out, o->id, o->int_value);
  }
  return status;
}

static subquad_status merge(const prepared_call* call, subquad_context* context, const subquad_options* options) {
  const call_spec* spec = call->spec;
  subquad_array o_parts[MAX_ARRAYS], lse_parts[MAX_ARRAYS];
  for (int64_t p = 0; p < spec->count; ++p) {
    o_parts[p] = *part(call, "o", p);
    lse_parts[p] = *part(call, "lse", p);
  }
  return subquad_attention_merge(context, options, spec->count, o_parts, lse_parts, view(call, "o"), view(call, "lse"));
}

subquad_status call_function(prepared_call* call, subquad_context* context, const subquad_options* options) {
  const call_spec* spec = call->spec;
  const subquad_array *q = view(call, "q"), *k = view(call, "k"), *v = view(call, "v"), *o = view(call, "o"),
                      *lse = view(call, "lse");
  const subquad_array *lag_bias = view(call, "lag_bias"), *key_ranges = view(call, "key_ranges");
  switch (spec->function) {
    case ATTENTION:
      return subquad_attention(context, options, q, k, v, lag_bias, key_ranges, o, lse, call->report);
    case ATTENTION_BACKWARD:
      return subquad_attention_backward(context, options, q, k, v, lag_bias, key_ranges, o, lse, view(call, "d_o"),
                                        view(call, "dq"), view(call, "dk"), view(call, "dv"), view(call, "d_lag_bias"),
                                        call->report);
    case ATTENTION_MERGE:
      return merge(call, context, options);
    case FILL_UNIFORM:
      return subquad_fill_uniform(view(call, "x"), spec->fill->seed, spec->fill->stream, spec->fill->low, spec->fill->high);
    case LEVERAGE_SCORES:
    case SPARSIFIER_ATTENTION:
    case SPARSIFIER_RATIO_BOUND:
    case SPARSIFIER_SOFTMAX_ERROR:
    case SPARSIFY:
    case SPARSIFY_PAIR:
      return carry_out_sparsify(call, context, options);
    case PLAN_APPLY:
    case PLAN_BACKWARD:
      return carry_out_plan(call, context, options);
    default:
      return carry_out_conv(call, context, options);
  }
}

/* An in-place merge writes to the views of one part; its outputs are then read from there. */
static void join_in_place(prepared_call* call) {
  const int p = call->spec->in_place;
  call->views[find(call->spec, "o")].data = part(call, "o", p)->data;
  call->views[find(call->spec, "lse")].data = part(call, "lse", p)->data;
}

static void take_in_place(prepared_call* call) {
  for (int i = 0; i < 2; ++i) {
    char name[32];
    snprintf(name, sizeof name, "%s_parts[%d]", i ? "lse" : "o", call->spec->in_place);
    memory* written = &call->memories[find(call->spec, name)];
    memory* output = &call->memories[find(call->spec, i ? "lse" : "o")];
    memcpy(output->allocation, written->allocation, output->bytes);
    memcpy(written->allocation, written->before, written->bytes);
  }
}

subquad_status carry_out(prepared_call* call, subquad_context* context, char* message, size_t message_size) {
  const call_spec* spec = call->spec;
  subquad_options* options = NULL;
  if (spec->in_place >= 0) join_in_place(call);
  subquad_status status = apply_settings(&spec->context, context);
  if (status == SUBQUAD_OK) status = make_options(spec->options, spec->option_count, &options);
  const int busy = status == SUBQUAD_OK && spec->context.state == STATE_BUSY;
  if (busy)
    status = carry_out_busy(call, context, options, message, message_size);
  else if (status == SUBQUAD_OK)
    status = call_function(call, spec->context.state == STATE_NULL ? NULL : context, options);
  if (!busy) snprintf(message, message_size, "%s", status == SUBQUAD_OK ? "" : subquad_last_error());
  subquad_options_destroy(options);
  if (spec->in_place >= 0) take_in_place(call);
  return status;
}
