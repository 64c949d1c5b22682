/* One of the two translation units. */
#include <stdio.h>

#include "generated_functions.h"
#include "language.h"

int main(void) {
  float data[2] = {0.0f, 0.0f};
  static subquad_array view; /* all zero, in each of the languages */
  const size_t count = sizeof(generated_functions) / sizeof(generated_functions[0]);
  size_t i;
  for (i = 0; i < count; ++i) {
    if (generated_functions[i] == 0) return 1;
  }
  view.data = data;
  view.dtype = SUBQUAD_FLOAT32;
  view.ndim = 1;
  view.shape[0] = 2;
  view.strides[0] = 1;
  if (second_unit(&view) != SUBQUAD_VERSION_NUMBER) return 2;
  if (data[0] != 0.5f || data[1] != 0.5f) return 3;
  printf("%lu functions linked\n", (unsigned long)count);
  return 0;
}
