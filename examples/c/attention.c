#include <stdio.h>
#include <subquad.h>

enum { n = 1000, d = 64 };
static float data[4][n * d]; /* q, k, v, o */

int main(void) {
  subquad_array x[4];
  for (int i = 0; i < 4; ++i) {
    x[i] = (subquad_array){data[i], SUBQUAD_FLOAT32, 2, {n, d}, {d, 1}};
    subquad_fill_uniform(&x[i], 1, (uint64_t)i, -1.0, 1.0); /* seed 1, stream i, low, high */
  }
  subquad_context* context = NULL;
  subquad_options* options = NULL;
  if (subquad_context_create(&context) || subquad_options_create(&options) ||
      subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1) ||
      subquad_attention(context, options, &x[0], &x[1], &x[2], NULL, NULL, &x[3], NULL, NULL)) {
    fprintf(stderr, "%s\n", subquad_last_error());
    return 1;
  }
  printf("%.9g\n", data[3][n * d - 1]);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
}
