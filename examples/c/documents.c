/* Representative documents: x holds how often each word stands in each of many short documents, and x x' which words go together. A few
 * documents with weights keep that picture, to within a factor that is measured, and the rare topic keeps its place in it. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <subquad.h>

enum { words = 120, topics = 12, per_topic = words / topics, documents = 40000, length = 8, chosen = 2000, rare = 4000 };
static float draws[documents][length]; /* uniform in [0, 1) */
static int32_t offsets[documents + 1], word_of[documents * length];
static float counts[documents * length]; /* one for each word as it stands: places named twice add up */
static double pairs[words][words], kept[words][words];
static float y[words][chosen];

/* One document in `rare` is about the last topic; two words of each document are from anywhere. */
static int topic_of(int document) { return document % rare == 0 ? topics - 1 : document % (topics - 1); }

static void write_documents(void) {
  for (int j = 0; j < documents; ++j) {
    for (int i = 0; i < length; ++i) {
      const int about = (int)(draws[j][i] * per_topic) + topic_of(j) * per_topic, any = (int)(draws[j][i] * (words - per_topic));
      word_of[j * length + i] = i < length - 2 ? about : any;
      counts[j * length + i] = 1;
    }
    offsets[j + 1] = offsets[j] + length;
  }
}

static void count_pairs(void) {
  for (int j = 0; j < documents; ++j)
    for (int a = 0; a < length; ++a)
      for (int b = 0; b < length; ++b) ++pairs[word_of[j * length + a]][word_of[j * length + b]];
  for (int a = 0; a < words; ++a)
    for (int b = 0; b < words; ++b)
      for (int c = 0; c < chosen; ++c) kept[a][b] += (double)y[a][c] * y[b][c];
}

/* Largest |y y' - x x'| of two words, in units of the root of how often each stands with itself. */
static double largest_error(void) {
  double worst = 0;
  for (int a = 0; a < words; ++a)
    for (int b = 0; b < words; ++b) worst = fmax(worst, fabs(kept[a][b] - pairs[a][b]) / sqrt(pairs[a][a] * pairs[b][b]));
  return worst;
}

int main(void) {
  static int64_t indices[chosen];
  const subquad_array random = {draws, SUBQUAD_FLOAT32, 2, {documents, length}, {length, 1}},
                      numbers = {indices, SUBQUAD_INT64, 1, {chosen}, {1}},
                      columns = {y, SUBQUAD_FLOAT32, 2, {words, chosen}, {chosen, 1}};
  const subquad_sparse view = {offsets,     word_of,         counts,        words, documents, (int64_t)documents * length,
                               SUBQUAD_CSC, SUBQUAD_FLOAT32, SUBQUAD_INT32, 0};
  subquad_context* context = NULL;
  subquad_options* options = NULL;
  subquad_matrix* x = NULL;
  subquad_sparsifier* sparsifier = NULL;
  double epsilon = 0;
  if (subquad_fill_uniform(&random, 1, 0, 0.0, 1.0) == SUBQUAD_OK) write_documents();
  if (subquad_context_create(&context) || subquad_options_create(&options) || subquad_matrix_from_sparse(&view, &x) ||
      subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_COLUMNS, chosen) ||
      subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, SUBQUAD_CERTIFICATE_EXACT) ||
      subquad_sparsify(context, options, x, &sparsifier, NULL) || subquad_sparsifier_get(sparsifier, &numbers, NULL, &columns) ||
      subquad_sparsifier_certificate(sparsifier, &epsilon, NULL, NULL)) {
    fprintf(stderr, "%s\n", subquad_last_error());
    return 1;
  }
  int about_rare = 0;
  for (int i = 0; i < chosen; ++i) about_rare += topic_of((int)indices[i]) == topics - 1;
  count_pairs();
  const double error = largest_error();
  printf("%d of %d documents represent all, e = %.3f; pairs of words are off by %.3f at most\n", chosen, documents, epsilon,
         error);
  printf("%d of the %d documents on the rare topic are among them\n", about_rare, documents / rare);
  subquad_sparsifier_destroy(sparsifier);
  subquad_matrix_destroy(x);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
  return error <= epsilon + 1e-5 ? 0 : 1; /* float32 weights, over sums of up to `chosen` terms */
}
