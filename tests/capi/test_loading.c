/* Two copies of the library in one process, as when two languages embed it; other runtimes beside it; fork. */
#include "support.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 300, D = 16, ROWS = 48, COLUMNS = 2000 };

/* What the tests call, found by name: this program is not linked with the library. */
#define FUNCTIONS(DO)                                                                                            \
  DO(context_create)                                                                                             \
  DO(context_destroy)                                                                                            \
  DO(context_set_threads) DO(last_error) DO(fill_uniform) DO(attention) DO(matrix_from_dense) DO(matrix_destroy) \
      DO(leverage_scores) DO(options_create) DO(options_set_int) DO(options_destroy) DO(conv_basis_fit) DO(conv_basis_destroy)

typedef struct library {
  void* handle;
#define MEMBER(name) __typeof__(&subquad_##name) name;
  FUNCTIONS(MEMBER)
#undef MEMBER
} library;

static void find(void* handle, const char* name, void* function_out) {
  void* address = dlsym(handle, name);
  if (address == NULL) print_error("%s\n", dlerror());
  assert_non_null(address);
  memcpy(function_out, &address, sizeof address); /* ISO C has no cast from data to functions */
}

static library functions_of(void* handle) {
  if (handle == NULL) print_error("%s\n", dlerror());
  assert_non_null(handle);
  library l = {.handle = handle};
#define FIND(name) find(handle, "subquad_" #name, &l.name);
  FUNCTIONS(FIND)
#undef FIND
  return l;
}

static library open_library(const char* path) { return functions_of(dlopen(path, RTLD_NOW | RTLD_LOCAL)); }

/* A copy of a file under another name, which the loader takes for another library. */
typedef struct copy {
  char path[64];
} copy;

static copy copy_file(const char* from) {
  copy made = {"/tmp/subquad_loading_XXXXXX"};
  const int to = mkstemp(made.path);
  FILE* file = fopen(from, "rb");
  assert_true(to >= 0);
  assert_non_null(file);
  static char buffer[1 << 16];
  for (size_t got = 1; got > 0;) {
    got = fread(buffer, 1, sizeof buffer, file);
    assert_int_equal(write(to, buffer, got), got);
  }
  fclose(file);
  close(to);
  return made;
}

typedef struct results {
  float o[N * D];
  double scores[COLUMNS];
} results;

static float queries[N * D];
static double columns[ROWS * COLUMNS];

static subquad_array row_major_view(void* data, int32_t dtype, int64_t rows, int64_t width) {
  const subquad_array view = {data, dtype, 2, {rows, width}, {width, 1}};
  return view;
}

static void make_inputs(const library* l) {
  const subquad_array q = row_major_view(queries, SUBQUAD_FLOAT32, N, D),
                      x = row_major_view(columns, SUBQUAD_FLOAT64, ROWS, COLUMNS);
  assert_int_equal(l->fill_uniform(&q, 1, 0, -1, 1), SUBQUAD_OK);
  assert_int_equal(l->fill_uniform(&x, 1, 1, -1, 1), SUBQUAD_OK);
}

/* Attention, and scores by LAPACK, in a context of its own. No cmocka: it also runs in threads and in children. */
static int compute(const library* l, int64_t threads, results* out) {
  const subquad_array q = row_major_view(queries, SUBQUAD_FLOAT32, N, D), o = row_major_view(out->o, SUBQUAD_FLOAT32, N, D),
                      x = row_major_view(columns, SUBQUAD_FLOAT64, ROWS, COLUMNS);
  const subquad_array scores = {out->scores, SUBQUAD_FLOAT64, 1, {COLUMNS}, {1}};
  subquad_context* context = NULL;
  subquad_matrix* source = NULL;
  const int failed = l->context_create(&context) || l->context_set_threads(context, threads) ||
                     l->matrix_from_dense(&x, &source) || l->attention(context, NULL, &q, &q, &q, NULL, NULL, &o, NULL, NULL) ||
                     l->leverage_scores(context, NULL, source, &scores, NULL);
  l->matrix_destroy(source);
  l->context_destroy(context);
  return failed;
}

typedef struct task {
  const library* l;
  results* out;
  int failed;
} task;

static void* compute_often(void* user) {
  task* t = user;
  for (int i = 0; i < 5 && !t->failed; ++i) t->failed = compute(t->l, 2, t->out);
  return NULL;
}

/* Fits of many lengths, each in a context of its own, which plans transforms anew. */
static void* fit_often(void* user) {
  task* t = user;
  const library* l = t->l;
  subquad_options* options = NULL;
  t->failed = l->options_create(&options) || l->options_set_int(options, SUBQUAD_OPTION_BASES, 2);
  for (int64_t n = 20; n < N && !t->failed; ++n) {
    const subquad_array q = row_major_view(queries, SUBQUAD_FLOAT32, n, 2);
    subquad_context* context = NULL;
    subquad_conv_basis* basis = NULL;
    t->failed = l->context_create(&context) || l->conv_basis_fit(context, options, &q, &q, &basis, NULL);
    l->conv_basis_destroy(basis);
    l->context_destroy(context);
  }
  l->options_destroy(options);
  return NULL;
}

typedef struct two {
  library first, second;
  copy file;
} two;

static two open_two(void) {
  two t;
  t.file = copy_file(SUBQUAD_LIBRARY_PATH);
  t.first = open_library(SUBQUAD_LIBRARY_PATH);
  t.second = open_library(t.file.path);
  assert_ptr_not_equal(t.first.handle, t.second.handle);
  assert_true(t.first.attention != t.second.attention);
  make_inputs(&t.first);
  return t;
}

static void close_two(two* t) {
  assert_int_equal(dlclose(t->second.handle), 0);
  assert_int_equal(dlclose(t->first.handle), 0);
  unlink(t->file.path);
}

static void test_each_copy_has_its_own_last_error(void** state) {
  (void)state;
  two t = open_two();
  assert_int_equal(t.first.context_create(NULL), SUBQUAD_ERR_NULL);
  assert_string_not_equal(t.first.last_error(), "");
  assert_string_equal(t.second.last_error(), "");
  assert_int_equal(t.second.context_set_threads(NULL, 1), SUBQUAD_ERR_NULL);
  assert_string_not_equal(t.first.last_error(), t.second.last_error());
  close_two(&t);
}

static void test_two_copies_at_the_same_time(void** state) {
  (void)state;
  static results expected, found[2];
  two t = open_two();
  assert_int_equal(compute(&t.first, 2, &expected), 0);
  task tasks[2] = {{&t.first, &found[0], 0}, {&t.second, &found[1], 0}};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) assert_int_equal(pthread_create(&threads[i], NULL, compute_often, &tasks[i]), 0);
  for (int i = 0; i < 2; ++i) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(tasks[i].failed, 0);
    assert_memory_equal(&found[i], &expected, sizeof expected);
  }
  close_two(&t);
}

static void test_two_copies_plan_transforms_at_the_same_time(void** state) {
  (void)state;
  two t = open_two();
  task tasks[2] = {{&t.first, NULL, 0}, {&t.second, NULL, 0}};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) assert_int_equal(pthread_create(&threads[i], NULL, fit_often, &tasks[i]), 0);
  for (int i = 0; i < 2; ++i) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(tasks[i].failed, 0);
  }
  close_two(&t);
}

static void test_one_copy_goes_on_when_the_other_is_closed(void** state) {
  (void)state;
  static results expected, found;
  two t = open_two();
  assert_int_equal(compute(&t.second, 2, &expected), 0);
  assert_int_equal(compute(&t.first, 2, &found), 0);
  assert_int_equal(dlclose(t.first.handle), 0);
  assert_int_equal(compute(&t.second, 2, &found), 0);
  assert_memory_equal(&found, &expected, sizeof expected);
  t.first = open_library(SUBQUAD_LIBRARY_PATH);
  assert_int_equal(compute(&t.first, 2, &found), 0);
  assert_memory_equal(&found, &expected, sizeof expected);
  close_two(&t);
}

/* Thread sanitizer ends a child that starts threads where its parent had some: it still counts those as alive. */
#if !defined(__SANITIZE_THREAD__)
static void test_both_copies_after_fork(void** state) {
  (void)state;
  static results expected, found;
  two t = open_two();
  assert_int_equal(compute(&t.first, 2, &expected), 0);
  assert_int_equal(compute(&t.second, 2, &found), 0);
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    for (int i = 0; i < 2; ++i) {
      memset(&found, 0, sizeof found);
      if (compute(i == 0 ? &t.first : &t.second, 2, &found) || memcmp(&found, &expected, sizeof found) != 0) _exit(1);
    }
    _exit(0);
  }
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_int_equal(compute(&t.second, 2, &found), 0);
  assert_memory_equal(&found, &expected, sizeof expected);
  close_two(&t);
}
#endif

/* In a namespace of its own a library has its own C library, BLAS and FFTW, too. Sanitizers cannot be in one twice. */
#if !SANITIZED
static void test_a_copy_in_its_own_namespace(void** state) {
  (void)state;
  static results expected, found;
  library first = open_library(SUBQUAD_LIBRARY_PATH), second = functions_of(dlmopen(LM_ID_NEWLM, SUBQUAD_LIBRARY_PATH, RTLD_NOW));
  make_inputs(&first);
  assert_int_equal(compute(&first, 2, &expected), 0);
  assert_int_equal(compute(&second, 2, &found), 0);
  assert_memory_equal(&found, &expected, sizeof expected);
  assert_int_equal(compute(&first, 2, &found), 0);
  assert_memory_equal(&found, &expected, sizeof expected);
  assert_int_equal(dlclose(second.handle), 0);
  assert_int_equal(dlclose(first.handle), 0);
}
#endif

typedef struct search {
  const char* name;
  char path[4096];
} search;

static int match(struct dl_phdr_info* info, size_t size, void* user) {
  (void)size;
  search* s = user;
  if (strstr(info->dlpi_name, s->name) == NULL) return 0;
  snprintf(s->path, sizeof s->path, "%s", info->dlpi_name);
  return 1;
}

/* A runtime with threads: how to set and to read their number. */
typedef struct runtime {
  void (*set)(int);
  int (*get)(void);
} runtime;

static runtime find_runtime(void* handle, const char* setter, const char* getter) {
  runtime r;
  find(handle, setter, &r.set);
  find(handle, getter, &r.get);
  return r;
}

static void expect_threads_kept(const library* l, runtime r, int threads) {
  static results found;
  const int before = r.get();
  r.set(threads);
  assert_int_equal(r.get(), threads);
  assert_int_equal(compute(l, 3, &found), 0);
  assert_int_equal(r.get(), threads);
  r.set(before);
}

/* The OpenBLAS that the library itself uses, which a program may use as well, and another one. */
static void test_thread_counts_of_openblas_are_kept(void** state) {
  (void)state;
  library l = open_library(SUBQUAD_LIBRARY_PATH);
  make_inputs(&l);
  search own = {.name = "libopenblas"};
  if (dl_iterate_phdr(match, &own) == 0) skip(); /* another BLAS, or one that is linked in */
  const copy file = copy_file(own.path);
  void* shared = dlopen(own.path, RTLD_NOW | RTLD_LOCAL);
  void* other = dlopen(file.path, RTLD_NOW | RTLD_LOCAL);
  assert_ptr_not_equal(shared, other);
  const runtime runtimes[] = {find_runtime(shared, "openblas_set_num_threads", "openblas_get_num_threads"),
                              find_runtime(other, "openblas_set_num_threads", "openblas_get_num_threads")};
  for (size_t i = 0; i < COUNT(runtimes); ++i) {
    expect_threads_kept(&l, runtimes[i], 1);
    expect_threads_kept(&l, runtimes[i], 2);
  }
  dlclose(other);
  dlclose(shared);
  dlclose(l.handle);
  unlink(file.path);
}

static void test_the_thread_count_of_openmp_is_kept(void** state) {
  (void)state;
  void* gomp = dlopen("libgomp.so.1", RTLD_NOW | RTLD_LOCAL);
  if (gomp == NULL) skip();
  library l = open_library(SUBQUAD_LIBRARY_PATH);
  make_inputs(&l);
  const runtime r = find_runtime(gomp, "omp_set_num_threads", "omp_get_max_threads");
  expect_threads_kept(&l, r, 1);
  expect_threads_kept(&l, r, 5);
  dlclose(l.handle);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_each_copy_has_its_own_last_error),
    cmocka_unit_test(test_two_copies_at_the_same_time),
    cmocka_unit_test(test_two_copies_plan_transforms_at_the_same_time),
    cmocka_unit_test(test_one_copy_goes_on_when_the_other_is_closed),
#if !defined(__SANITIZE_THREAD__)
    cmocka_unit_test(test_both_copies_after_fork),
#endif
#if !SANITIZED
    cmocka_unit_test(test_a_copy_in_its_own_namespace),
#endif
    cmocka_unit_test(test_thread_counts_of_openblas_are_kept),
    cmocka_unit_test(test_the_thread_count_of_openmp_is_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
