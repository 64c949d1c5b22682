/* Selections do not change with the threads of BLAS and LAPACK, whose last bits do: on generic data nothing discrete hangs on them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sparsified.h"

enum { ROWS = 128, COLUMNS = 2500, CHOSEN = 220, PRINTED = 1 << 16 };

/* As a program of its own, started with this argument: prints the columns chosen by each method. */
static const char print_argument[] = "--print-selections";

static int print_selections(void) {
  subquad_context* context = new_context();
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    sparsify_problem p = new_problem(GENERIC, ROWS, COLUMNS, dtype, 12);
    for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_DETERMINISTIC; ++method) {
      subquad_options* options = sparsify_options(method, CHOSEN);
      sparsified s = sparsify_stored(context, options, &p, COLUMN_MAJOR);
      for (int64_t c = 0; c < s.m; ++c) printf("%" PRId64 " ", s.indices[c]);
      printf("\n");
      sparsified_free(&s);
      subquad_options_destroy(options);
    }
    sparsify_problem_free(&p);
  }
  subquad_context_destroy(context);
  return fflush(stdout) != 0;
}

static void read_selections(const char* threads, char* text) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    setenv("OPENBLAS_NUM_THREADS", threads, 1);
    execl("/proc/self/exe", "capi_blas_threads", print_argument, (char*)NULL);
    _exit(1);
  }
  close(ends[1]);
  size_t length = 0;
  for (ssize_t got = 1; got > 0 && length < PRINTED - 1; length += (size_t)got) {
    got = read(ends[0], text + length, PRINTED - 1 - length);
    assert_true(got >= 0);
  }
  text[length] = '\0';
  close(ends[0]);
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_one_thread_and_two(void** state) {
  (void)state;
#ifdef __SANITIZE_THREAD__
  skip(); /* OpenBLAS's own threads wait for one another in ways that the sanitizer does not see. */
#endif
  static char one[PRINTED], two[PRINTED];
  read_selections("1", one);
  read_selections("2", two);
  assert_true(strlen(one) > 4 * CHOSEN);
  assert_string_equal(one, two);
}

int main(int count, char** arguments) {
  if (count == 2 && strcmp(arguments[1], print_argument) == 0) return print_selections();
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_thread_and_two)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
