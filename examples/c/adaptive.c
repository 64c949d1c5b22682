/* Attention to a tolerance: a head that attends to keys close by, and in one row to a single key far away. A plan finds what matters
 * once; it then serves any values, here two sets of them, at the share of the pairs that its report names. Every pair is looked at: of a
 * sample of the rows, the one that needs a far key would hardly be among them. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <subquad.h>

enum { n = 8192, d = 64, needle = 1234, asker = 7000 };
static const double tol = 0.05;
static float q[n][d], k[n][d], v[n][d], planned[n][d], exact[n][d];

static subquad_array view(void* data) { return (subquad_array){data, SUBQUAD_FLOAT32, 2, {n, d}, {d, 1}}; }

/* Columns that turn with the position at several speeds, so that inner products fall with the distance; the rest stays noise. */
static void write_structure(void) {
  for (int i = 0; i < n; ++i) {
    for (int f = 0; f < 16; ++f) {
      q[i][2 * f] = k[i][2 * f] = 3 * cosf(i * exp2f(-0.5f * f));
      q[i][2 * f + 1] = k[i][2 * f + 1] = 3 * sinf(i * exp2f(-0.5f * f));
    }
  }
  for (int c = 32; c < d; ++c) q[asker][c] = k[needle][c] = 8;
}

/* Relative Frobenius error of what the plan gave, in these rows. */
static double error(int first, int last) {
  double difference = 0, size = 0;
  for (int i = first; i <= last; ++i) {
    for (int c = 0; c < d; ++c) {
      difference += pow(planned[i][c] - exact[i][c], 2);
      size += pow(exact[i][c], 2);
    }
  }
  return sqrt(difference / size);
}

static int fails(subquad_status status) {
  if (status != SUBQUAD_OK) fprintf(stderr, "%s\n", subquad_last_error());
  return status != SUBQUAD_OK;
}

int main(void) {
  const subquad_array queries = view(q), keys = view(k), values = view(v), o = view(planned), reference = view(exact);
  subquad_context* context = NULL;
  subquad_options *causal = NULL, *options = NULL;
  subquad_report* report = NULL;
  subquad_plan* plan = NULL;
  if (fails(subquad_fill_uniform(&queries, 1, 0, -1.0, 1.0)) || fails(subquad_fill_uniform(&keys, 1, 1, -1.0, 1.0)) ||
      fails(subquad_fill_uniform(&values, 1, 2, -1.0, 1.0)))
    return 1;
  write_structure();
  if (fails(subquad_context_create(&context)) || fails(subquad_options_create(&causal)) ||
      fails(subquad_options_create(&options)) || fails(subquad_report_create(&report)) ||
      fails(subquad_options_set_int(causal, SUBQUAD_OPTION_CAUSAL, 1)) ||
      fails(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1)) ||
      fails(subquad_options_set_float(options, SUBQUAD_OPTION_TOL, tol)) ||
      fails(subquad_options_set_int(options, SUBQUAD_OPTION_ESTIMATE, SUBQUAD_ESTIMATE_SCREENED)) ||
      fails(subquad_plan_create(context, options, &queries, &keys, &values, NULL, NULL, &plan, NULL)))
    return 1;
  double worst = 0;
  for (uint64_t stream = 2; stream < 4; ++stream) {
    int64_t pairs = 0, low = 0, in_full = 0;
    double estimate = 0;
    const char* parts = NULL;
    if (fails(subquad_fill_uniform(&values, 1, stream, -1.0, 1.0)) ||
        fails(subquad_plan_apply(context, NULL, plan, &values, &o, NULL, report)) ||
        fails(subquad_attention(context, causal, &queries, &keys, &values, NULL, NULL, &reference, NULL, NULL)) ||
        fails(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS, 0, &pairs)) ||
        fails(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS_LOW, 0, &low)) ||
        fails(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS_EXACT, 0, &in_full)) ||
        fails(subquad_report_get_float(report, SUBQUAD_REPORT_ERROR, 0, &estimate)) ||
        fails(subquad_report_get_string(report, SUBQUAD_REPORT_PARTS, 0, &parts)))
      return 1;
    const double share = (double)(low + in_full) / (double)pairs;
    printf("%s, %.1f %% of the pairs: error %.4f, estimated %.4f, in row %d %.4f\n", parts, 100 * share, error(0, n - 1),
           estimate, asker, error(asker, asker));
    worst = fmax(worst, fmax(error(0, n - 1), error(asker, asker)));
  }
  subquad_plan_destroy(plan);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
  subquad_options_destroy(causal);
  subquad_context_destroy(context);
  return worst <= 1.25 * tol ? 0 : 1; /* what a tolerance means: docs/adaptive.md */
}
