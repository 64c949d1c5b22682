#include "conv_calls.h"

#include <string.h>

enum { HEADS = 2, N = 5, D = 1, D_V = 2, BASES = 2, WIDTH = 3 };

static const struct {
  const char* name;
  int32_t ndim;
  int64_t shape[SUBQUAD_MAX_NDIM];
} shapes[ARGUMENTS] = {
    [STARTS] = {"starts", 2, {HEADS, BASES}},
    [KERNELS] = {"kernels", 3, {HEADS, BASES, N}},
    [H] = {"h", 3, {HEADS, N, N}},
    [Q] = {"q", 3, {HEADS, N, D}},
    [K] = {"k", 3, {HEADS, N, D}},
    [V] = {"v", 3, {HEADS, N, D_V}},
    [X] = {"x", 3, {HEADS, N, D_V}},
    [D_O] = {"d_o", 3, {HEADS, N, D_V}},
    [A1] = {"a1", 2, {N, WIDTH}},
    [A2] = {"a2", 2, {N, WIDTH}},
    [A3] = {"a3", 2, {N, WIDTH}},
    [WEIGHTS] = {"x", 2, {WIDTH, WIDTH}},
    [Y_OF_LOSS] = {"y", 2, {WIDTH, D_V}},
    [E] = {"e", 2, {N, D_V}},
    [STARTS_OUT] = {"starts", 3, {1, HEADS, BASES}},
    [KERNELS_OUT] = {"kernels", 4, {1, HEADS, BASES, N}},
    [H_OUT] = {"h", 3, {HEADS, N, N}},
    [O] = {"o", 3, {HEADS, N, D_V}},
    [LSE] = {"lse", 2, {HEADS, N}},
    [Y] = {"y", 3, {HEADS, N, D_V}},
    [DQ] = {"dq", 3, {HEADS, N, D}},
    [DK] = {"dk", 3, {HEADS, N, D}},
    [DV] = {"dv", 3, {HEADS, N, D_V}},
    [GRAD_X] = {"grad_x", 2, {WIDTH, WIDTH}},
};

const char* argument_name(argument a) { return shapes[a].name; }

static subquad_conv_basis** result(conv_call* c) { return c->lacks_basis_out ? NULL : &c->basis_out; }

static subquad_status create(conv_call* c) {
  return subquad_conv_basis_create(c->context, c->options, c->given[STARTS], c->given[KERNELS], result(c));
}
static subquad_status from_dense(conv_call* c) {
  return subquad_conv_basis_from_dense(c->context, c->options, c->given[H], result(c));
}
static subquad_status recover(conv_call* c) {
  return subquad_conv_basis_recover(c->context, c->options, c->given[Q], c->given[K], result(c), c->report);
}
static subquad_status fit(conv_call* c) {
  return subquad_conv_basis_fit(c->context, c->options, c->given[Q], c->given[K], result(c), c->report);
}
static subquad_status exponentials(conv_call* c) { return subquad_conv_basis_exp(c->context, c->basis, result(c)); }
static subquad_status describe(conv_call* c) { return subquad_conv_basis_describe(c->basis, &c->views[KERNELS]); }
static subquad_status get(conv_call* c) {
  return subquad_conv_basis_get(c->basis, c->options, c->given[STARTS_OUT], c->given[KERNELS_OUT]);
}
static subquad_status to_dense(conv_call* c) { return subquad_conv_basis_to_dense(c->context, c->basis, c->given[H_OUT]); }
static subquad_status multiply(conv_call* c) {
  return subquad_conv_basis_multiply(c->context, c->options, c->basis, c->given[X], c->given[Y], c->report);
}
static subquad_status multiply_transposed(conv_call* c) {
  return subquad_conv_basis_multiply_transposed(c->context, c->options, c->basis, c->given[X], c->given[Y], c->report);
}
static subquad_status apply(conv_call* c) {
  return subquad_conv_basis_apply(c->context, c->options, c->basis, c->given[V], c->given[O], c->given[LSE], c->report);
}
static subquad_status apply_transposed(conv_call* c) {
  return subquad_conv_basis_apply_transposed(c->context, c->options, c->basis, c->given[X], c->given[Y], c->report);
}
static subquad_status backward(conv_call* c) {
  const subquad_array* const* a = c->given;
  return subquad_conv_basis_backward(c->context, c->options, c->basis, a[Q], a[K], a[V], a[D_O], a[DQ], a[DK], a[DV], c->report);
}
static subquad_status attention(conv_call* c) {
  const subquad_array* const* a = c->given;
  return subquad_attention(c->context, c->options, a[Q], a[K], a[V], NULL, NULL, a[O], a[LSE], c->report);
}
static subquad_status loss(conv_call* c) {
  const subquad_array* const* a = c->given;
  return subquad_attention_loss(c->context, c->options, a[A1], a[A2], a[A3], a[WEIGHTS], a[Y_OF_LOSS], a[E], c->loss_out,
                                a[GRAD_X], c->report);
}

/* name, function, arguments, how many, how many of them optional, takes a context, takes a basis, makes one. */
const conv_function conv_functions[CONV_FUNCTIONS] = {
    {"create", create, {STARTS, KERNELS}, 2, 0, 1, 0, 1},
    {"from_dense", from_dense, {H}, 1, 0, 1, 0, 1},
    {"recover", recover, {Q, K}, 2, 0, 1, 0, 1},
    {"fit", fit, {Q, K}, 2, 0, 1, 0, 1},
    {"exp", exponentials, {0}, 0, 0, 1, 1, 1},
    {"describe", describe, {0}, 0, 0, 0, 1, 0},
    {"get", get, {STARTS_OUT, KERNELS_OUT}, 2, 2, 0, 1, 0},
    {"to_dense", to_dense, {H_OUT}, 1, 0, 1, 1, 0},
    {"multiply", multiply, {X, Y}, 2, 0, 1, 1, 0},
    {"multiply_transposed", multiply_transposed, {X, Y}, 2, 0, 1, 1, 0},
    {"apply", apply, {V, O, LSE}, 3, 1, 1, 1, 0},
    {"apply_transposed", apply_transposed, {X, Y}, 2, 0, 1, 1, 0},
    {"backward", backward, {Q, K, V, D_O, DQ, DK, DV}, 7, 3, 1, 1, 0},
    {"attention", attention, {0}, 0, 0, 1, 0, 0}, /* its arrays are spoilt in test_errors.c */
    {"loss", loss, {A1, A2, A3, WEIGHTS, Y_OF_LOSS, E, GRAD_X}, 7, 1, 1, 0, 0},
};

const conv_function* conv_function_named(const char* name) {
  for (int i = 0; i < CONV_FUNCTIONS; ++i)
    if (strcmp(conv_functions[i].name, name) == 0) return &conv_functions[i];
  fail_msg("no function %s", name);
  return NULL;
}

static void set_options(subquad_options* options) {
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_CONV_BASIS));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CUMULATIVE, 1));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BASES, BASES));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CONV_WINDOW, 2));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_CONV_DELTA, 2));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BACKWARD, SUBQUAD_METHOD_CONV_BASIS));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, 1));
}

/* Queries of 1, keys of 1 and then of 3: two bases, 2 |3 - 1| = 4 apart. a1 and a2 are so too. */
static void fill_structured(conv_call* c) {
  for (int i = 0; i < HEADS * N; ++i) {
    c->memory[Q][i] = 1;
    c->memory[K][i] = i % N < 2 ? 1 : 3;
  }
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < WIDTH; ++j) {
      c->memory[A1][i * WIDTH + j] = 1;
      c->memory[A2][i * WIDTH + j] = i < 2 ? 1 : 3;
    }
  }
  for (int i = 0; i < WIDTH * WIDTH; ++i) c->memory[WEIGHTS][i] = 0.25;
}

void conv_call_create(conv_call* c, subquad_context* context) {
  memset(c, 0, sizeof *c);
  c->context = context;
  c->options = new_options();
  c->report = new_report();
  c->loss_out = &c->loss;
  set_options(c->options);
  for (int a = 0; a < ARGUMENTS; ++a) {
    const int integers = a == STARTS || a == STARTS_OUT;
    c->views[a] = row_major(c->memory[a], integers ? SUBQUAD_INT64 : SUBQUAD_FLOAT64, shapes[a].ndim, shapes[a].shape);
    c->given[a] = &c->views[a];
    if (!integers) assert_ok(subquad_fill_uniform(&c->views[a], 17, (uint64_t)a, -1, 1));
  }
  const int64_t starts[HEADS * BASES] = {0, 2, 1, 4};
  memcpy(c->memory[STARTS], starts, sizeof starts);
  for (int h = 0; h < HEADS; ++h)
    for (int i = 0; i < N; ++i)
      for (int j = i + 1; j < N; ++j) c->memory[H][(h * N + i) * N + j] = 0;
  fill_structured(c);
  assert_ok(create(c));
  c->basis = c->basis_out;
  c->basis_out = NULL;
}

void conv_call_free(conv_call* c) {
  subquad_conv_basis_destroy((subquad_conv_basis*)(uintptr_t)c->basis);
  subquad_options_destroy(c->options);
  subquad_report_destroy(c->report);
}

subquad_status conv_run(const conv_function* function, conv_call* c) {
  c->basis_out = function->makes_basis ? (subquad_conv_basis*)(void*)c : NULL; /* must be overwritten */
  const subquad_status status = function->run(c);
  if (function->makes_basis && !c->lacks_basis_out) {
    if (status == SUBQUAD_OK) assert_non_null(c->basis_out);
    if (status != SUBQUAD_OK) assert_null(c->basis_out);
    subquad_conv_basis_destroy(c->basis_out);
  }
  c->basis_out = NULL;
  return status;
}
