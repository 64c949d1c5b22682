/* Calls of the functions of conv bases, and of the loss that is trained with them. */
#include <stdlib.h>

#include "carry_out.h"

static subquad_status make(const prepared_call* call, subquad_context* context, const subquad_options* options,
                           subquad_conv_basis** basis_out) {
  switch (call->spec->basis->made_by) {
    case BASIS_CREATE:
      return subquad_conv_basis_create(context, options, view(call, "starts"), view(call, "kernels"), basis_out);
    case BASIS_FROM_DENSE:
      return subquad_conv_basis_from_dense(context, options, view(call, "h"), basis_out);
    case BASIS_RECOVER:
      return subquad_conv_basis_recover(context, options, view(call, "q"), view(call, "k"), basis_out, call->report);
    default:
      return subquad_conv_basis_fit(context, options, view(call, "q"), view(call, "k"), basis_out, call->report);
  }
}

/* A call that fails leaves NULL. */
static void expect_none(const subquad_conv_basis* basis) {
  if (basis != NULL) abort();
}

static subquad_status make_basis(const prepared_call* call, subquad_context* context, subquad_conv_basis** basis_out) {
  const basis_spec* spec = call->spec->basis;
  subquad_options* options = NULL;
  subquad_status status = make_options(spec->options, spec->option_count, &options);
  if (status == SUBQUAD_OK) {
    *basis_out = (subquad_conv_basis*)(void*)&options;
    status = make(call, context, options, basis_out);
    if (status != SUBQUAD_OK) expect_none(*basis_out);
  }
  subquad_options_destroy(options);
  if (status != SUBQUAD_OK || !spec->exp) return status;
  subquad_conv_basis* plain = *basis_out;
  status = subquad_conv_basis_exp(context, plain, basis_out);
  if (status != SUBQUAD_OK) expect_none(*basis_out);
  subquad_conv_basis_destroy(plain);
  return status;
}

static subquad_status use_basis(prepared_call* call, subquad_context* context, const subquad_options* options,
                                const subquad_conv_basis* basis) {
  const subquad_array *v = view(call, "v"), *x = view(call, "x"), *y = view(call, "y");
  switch (call->spec->function) {
    case CONV_BASIS_APPLY:
      return subquad_conv_basis_apply(context, options, basis, v, view(call, "o"), view(call, "lse"), call->report);
    case CONV_BASIS_APPLY_TRANSPOSED:
      return subquad_conv_basis_apply_transposed(context, options, basis, x, y, call->report);
    case CONV_BASIS_BACKWARD:
      return subquad_conv_basis_backward(context, options, basis, view(call, "q"), view(call, "k"), v, view(call, "d_o"),
                                         view(call, "dq"), view(call, "dk"), view(call, "dv"), call->report);
    case CONV_BASIS_GET:
      return subquad_conv_basis_get(basis, options, view(call, "starts_out"), view(call, "kernels_out"));
    case CONV_BASIS_MULTIPLY:
      return subquad_conv_basis_multiply(context, options, basis, x, y, call->report);
    case CONV_BASIS_MULTIPLY_TRANSPOSED:
      return subquad_conv_basis_multiply_transposed(context, options, basis, x, y, call->report);
    default:
      return subquad_conv_basis_to_dense(context, basis, view(call, "h_out"));
  }
}

subquad_status carry_out_conv(prepared_call* call, subquad_context* context, const subquad_options* options) {
  if (call->spec->function == ATTENTION_LOSS) {
    const subquad_array* loss = view(call, "loss");
    return subquad_attention_loss(context, options, view(call, "a1"), view(call, "a2"), view(call, "a3"), view(call, "x"),
                                  view(call, "y"), view(call, "e"), loss ? loss->data : NULL, view(call, "grad_x"), call->report);
  }
  subquad_conv_basis* basis = NULL;
  subquad_status status = make_basis(call, context, &basis);
  if (status == SUBQUAD_OK) status = use_basis(call, context, options, call->spec->basis->state == STATE_NULL ? NULL : basis);
  subquad_conv_basis_destroy(basis);
  return status;
}
