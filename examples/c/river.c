/* River flow from rain: each day's rain runs off over the following weeks, faster in the wet season than in the dry one.
 *   flow = H rain,   H[i,j] = response of day j's season after i - j days
 * H has a conv basis with one kernel per season. The product in close to linear time is checked against the sum written out. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <subquad.h>

enum { days = 20 * 365, seasons = 40 };
static double rain[days], flow[days];
static double responses[seasons][days]; /* only the first days - starts[s] entries of a row are read */
static int64_t starts[seasons];

static subquad_array column(double* data) { return (subquad_array){data, SUBQUAD_FLOAT64, 2, {days, 1}, {1, 1}}; }

static void make_seasons(void) {
  for (int s = 0; s < seasons; ++s) {
    starts[s] = (int64_t)s * days / seasons;
    const double half_life = s % 2 == 0 ? 4.0 : 15.0; /* days */
    for (int t = 0; t < days; ++t) responses[s][t] = log(2.0) / half_life * exp2(-t / half_life);
  }
}

static double flow_by_definition(int i) {
  double sum = 0;
  for (int s = 0; s < seasons; ++s) {
    const int64_t end = s + 1 < seasons ? starts[s + 1] : days;
    for (int64_t j = starts[s]; j < end && j <= i; ++j) sum += responses[s][i - j] * rain[j];
  }
  return sum;
}

int main(void) {
  const subquad_array first_days = {starts, SUBQUAD_INT64, 1, {seasons}, {1}},
                      kernels = {responses, SUBQUAD_FLOAT64, 2, {seasons, days}, {days, 1}}, in = column(rain),
                      out = column(flow);
  subquad_context* context = NULL;
  subquad_options* options = NULL;
  subquad_conv_basis* basis = NULL;
  make_seasons();
  if (subquad_fill_uniform(&in, 1, 0, 0.0, 10.0) || subquad_context_create(&context) || subquad_options_create(&options) ||
      subquad_options_set_int(options, SUBQUAD_OPTION_CUMULATIVE, 1) || /* rows are the responses, not their differences */
      subquad_conv_basis_create(context, options, &first_days, &kernels, &basis) ||
      subquad_conv_basis_multiply(context, NULL, basis, &in, &out, NULL)) {
    fprintf(stderr, "%s\n", subquad_last_error());
    return 1;
  }
  double worst = 0;
  for (int i = 0; i < days; i += 101) worst = fmax(worst, fabs(flow[i] - flow_by_definition(i)));
  printf("flow of the last day %.6f mm, largest difference from the definition %.1e mm\n", flow[days - 1], worst);
  subquad_conv_basis_destroy(basis);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
  return worst < 1e-12 * days ? 0 : 1; /* round-off of sums of up to `days` terms */
}
