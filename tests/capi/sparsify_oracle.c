#include "sparsify_oracle.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static long double inner(const long double* a, const long double* b, int64_t count) {
  long double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

static void turn(long double* a, long double* b, int64_t count, long double cosine, long double sine) {
  for (int64_t i = 0; i < count; ++i) {
    const long double first = a[i], second = b[i];
    a[i] = cosine * first - sine * second;
    b[i] = sine * first + cosine * second;
  }
}

/* Rotate rows until they are orthogonal to each other, where they are not as good as zero. */
static void orthogonalise(long double* rows, int64_t n, int64_t d, long double tolerance) {
  long double largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = fmaxl(largest, inner(rows + i * d, rows + i * d, d));
  const long double nothing = largest * tolerance * tolerance / 16;
  int turned = 1;
  for (int sweep = 0; turned && sweep < 60; ++sweep) {
    turned = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = i + 1; j < n; ++j) {
        long double *a = rows + i * d, *b = rows + j * d;
        const long double aa = inner(a, a, d), bb = inner(b, b, d), ab = inner(a, b, d);
        if (fminl(aa, bb) <= nothing || fabsl(ab) <= 4 * LDBL_EPSILON * sqrtl(aa * bb)) continue;
        const long double zeta = (bb - aa) / (2 * ab), tangent = (zeta >= 0 ? 1 : -1) / (fabsl(zeta) + sqrtl(1 + zeta * zeta));
        const long double cosine = 1 / sqrtl(1 + tangent * tangent);
        turn(a, b, d, cosine, cosine * tangent);
        turned = 1;
      }
    }
  }
}

static long double* copy_of(const long double* x, int64_t count) {
  long double* copy = malloc((size_t)(count + 1) * sizeof *copy);
  assert_non_null(copy);
  if (count > 0) memcpy(copy, x, (size_t)count * sizeof *copy);
  return copy;
}

whitened whiten(const long double* x, int64_t n, int64_t d, long double tolerance) {
  whitened w = {.n = n, .d = d, .x = copy_of(x, n * d), .v = copy_of(x, n * d), .condition = 1};
  for (int64_t i = 0; i < n; ++i) {
    const long double norm = sqrtl(inner(w.v + i * d, w.v + i * d, d));
    for (int64_t j = 0; norm > 0 && j < d; ++j) w.v[i * d + j] /= norm;
  }
  orthogonalise(w.v, n, d, tolerance);
  long double largest = 0, least = 0;
  for (int64_t i = 0; i < n; ++i) largest = fmaxl(largest, sqrtl(inner(w.v + i * d, w.v + i * d, d)));
  for (int64_t i = 0; i < n; ++i) {
    const long double size = sqrtl(inner(w.v + i * d, w.v + i * d, d));
    if (size <= tolerance * largest) continue;
    least = w.rank == 0 ? size : fminl(least, size);
    for (int64_t j = 0; j < d; ++j) w.v[w.rank * d + j] = w.v[i * d + j] / size;
    ++w.rank;
  }
  if (w.rank > 0) w.condition = largest / least;
  return w;
}

void whitened_free(whitened* w) {
  free(w->x);
  free(w->v);
}

long double score_of(const whitened* w, int64_t column) {
  long double sum = 0;
  for (int64_t k = 0; k < w->rank; ++k) sum += w->v[k * w->d + column] * w->v[k * w->d + column];
  return sum;
}

/* The eigenvalues are squares of the singular values of the chosen columns, each times the root of its weight. */
long double certificate_of(const whitened* w, int64_t count, const int64_t* indices, const double* weights) {
  const int64_t r = w->rank;
  long double* chosen = malloc((size_t)(r * count + 1) * sizeof *chosen);
  assert_non_null(chosen);
  for (int64_t k = 0; k < r; ++k)
    for (int64_t c = 0; c < count; ++c) chosen[k * count + c] = sqrtl(weights[c]) * w->v[k * w->d + indices[c]];
  orthogonalise(chosen, r, count, LDBL_EPSILON);
  long double worst = 0;
  for (int64_t k = 0; k < r; ++k) worst = fmaxl(worst, fabsl(inner(chosen + k * count, chosen + k * count, count) - 1));
  free(chosen);
  return worst;
}

long double gram_of(const whitened* w, int64_t i, int64_t j) { return inner(w->x + i * w->d, w->x + j * w->d, w->d); }

long double largest_gram(const whitened* w) {
  long double largest = 0;
  for (int64_t i = 0; i < w->n; ++i) largest = fmaxl(largest, gram_of(w, i, i));
  return largest;
}

long double unit_of(int32_t dtype) { return (dtype == SUBQUAD_FLOAT32 ? FLT_EPSILON : DBL_EPSILON) / 2; }

long double row_error(const whitened* w, long double u) { return (long double)(w->n * (2 * w->d + 7)) * u; }

static long double projection_error(const whitened* w, long double u) {
  return sqrtl((long double)w->n) * row_error(w, u) * w->condition;
}

long double score_budget(const whitened* w, long double u) {
  const long double p = projection_error(w, u);
  return 2 * p + p * p + (long double)(w->rank + 2) * u;
}

long double certificate_budget(const whitened* w, long double u, int64_t width, long double e) {
  const long double p = projection_error(w, u), sums = (long double)((width + w->rank + 4) * w->rank) * u;
  return (1 + e) * (2 * p + p * p + sums);
}

long double barrier_promise(long double c) { return 2 * sqrtl(c) / (c + 1); }
