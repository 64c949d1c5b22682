/* The other translation unit: uses the types and functions of the header on what the first one made. */
#include "language.h"
/* The header a second time, through its include guard. */
#include "subquad.h"

int64_t second_unit(const subquad_array* view) {
  const subquad_status status = subquad_fill_uniform(view, 0, 0, 0.5, 0.5);
  return status == SUBQUAD_OK ? subquad_version() : -1;
}
