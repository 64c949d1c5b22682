/* Carrying out a call of the tables through the C API. */
#ifndef SUBQUAD_CONFORMANCE_CARRY_OUT_H
#define SUBQUAD_CONFORMANCE_CARRY_OUT_H

#include "tables.h"

enum { MAX_ARRAYS = 16 };

/* The memory of one array of a call. */
typedef struct memory {
  unsigned char* allocation;
  unsigned char* base; /* first element of the buffer */
  size_t bytes;
  unsigned char* before; /* copy of the allocation, taken before the call */
} memory;

typedef struct prepared_call {
  const call_spec* spec;
  memory memories[MAX_ARRAYS];
  subquad_array views[MAX_ARRAYS];
  subquad_report* report;
} prepared_call;

/* Allocate and fill the arrays: inputs as the table says, the rest of every buffer with NaN. */
void prepare(prepared_call* call, const call_spec* spec);
void release(prepared_call* call);

/* Carry out the function. The context may be NULL; options and context settings of the table are applied first.
 * The first status that is not SUBQUAD_OK is returned, its text copied to message. */
subquad_status carry_out(prepared_call* call, subquad_context* context, char* message, size_t message_size);

/* The same for the functions of conv bases and the loss: makes the basis that the call names, calls the function, destroys it. */
subquad_status carry_out_conv(prepared_call* call, subquad_context* context, const subquad_options* options);

/* The same for leverage scores and sparsifiers: makes the matrices, the sparsifier, and asks it for the call's outputs. */
subquad_status carry_out_sparsify(prepared_call* call, subquad_context* context, const subquad_options* options);

/* The same for plans: makes the plan that the call names, calls the function, destroys it. */
subquad_status carry_out_plan(prepared_call* call, subquad_context* context, const subquad_options* options);

/* Whichever of these the function asks for. */
subquad_status call_function(prepared_call* call, subquad_context* context, const subquad_options* options);

/* The same with the context in use: from inside another call on it, which would clear the text of the error. */
subquad_status carry_out_busy(prepared_call* call, subquad_context* context, const subquad_options* options, char* message,
                              size_t message_size);

/* New options with these set; the caller destroys them, after a failure too. */
subquad_status make_options(const option_spec* given, size_t count, subquad_options** options_out);

/* The view of an argument, NULL where the call does not give it. */
const subquad_array* view(const prepared_call* call, const char* name);

size_t element_bytes(int32_t dtype);

/* Number of elements of an array, and the element with a flat row-major number: where it lies, and its value. */
int64_t element_count(const array_spec* spec);
const unsigned char* element_at(const prepared_call* call, size_t array, int64_t number);
double value_at(const prepared_call* call, size_t array, int64_t number);

/* Whether a byte of the array's buffer belongs to an element: one flag per element of the buffer, to be freed. */
unsigned char* elements_of_buffer(const array_spec* spec);

#endif
