/* subquad: softmax attention on the CPU, with an error that is measured and reported.
 *
 * This header is the reference manual of the library. Its parts, in order:
 *   1. Linkage                 2. Status codes, last error   3. Version and constants
 *   4. Arrays                  5. Contexts                   6. Options
 *   7. Reports                 8. Attention                  9. Conv-basis attention
 *   10. Sparsifiers            11. Adaptive attention     12. Partial results         13. Test data
 *
 * Notation (docs/math/notation.md): q is n_q x d, k is n_k x d, v is n_k x d_v, o is n_q x d_v, per head.
 *   logit    s[i,j] = scale <q[i,:], k[j,:]> + lag_bias[lag - lag_min]
 *   weights  A[i,j] = exp(s[i,j]) where query i sees key j, 0 elsewhere
 *   output   o[i,:] = sum_j A[i,j] v[j,:] / sum_j A[i,j],    lse[i] = log(sum_j A[i,j])
 *   Query i stands at position i + c (c = causal_offset), key j at position j + key_offset; their lag is
 *   (i + c) - (j + key_offset). Causal: query i sees the keys with lag >= 0. A query that sees no key has o = 0, lse = -inf.
 *
 * Conventions that hold for every function:
 *   - Results go to trailing `*_out` arguments or to arrays named in the comment as written. The return value is a
 *     subquad_status, 0 on success; the functions that cannot fail say so.
 *   - Every handle is created by a `_create` and released by the `_destroy` of its type; destroying NULL does nothing.
 *   - A call that fails changes no handle and no input. Failing in validation it writes no output either; failing later
 *     (MEMORY, THREADS, CANCELLED, OVERFLOW, INTERNAL) it leaves the outputs unspecified.
 *   - The library prints nothing, ends no process, throws nothing, and changes no other library's settings. Its only
 *     global state is FFTW's planner, which it makes safe for all threads of the process, those of other users of FFTW too.
 *   - Sizes are int64_t. No macro changes the ABI: the precision of a call is the dtype of its arrays.
 *   - Functions that take no context may be called from any thread at any time, on distinct or read-only handles. */
#ifndef SUBQUAD_H
#define SUBQUAD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 1. Linkage ---------------------------------------------------------------------------------------------- */

#if defined(_WIN32)
#if defined(SUBQUAD_BUILDING)
#define SUBQUAD_API __declspec(dllexport)
#else
#define SUBQUAD_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define SUBQUAD_API __attribute__((visibility("default")))
#else
#define SUBQUAD_API
#endif

/* ---- 2. Status codes and the last error ---------------------------------------------------------------------- */

/* What every function returns. Codes are pinned and never reused. */
typedef int32_t subquad_status;

/* generated from capi/tables/status.toml: begin */
enum {
  /* success */
  SUBQUAD_OK = 0,
  /* a required pointer or handle is null */
  SUBQUAD_ERR_NULL = 10,
  /* an argument's value is out of range */
  SUBQUAD_ERR_VALUE = 11,
  /* no option, report key, constant or SIMD target has this id or name */
  SUBQUAD_ERR_UNKNOWN = 12,
  /* an option or report value has another type than the one asked for */
  SUBQUAD_ERR_TYPE = 13,
  /* the option or report value has not been set */
  SUBQUAD_ERR_UNSET = 14,
  /* two arguments or options contradict each other, or one needs another that is not given */
  SUBQUAD_ERR_CONFLICT = 15,
  /* an array has the wrong number of dimensions or the wrong extent */
  SUBQUAD_ERR_SHAPE = 20,
  /* an array has a data type that is not accepted here */
  SUBQUAD_ERR_DTYPE = 21,
  /* an output array's strides may make two of its elements share memory, or an array's data is misaligned */
  SUBQUAD_ERR_STRIDE = 22,
  /* an output array overlaps another argument */
  SUBQUAD_ERR_ALIAS = 23,
  /* an input array holds a NaN or an infinity */
  SUBQUAD_ERR_NONFINITE = 24,
  /* a size overflows the address space */
  SUBQUAD_ERR_SIZE = 25,
  /* a logit, a sum of weighted values or a gradient overflows the arrays' data type */
  SUBQUAD_ERR_OVERFLOW = 26,
  /* memory could not be allocated */
  SUBQUAD_ERR_MEMORY = 30,
  /* the call needs more workspace than the context's limit */
  SUBQUAD_ERR_WORKSPACE = 31,
  /* the context is in use by another call */
  SUBQUAD_ERR_BUSY = 32,
  /* a thread could not be started */
  SUBQUAD_ERR_THREADS = 33,
  /* the callback asked for the call to be cancelled */
  SUBQUAD_ERR_CANCELLED = 40,
  /* this combination is not supported in this version */
  SUBQUAD_ERR_UNSUPPORTED = 50,
  /* an unforeseen fault inside the library or an exception thrown by a callback */
  SUBQUAD_ERR_INTERNAL = 90,
};
/* generated: end */

/* Name of a status code without its prefix ("ERR_SHAPE"), "UNKNOWN" for a number that is none.
 * Owns:    the text is static.
 * Errors:  cannot fail.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API const char* subquad_status_name(subquad_status status);

/* One general sentence about a status code, 0 included.
 * Owns:    the text is static.
 * Errors:  cannot fail.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API const char* subquad_status_message(subquad_status status);

/* What went wrong in the last call of this thread that failed, naming the argument and its value; "" if none has.
 * Owns:    the text belongs to the library and holds until this thread's next failing call: copy it.
 * Errors:  cannot fail.
 * Threads: each thread has its own.
 * Since:   0.1 */
SUBQUAD_API const char* subquad_last_error(void);

/* ---- 3. Version and constants -------------------------------------------------------------------------------- */

/* generated from capi/tables/version.toml: begin */
#define SUBQUAD_VERSION_MAJOR 0
#define SUBQUAD_VERSION_MINOR 1
#define SUBQUAD_VERSION_PATCH 0
#define SUBQUAD_VERSION_NUMBER 1000
#define SUBQUAD_VERSION_STRING "0.1.0"
/* generated: end */

/* Version of the library that was loaded: SUBQUAD_VERSION_NUMBER of its header, major * 1000000 + minor * 1000 + patch.
 * Within one major version (and, while major is 0, one minor version) newer libraries serve programs built with older headers.
 * Owns:    nothing.
 * Errors:  cannot fail.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API int64_t subquad_version(void);

/* The same version as text, "major.minor.patch".
 * Owns:    the text is static.
 * Errors:  cannot fail.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API const char* subquad_version_string(void);

/* Value of a named constant of this header as the loaded library knows it: the function twin of every enumerator and
 * numeric macro, for bindings that check at load time that both agree. name: "SUBQUAD_ERR_SHAPE" and so on.
 * Owns:    nothing is kept.
 * Errors:  SUBQUAD_ERR_NULL; SUBQUAD_ERR_UNKNOWN when no constant has this name.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_constant(const char* name, int64_t* value_out);

/* The index-th constant, 0 <= index < number of constants: its name and value, in the order of this header.
 * Owns:    the name is static.
 * Errors:  SUBQUAD_ERR_NULL; SUBQUAD_ERR_VALUE when index is out of range (which ends an enumeration).
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_constant_at(int64_t index, const char** name_out, int64_t* value_out);

/* ---- 4. Arrays ----------------------------------------------------------------------------------------------- */

/* generated from capi/tables/dtypes.toml: begin */
enum {
  SUBQUAD_FLOAT32 = 1, /* IEEE 754 single precision */
  SUBQUAD_FLOAT64 = 2, /* IEEE 754 double precision */
  SUBQUAD_INT32 = 3,   /* signed 32-bit integer */
  SUBQUAD_INT64 = 4,   /* signed 64-bit integer */
};
/* generated: end */

#define SUBQUAD_MAX_NDIM 4
#define SUBQUAD_MAX_THREADS 1024

/* A view of an array that the caller owns: 80 bytes, fixed for ever (on platforms with 64-bit pointers).
 * Element (i0, i1, ..) lies at data + (i0 * strides[0] + i1 * strides[1] + ..) * size of an element.
 * Inputs may have any strides: zero (broadcast) and negative (reversed) included. Elements must be aligned to their size.
 * Outputs must not make two elements share memory: each axis must step over all that the axes of smaller stride cover. An
 * output's extent (the addresses from its first element to its last) must not overlap that of another argument, except where a
 * function says so; interleaved outputs are refused. data may be NULL when the array has no elements; its other extents then
 * multiply to 2^24 at most (SUBQUAD_ERR_SIZE), since time and memory grow with rows even where they hold nothing. */
typedef struct subquad_array {
  void* data;
  int32_t dtype;                     /* SUBQUAD_FLOAT32 .. */
  int32_t ndim;                      /* 1 .. SUBQUAD_MAX_NDIM */
  int64_t shape[SUBQUAD_MAX_NDIM];   /* entries beyond ndim are ignored */
  int64_t strides[SUBQUAD_MAX_NDIM]; /* in elements */
} subquad_array;

/* ---- 5. Contexts --------------------------------------------------------------------------------------------- */

/* Where a computation runs: its threads, SIMD target, memory limit and callback. One call at a time may use a context; a
 * second one, from another thread or from the callback, returns SUBQUAD_ERR_BUSY. Use one context per thread that computes.
 * After fork() a child may go on using the context: its first call starts new threads. A context keeps up to 2 GiB of the
 * memory that its calls took, for later ones, until it is destroyed. */
typedef struct subquad_context subquad_context;

/* Asked about every 20 ms (at least every 50 ms) during long calls, always on the calling thread; but not during a single call
 * of LAPACK, which leverage scores and sparsifiers make for dense matrices of thousands of rows and which can take seconds.
 * fraction: how much of the work is done, in [0, 1]; it never falls, and is 0 while inputs are checked and prepared.
 * Return 0 to go on, anything else to cancel. */
typedef int32_t (*subquad_callback)(void* user, double fraction);

/* Create a context with the default number of threads (SUBQUAD_NUM_THREADS where it is set to a positive number, else the
 * processors that this process may run on), the best SIMD target (or the one that SUBQUAD_SIMD_TARGET names), no workspace
 * limit, no callback. Threads start at the first call that can use them.
 * Owns:    *context_out is the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_MEMORY, SUBQUAD_ERR_UNKNOWN or SUBQUAD_ERR_VALUE for a bad environment variable;
 *          then *context_out = NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_context_create(subquad_context** context_out);

/* Stop the context's threads and release it. NULL is fine.
 * Owns:    ends the caller's ownership.
 * Errors:  cannot fail. Must not be called while a call uses the context.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API void subquad_context_destroy(subquad_context* context);

/* Set how many threads calls use, the calling one included: 1 .. SUBQUAD_MAX_THREADS, or 0 for the default. Results do not
 * depend on it.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_VALUE, SUBQUAD_ERR_BUSY.
 * Threads: not during a call that uses the context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_context_set_threads(subquad_context* context, int64_t threads);

/* Limit the memory that one call may take beyond its arrays, in bytes; 0 means no limit.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_VALUE when negative, SUBQUAD_ERR_BUSY.
 * Threads: not during a call that uses the context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_context_set_workspace_limit(subquad_context* context, int64_t bytes);

/* Set the progress and cancel callback, or none (NULL). A call that is cancelled returns SUBQUAD_ERR_CANCELLED.
 * Owns:    user is passed through, and must stay valid while calls use the context.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_BUSY.
 * Threads: not during a call that uses the context. The callback must not throw, longjmp, or use this context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_context_set_callback(subquad_context* context, subquad_callback callback, void* user);

/* Force the SIMD target by name (see subquad_simd_target_at), or return to the best one (NULL).
 * Owns:    name is copied.
 * Errors:  SUBQUAD_ERR_NULL for context, SUBQUAD_ERR_UNKNOWN when name is not among the targets on offer, SUBQUAD_ERR_BUSY.
 * Threads: not during a call that uses the context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_context_set_simd_target(subquad_context* context, const char* name);

/* The index-th SIMD target that this build holds and this processor can run, best first; the last is always the portable
 * one ("SCALAR" or "EMU128", by compiler).
 * Owns:    the name is static.
 * Errors:  SUBQUAD_ERR_NULL; SUBQUAD_ERR_VALUE when index is out of range (which ends an enumeration).
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_simd_target_at(int64_t index, const char** name_out);

/* ---- 6. Options ---------------------------------------------------------------------------------------------- */

/* Settings of a call by id. Each has a default or starts unset; a NULL options argument means all defaults. */
typedef struct subquad_options subquad_options;

/* generated from capi/tables/methods.toml: begin */
enum {
  /* every visible pair, in the arrays' own precision; time O(n_q n_k (d + d_v)), memory O(n) */
  SUBQUAD_METHOD_EXACT = 1,
  /* causal attention with logits replaced by a conv basis, recovered or fitted; time O(n (d + d_v)) times logarithms and bases */
  SUBQUAD_METHOD_CONV_BASIS = 2,
  /* per head what tol or budget asks for at the least cost, with an estimate of its error; exact where that is cheaper */
  SUBQUAD_METHOD_AUTO = 3,
};
/* generated: end */

/* generated from capi/tables/estimates.toml: begin */
enum {
  /* every pair's logit is screened in low precision, and sampled rows are compared with exact ones: no far key can hide */
  SUBQUAD_ESTIMATE_SCREENED = 1,
  /* sampled rows are compared with exact ones; a far key that few queries need is found by its group's mean (docs/adaptive.md) */
  SUBQUAD_ESTIMATE_SAMPLED = 2,
};
/* generated: end */

/* generated from capi/tables/parts.toml: begin */
enum {
  /* single keys that many queries attend to, for all queries; the first keys (sinks) among them */
  SUBQUAD_PART_HEAVY = 1,
  /* groups of 16 keys chosen for each block of queries by the groups' means */
  SUBQUAD_PART_SELECTION = 2,
  /* groups that are not chosen are represented by their mean key and mean value */
  SUBQUAD_PART_CENTROIDS = 4,
  /* keys beyond the window are represented by a conv basis with a scale for each key; causal attention only */
  SUBQUAD_PART_CONV = 8,
  /* the logits of all pairs in low precision, weights and values for tiles that matter to a row */
  SUBQUAD_PART_SCREENING = 16,
};
/* generated: end */

/* generated from capi/tables/options.toml: begin */
enum {
  /* How attention is computed: one of SUBQUAD_METHOD_*.
   * method, default SUBQUAD_METHOD_EXACT */
  SUBQUAD_OPTION_METHOD = 10,
  /* Query i sees only keys at positions <= i + causal_offset.
   * bool, default 0 */
  SUBQUAD_OPTION_CAUSAL = 20,
  /* The offset c: query i stands at position i + c. Unset means 0 where n_q = n_k; required for causal attention or a lag bias
   * where n_q != n_k.
   * int, unset, -1152921504606846976 .. 1152921504606846976 */
  SUBQUAD_OPTION_CAUSAL_OFFSET = 21,
  /* Factor of the inner products. Unset means 1/sqrt(d).
   * float, unset, -1e+30 .. 1e+30 */
  SUBQUAD_OPTION_SCALE = 22,
  /* Lag of the first entry of lag_bias.
   * int, default 0, -1152921504606846976 .. 1152921504606846976 */
  SUBQUAD_OPTION_LAG_MIN = 23,
  /* Position of key 0: set it when k and v are a slice of a longer sequence of keys.
   * int, default 0, -1152921504606846976 .. 1152921504606846976 */
  SUBQUAD_OPTION_KEY_OFFSET = 24,
  /* Look for NaN and infinities in the inputs first. Switched off, a NaN reaches every row that sees it and may reach rows
   * beside them, and overflowing logits go unreported.
   * bool, default 1 */
  SUBQUAD_OPTION_CHECK_FINITE = 30,
  /* Error asked for. Method auto: relative Frobenius error of each head's output, |O~ - O|_F / |O|_F. subquad_conv_basis_fit:
   * mean over rows of |P~[i,:] - P[i,:]|_1.
   * float, unset, 0.0 .. 1.0 */
  SUBQUAD_OPTION_TOL = 40,
  /* Method auto, in place of tol: share of the visible pairs whose weights may be computed (up to 1), or such keys per query
   * (above 1).
   * float, unset, 0.0 .. 9.2e+18 */
  SUBQUAD_OPTION_BUDGET = 41,
  /* What method auto's error estimate rests on. Unset: screened for sequences short enough that screening all pairs is cheap,
   * else sampled.
   * estimate, unset */
  SUBQUAD_OPTION_ESTIMATE = 42,
  /* What method auto may use: a sum of SUBQUAD_PART_*.
   * int, default 31, 0 .. 31 */
  SUBQUAD_OPTION_PARTS = 43,
  /* Most bases of a conv basis (k). Required by recovery; a fit takes it instead of tol.
   * int, unset, 0 .. 1073741824 */
  SUBQUAD_OPTION_BASES = 50,
  /* Entries that a probe of the recovery compares (T). Together with conv_delta it selects recovery in attention by method
   * conv_basis.
   * int, unset, 1 .. 1152921504606846976 */
  SUBQUAD_OPTION_CONV_WINDOW = 51,
  /* Least l1 distance, over conv_window entries, of columns of different bases (delta).
   * float, unset, 0.0 .. 1e+300 */
  SUBQUAD_OPTION_CONV_DELTA = 52,
  /* Largest deviation of a logit from the structure (eps), at most conv_delta / (5 conv_window).
   * float, default 0.0, 0.0 .. 1e+300 */
  SUBQUAD_OPTION_CONV_EPS = 53,
  /* Kernels hold B[r] = b[0] + .. + b[r], the logits themselves, not the increments b[r].
   * bool, default 0 */
  SUBQUAD_OPTION_CUMULATIVE = 54,
  /* Outputs do not change by a bit when later tokens do. Conv basis: lags inside a block by direct products, so that later
   * values have no effect. Method auto: every choice for a query depends on earlier tokens only.
   * bool, default 0 */
  SUBQUAD_OPTION_STRICT_CAUSAL = 55,
  /* How gradients by method conv_basis are computed: SUBQUAD_METHOD_EXACT or SUBQUAD_METHOD_CONV_BASIS. Unset: the faster.
   * method, unset */
  SUBQUAD_OPTION_BACKWARD = 56,
  /* Seed of what is sampled: the rows on which method auto and a fit measure their errors, the columns of a sparsifier,
   * sketches.
   * int, default 0, 0 .. 9223372036854775807 */
  SUBQUAD_OPTION_SEED = 57,
  /* How a sparsifier is found: one of SUBQUAD_SPARSIFIER_*.
   * sparsifier, default SUBQUAD_SPARSIFIER_LEVERAGE */
  SUBQUAD_OPTION_SPARSIFY_METHOD = 60,
  /* Most distinct columns of a sparsifier (m). Give it or sparsify_eps.
   * int, unset, 1 .. 1152921504606846976 */
  SUBQUAD_OPTION_SPARSIFY_COLUMNS = 61,
  /* Error asked of a sparsifier (e); the number of columns follows from it.
   * float, unset, 1e-06 .. 0.999999 */
  SUBQUAD_OPTION_SPARSIFY_EPS = 62,
  /* Probability that what is random misses what it promises: sparsify_eps, the factor of sketched scores.
   * float, default 0.01, 1e-12 .. 0.5 */
  SUBQUAD_OPTION_SPARSIFY_DELTA = 63,
  /* How the error of a sparsifier is measured: one of SUBQUAD_CERTIFICATE_*.
   * certificate, default SUBQUAD_CERTIFICATE_AUTO */
  SUBQUAD_OPTION_SPARSIFY_CERTIFY = 64,
  /* How leverage scores are computed: SUBQUAD_SCORE_EXACT or SUBQUAD_SCORE_SKETCH. Unset: what takes less time.
   * score, unset */
  SUBQUAD_OPTION_SPARSIFY_SCORES = 65,
};
/* generated: end */

/* generated from capi/tables/types.toml: begin */
enum {
  SUBQUAD_TYPE_BOOL = 1,   /* 0 or 1 */
  SUBQUAD_TYPE_INT = 2,    /* int64_t */
  SUBQUAD_TYPE_FLOAT = 3,  /* double */
  SUBQUAD_TYPE_STRING = 4, /* UTF-8 text, zero terminated */
};
/* generated: end */

/* Create options at their defaults.
 * Owns:    *options_out is the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_MEMORY; then *options_out = NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_options_create(subquad_options** options_out);

/* Release options. NULL is fine.
 * Owns:    ends the caller's ownership.
 * Errors:  cannot fail.
 * Threads: not while another call reads them.
 * Since:   0.1 */
SUBQUAD_API void subquad_options_destroy(subquad_options* options);

/* Set an option of type bool (0 or 1) or int.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN for the id, SUBQUAD_ERR_TYPE, SUBQUAD_ERR_VALUE outside its bounds.
 * Threads: not while another call reads them.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_options_set_int(subquad_options* options, int32_t option, int64_t value);

/* Set an option of type float.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN, SUBQUAD_ERR_TYPE, SUBQUAD_ERR_VALUE outside its bounds or NaN.
 * Threads: not while another call reads them.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_options_set_float(subquad_options* options, int32_t option, double value);

/* Return an option to its default, or to unset where it has none.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN.
 * Threads: not while another call reads them.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_options_reset(subquad_options* options, int32_t option);

/* Value of an option of type bool or int.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN, SUBQUAD_ERR_TYPE, SUBQUAD_ERR_UNSET when it has no value.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_options_get_int(const subquad_options* options, int32_t option, int64_t* value_out);

/* Value of an option of type float.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN, SUBQUAD_ERR_TYPE, SUBQUAD_ERR_UNSET when it has no value.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_options_get_float(const subquad_options* options, int32_t option, double* value_out);

/* What an option is: its name without prefix in lower case ("causal_offset"), its type (SUBQUAD_TYPE_*), and its documentation.
 * Every *_out may be NULL.
 * Owns:    the texts are static.
 * Errors:  SUBQUAD_ERR_UNKNOWN.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_option_describe(int32_t option, const char** name_out, int32_t* type_out,
                                                   const char** doc_out);

/* Bounds of an option, both inclusive, as doubles (an int bound beyond 2^53 is rounded outward).
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_option_bounds(int32_t option, double* lowest_out, double* highest_out);

/* ---- 7. Reports ---------------------------------------------------------------------------------------------- */

/* What a call did: values by key. A key holds any number of values of one type, 0 when the call said nothing of it. */
typedef struct subquad_report subquad_report;

/* generated from capi/tables/report.toml: begin */
enum {
  /* string: method that ran */
  SUBQUAD_REPORT_METHOD = 10,
  /* int: visible (query, key) pairs, summed over batch and query heads */
  SUBQUAD_REPORT_PAIRS = 11,
  /* float: wall time of the call in seconds */
  SUBQUAD_REPORT_SECONDS = 12,
  /* int: threads that the context uses */
  SUBQUAD_REPORT_THREADS = 13,
  /* string: SIMD target in use */
  SUBQUAD_REPORT_SIMD_TARGET = 14,
  /* int: memory that the call took beyond its arrays, in bytes */
  SUBQUAD_REPORT_WORKSPACE_BYTES = 15,
  /* int: bases of each head, in order of batch and head */
  SUBQUAD_REPORT_BASES = 20,
  /* int: columns that recovery looked at the first conv_window entries of, most over heads */
  SUBQUAD_REPORT_PROBES = 21,
  /* int: columns of logits computed whole, most over heads */
  SUBQUAD_REPORT_COLUMNS = 22,
  /* int: rows per block of the transforms, largest over heads; 0 when all was done by direct products */
  SUBQUAD_REPORT_BLOCK = 23,
  /* int: transforms of one block at different magnitudes, most over blocks and heads; 1 when one served, 0 when none was used */
  SUBQUAD_REPORT_LAYERS = 24,
  /* int: rows computed by direct products, over all heads: for the sake of accuracy, or all of them where block is 0 */
  SUBQUAD_REPORT_DIRECT_ROWS = 25,
  /* float: mean over the sampled rows of each head of |P~[i,:] - P[i,:]|_1, in order of batch and head */
  SUBQUAD_REPORT_ERROR_MEAN = 26,
  /* float: largest over the sampled rows of each head of |P~[i,:] - P[i,:]|_1, in order of batch and head */
  SUBQUAD_REPORT_ERROR_MAX = 27,
  /* int: rows per head on which the errors were measured */
  SUBQUAD_REPORT_SAMPLED_ROWS = 28,
  /* float: 2 tanh(conv_eps): bound of |O~ - O| / max|V| where the recovery's conditions hold */
  SUBQUAD_REPORT_ERROR_BOUND = 29,
  /* int: rank of x: singular values above roundoff once its rows are scaled to norm 1 */
  SUBQUAD_REPORT_RANK = 30,
  /* float: condition number of x on its range, rows scaled to norm 1, to within a small factor */
  SUBQUAD_REPORT_CONDITION = 31,
  /* int: columns of y, all distinct */
  SUBQUAD_REPORT_WIDTH = 32,
  /* int: steps that the deterministic method took */
  SUBQUAD_REPORT_STEPS = 33,
  /* float: least e with (1-e) x x' <= y y' <= (1+e) x x' on the range of x; a lower estimate of it where certificate says so */
  SUBQUAD_REPORT_EPSILON = 34,
  /* string: how epsilon was measured: exact or estimate */
  SUBQUAD_REPORT_CERTIFICATE = 35,
  /* float: what theory promises of epsilon: always (deterministic, gram), or with probability 1 - sparsify_delta (leverage) */
  SUBQUAD_REPORT_EPSILON_BOUND = 36,
  /* string: how leverage scores were computed: exact or sketch */
  SUBQUAD_REPORT_SCORES = 37,
  /* float: all scores at once are within this factor of the exact ones with probability 1 - sparsify_delta */
  SUBQUAD_REPORT_SCORE_FACTOR = 38,
  /* int: rows of the sketch of x'; 0 when x' itself has fewer */
  SUBQUAD_REPORT_SKETCH_ROWS = 39,
  /* int: Gaussian vectors that scores were projected on; 0 when norms were computed in full */
  SUBQUAD_REPORT_PROJECTIONS = 40,
  /* int: passes over x */
  SUBQUAD_REPORT_PASSES = 41,
  /* float: wall time of the selection in seconds */
  SUBQUAD_REPORT_SECONDS_SELECT = 42,
  /* float: wall time of the certificate in seconds */
  SUBQUAD_REPORT_SECONDS_CERTIFY = 43,
  /* float: epsilon of the deterministic method's own weights, before they were improved */
  SUBQUAD_REPORT_EPSILON_BARRIERS = 44,
  /* string: version of the library */
  SUBQUAD_REPORT_VERSION = 50,
  /* string: SIMD targets that this build and processor offer, best first */
  SUBQUAD_REPORT_SIMD_TARGETS = 51,
  /* string: configuration line of the BLAS library */
  SUBQUAD_REPORT_BLAS = 52,
  /* string: processor core that the BLAS library chose its kernels for */
  SUBQUAD_REPORT_BLAS_CORE = 53,
  /* string: present when the BLAS library fell back to kernels far slower than this processor */
  SUBQUAD_REPORT_BLAS_WARNING = 54,
  /* string: version of FFTW */
  SUBQUAD_REPORT_FFTW_VERSION = 55,
  /* string: version of Armadillo */
  SUBQUAD_REPORT_ARMADILLO_VERSION = 56,
  /* string: what each head is made of, in order of batch and head: exact, screened, or window and parts joined by + */
  SUBQUAD_REPORT_PARTS = 60,
  /* int: pairs of each head computed in the arrays' precision */
  SUBQUAD_REPORT_PAIRS_EXACT = 61,
  /* int: pairs of each head whose weights were computed in low precision */
  SUBQUAD_REPORT_PAIRS_LOW = 62,
  /* int: pairs of each head of which only a logit was computed, in low precision */
  SUBQUAD_REPORT_PAIRS_SCREENED = 63,
  /* float: estimated relative Frobenius error of each head's output, in order of batch and head; 0 where it is exact */
  SUBQUAD_REPORT_ERROR = 64,
  /* float: lower end of the 95 % confidence interval of each error */
  SUBQUAD_REPORT_ERROR_LOW = 65,
  /* float: upper end of the 95 % confidence interval of each error */
  SUBQUAD_REPORT_ERROR_HIGH = 66,
  /* string: why each head that is exact fell back to it; empty for the others */
  SUBQUAD_REPORT_FALLBACK = 67,
  /* string: what the estimate rests on: screened or sampled */
  SUBQUAD_REPORT_ESTIMATE = 68,
  /* int: keys before it that every query of the head sees at least; 0 where the head is exact or screened */
  SUBQUAD_REPORT_WINDOW = 69,
  /* int: heavy columns of each head */
  SUBQUAD_REPORT_HEAVY_COLUMNS = 70,
  /* float: keys of chosen groups per query, mean over the queries of each head */
  SUBQUAD_REPORT_SELECTED_KEYS = 71,
  /* int: bases of each head's conv far field; 0 where it has none */
  SUBQUAD_REPORT_CONV_BASES = 72,
  /* float: bound of the share of a query's weights that screening left out, largest over the queries of each head */
  SUBQUAD_REPORT_MISSED_MASS = 73,
  /* float: seconds spent on each head's plan, of one thread */
  SUBQUAD_REPORT_HEAD_SECONDS_PLAN = 74,
  /* float: seconds spent on each head's output, of one thread */
  SUBQUAD_REPORT_HEAD_SECONDS_APPLY = 75,
  /* float: estimated relative Frobenius error of each head's share of dq */
  SUBQUAD_REPORT_ERROR_BACKWARD = 76,
  /* int: seed of what was sampled */
  SUBQUAD_REPORT_SEED = 77,
};
/* generated: end */

/* Create an empty report.
 * Owns:    *report_out is the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_MEMORY; then *report_out = NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_report_create(subquad_report** report_out);

/* Release a report. NULL is fine.
 * Owns:    ends the caller's ownership, and the life of texts that were read from it.
 * Errors:  cannot fail.
 * Threads: not while another call reads it.
 * Since:   0.1 */
SUBQUAD_API void subquad_report_destroy(subquad_report* report);

/* How many values a key holds, and their type. type_out may be NULL.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN for the key.
 * Threads: any, while nothing writes the report.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_report_length(const subquad_report* report, int32_t key, int64_t* length_out,
                                                 int32_t* type_out);

/* The index-th value of a key of type int.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_UNKNOWN, SUBQUAD_ERR_TYPE, SUBQUAD_ERR_UNSET when the key is empty, SUBQUAD_ERR_VALUE
 *          when index is out of range.
 * Threads: any, while nothing writes the report.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_report_get_int(const subquad_report* report, int32_t key, int64_t index, int64_t* value_out);

/* The index-th value of a key of type float.
 * Owns:    nothing.
 * Errors:  as subquad_report_get_int.
 * Threads: any, while nothing writes the report.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_report_get_float(const subquad_report* report, int32_t key, int64_t index, double* value_out);

/* The index-th value of a key of type string.
 * Owns:    the text belongs to the report, until it is written again or destroyed.
 * Errors:  as subquad_report_get_int.
 * Threads: any, while nothing writes the report.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_report_get_string(const subquad_report* report, int32_t key, int64_t index,
                                                     const char** value_out);

/* The whole report as one JSON object, keys in lower case; a key with one value is a scalar, with several an array.
 * Owns:    the text belongs to the report, until it is written again or destroyed.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_MEMORY.
 * Threads: one at a time for the same report.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_report_json(subquad_report* report, const char** json_out);

/* Describe the library and the machine: VERSION, SIMD_TARGET, SIMD_TARGETS, THREADS, BLAS, BLAS_CORE, BLAS_WARNING,
 * FFTW_VERSION, ARMADILLO_VERSION.
 * context: may be NULL, then threads and SIMD target are those of a new context. No subquad_context_set_* may run beside it.
 * Owns:    report is overwritten.
 * Errors:  SUBQUAD_ERR_NULL for report, SUBQUAD_ERR_MEMORY; for a NULL context also what subquad_context_create returns.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_info(subquad_context* context, subquad_report* report);

/* ---- 8. Attention -------------------------------------------------------------------------------------------- */

/* Softmax attention, every visible pair unless METHOD says otherwise:
 *   o[i,:] = sum_j A[i,j] v[j,:] / sum_j A[i,j],   lse[i] = log sum_j A[i,j],   A and positions as at the top of this header.
 *   q: [.., H_q, n_q, d]   k: [.., H_kv, n_k, d]   v: [.., H_kv, n_k, d_v]
 *   o (written): [.., H_q, n_q, d_v]   lse (written): [.., H_q, n_q]
 *   with .. at most one batch dimension; two dimensions mean one head. All have one dtype, float32 or float64. d >= 1; every
 *   other extent may be 0. H_q is a multiple of H_kv: query head h reads key/value head h / (H_q / H_kv).
 *   lag_bias:   NULL or [H_q or 1, L], the arrays' dtype, added to the logits after the scale (ALiBi, T5): the logit at lag t
 *               gains lag_bias[h, t - lag_min]. The table must cover every lag of a visible pair.
 *   key_ranges: NULL or int64 [batch or 1, 2] with (start, end): only keys at positions start <= j + key_offset < end are seen
 *               (padding on either side). start <= end; ranges may reach beyond the keys.
 *   lse, report: may be NULL.   options: METHOD, CAUSAL, CAUSAL_OFFSET, SCALE, LAG_MIN, KEY_OFFSET, CHECK_FINITE; for METHOD
 *   CONV_BASIS those of subquad_conv_basis_recover (CONV_WINDOW and CONV_DELTA given) or subquad_conv_basis_fit, and
 *   STRICT_CAUSAL. CONV_BASIS needs CAUSAL, n_q = n_k and no key_ranges; it recovers the basis of scale q k', adds lag_bias to
 *   its kernels, and applies it. METHOD AUTO: subquad_plan_create and subquad_plan_apply in one.
 * Time O(H_q n_q n_k (d + d_v)). Memory beyond the arrays O(threads (d + d_v)), and: a copy of k or v whose last axis has a
 * stride other than 1; a copy of lag_bias; with n_q <= 4, O(H_q n_q (d_v n_k / 2048 + d)) for partial results.
 * The same bits for any number of threads. With CHECK_FINITE all of q, k, v, lag_bias is looked at, keys out of range too.
 * Owns:    arrays are the caller's; nothing is kept after the return.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE (mixed dtypes too), STRIDE, ALIAS, SIZE, NONFINITE (the message has the first bad
 *          index), CONFLICT (n_q != n_k and no CAUSAL_OFFSET where it matters; an option of CONV_BASIS or AUTO with EXACT; AUTO
 *          with none or both of TOL and BUDGET), VALUE
 *          (lag_bias too short, start > end), UNSUPPORTED (dense masks, CONV_BASIS without CAUSAL or with
 *          key_ranges), OVERFLOW, MEMORY, WORKSPACE, BUSY, THREADS, CANCELLED; for CONV_BASIS also those of recovery and fit.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_attention(subquad_context* context, const subquad_options* options, const subquad_array* q,
                                             const subquad_array* k, const subquad_array* v, const subquad_array* lag_bias,
                                             const subquad_array* key_ranges, const subquad_array* o, const subquad_array* lse,
                                             subquad_report* report);

/* Gradients of subquad_attention. With P[i,j] = exp(s[i,j] - lse[i]) where query i sees key j, dS = P * (do v' - rowsum(do * o)),
 *   dq = scale dS k,   dk = scale dS' q,   dv = P' do,   d_lag_bias[h, t - lag_min] = sum of dS[i,j] over the pairs of lag t.
 *   q, k, v, lag_bias, key_ranges, options: as in the forward call.   o, lse: its results.   d_o: [.., H_q, n_q, d_v].
 *   dq, dk, dv (written): shaped like q, k, v; each may be NULL. d_lag_bias (written): shaped like lag_bias; may be NULL, must be
 *   NULL without lag_bias. With grouped heads dk, dv are summed over the query heads of a group, d_lag_bias over batch, and over
 *   heads where lag_bias has one row.
 *   For a slice of keys (KEY_OFFSET) give the o and lse of the merged whole: dk, dv are final, the dq of the slices add up.
 *   With METHOD CONV_BASIS the basis is found again and subquad_conv_basis_backward does the rest; o and lse are not needed and
 *   may be NULL, and d_lag_bias is not supported.
 * Time about 2.5 times the forward's. Memory beyond the arrays: that of the forward call, and n_q (2 d + d_v) entries for as many
 * query heads as fit into 64 MiB, at least one. The same bits for any number of threads.
 * Owns:    arrays are the caller's; nothing is kept after the return.
 * Errors:  as subquad_attention; SUBQUAD_ERR_CONFLICT for d_lag_bias without lag_bias.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_attention_backward(subquad_context* context, const subquad_options* options,
                                                      const subquad_array* q, const subquad_array* k, const subquad_array* v,
                                                      const subquad_array* lag_bias, const subquad_array* key_ranges,
                                                      const subquad_array* o, const subquad_array* lse, const subquad_array* d_o,
                                                      const subquad_array* dq, const subquad_array* dk, const subquad_array* dv,
                                                      const subquad_array* d_lag_bias, subquad_report* report);

/* ---- 9. Conv-basis attention --------------------------------------------------------------------------------- */

/* Lower-triangular n x n matrices of logits with k bases, per head: H = sum_r conv(b_r, n - s_r), with starts
 * 0 <= s_0 < s_1 < .. < s_(k-1) < n. Basis r adds b_r[i-j] at every i >= j >= s_r. In cumulative form, B_r = b_0 + .. + b_r, it
 * reads
 *   H[i,j] = B_r[i-j] for s_r <= j < s_(r+1),   H[i,j] = 0 for j < s_0,   j <= i          (docs/math/conv_basis.md)
 * A basis is read-only once made: share it between threads. It keeps its own copy of everything. */
typedef struct subquad_conv_basis subquad_conv_basis;

/* A conv basis from its starts and kernels.
 *   starts:  int64 [.., k], strictly increasing in [0, n); entries equal to n at the end mark bases that a head lacks.
 *   kernels: [.., k, n], float32 or float64, with .. as [batch], [heads] of attention; row r holds b_r (B_r with CUMULATIVE) in
 *            its first n - s_r entries, the rest is never read. k may be 0: the zero matrix. A Toeplitz matrix (a lag bias, a
 *            stationary kernel) is k = 1, starts = {0}, kernels = its first column.
 *   options: CUMULATIVE, CHECK_FINITE.
 * Owns:    *basis_out is the caller's; the arrays are copied.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, SIZE, VALUE (starts out of order or range), NONFINITE, OVERFLOW (a sum b_0 +
 *          .. overflows), MEMORY, BUSY, THREADS, CANCELLED; then *basis_out = NULL.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_create(subquad_context* context, const subquad_options* options,
                                                     const subquad_array* starts, const subquad_array* kernels,
                                                     subquad_conv_basis** basis_out);

/* The conv basis with the fewest bases of a lower-triangular matrix, exactly: any such matrix has one with k <= n.
 *   h: [.., n, n]; entries above the diagonal must be 0. A basis starts at each column that is not the one before it, cut.
 *   options: CHECK_FINITE.
 * Owns:    *basis_out is the caller's; it takes up to twice the memory of h.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, SIZE, VALUE (an entry above the diagonal), NONFINITE, MEMORY, BUSY, THREADS,
 *          CANCELLED; then *basis_out = NULL.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_from_dense(subquad_context* context, const subquad_options* options,
                                                         const subquad_array* h, subquad_conv_basis** basis_out);

/* Recover the conv basis of H = M * (scale q k') [CONV, sec. 3] from O(k log n) short probes and k whole columns, O(k n d) in
 * all.
 *   A column j opens a new basis where |H[j..j+T-1, j] - H[s..s+T-1, s]|_1 >= delta / 2, s the last start (0 in place of the
 *   second term before the first start); starts are found by binary search. T = CONV_WINDOW, delta = CONV_DELTA, eps = CONV_EPS.
 *   Where H is within eps of a matrix with at most BASES bases that is (T, delta)-non-degenerate, starts are exact and
 *   attention errs by at most 2 tanh(eps) max|v|. Where it is not, what comes back may be far off: see subquad_conv_basis_fit.
 *   q: [.., H_q, n, d]   k: [.., H_kv, n, d]; the basis has the heads of q.
 *   options: BASES, CONV_WINDOW, CONV_DELTA (all three required), CONV_EPS <= delta / (5 T), SCALE, CHECK_FINITE.
 *   report:  may be NULL; BASES (found, perhaps fewer than asked for), PROBES <= k ceil(log2 n) + k, COLUMNS, ERROR_BOUND.
 * Owns:    *basis_out is the caller's; q and k are not kept.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, SIZE, NONFINITE, CONFLICT (a required option unset), VALUE (T > n, delta = 0,
 *          eps > delta / (5 T)), OVERFLOW, MEMORY, WORKSPACE, BUSY, THREADS, CANCELLED; then *basis_out = NULL.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_recover(subquad_context* context, const subquad_options* options,
                                                      const subquad_array* q, const subquad_array* k,
                                                      subquad_conv_basis** basis_out, subquad_report* report);

/* Fit a conv basis to M * (scale q k') for arbitrary q and k, and measure how good it is.
 *   Segments of keys are chosen by merging neighbours whose columns, as functions of the lag, are alike; kernel r is the mean of
 *   the logits of segment r at each lag, over all pairs, by FFT cross-correlation in blocks of b rows: O(n d (n/b + k + log b)).
 *   A constant per row, which a softmax does not see, is taken out first where that lowers the error: the lse of a fit lacks it.
 *   With BASES: that many, or fewer where segments are equal. With TOL: doubled from 1 until the measured mean error is at most
 *   TOL, or a doubling is dearer than exact attention; compare the report's ERROR_MEAN with what was asked. Give one of the two.
 *   The error is that of the attention weights, |P~[i,:] - P[i,:]|_1 in [0, 2], on rows sampled by SEED; no row of the output
 *   errs by more than it times max|v|. It is an estimate: rows not sampled may be worse.
 *   q: [.., H_q, n, d]   k: [.., H_kv, n, d].   options: BASES or TOL, SCALE, SEED, CHECK_FINITE.
 *   report:  may be NULL; BASES, ERROR_MEAN, ERROR_MAX, SAMPLED_ROWS.
 * Owns:    *basis_out is the caller's; q and k are not kept.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, SIZE, NONFINITE, CONFLICT (none or both of BASES and TOL), OVERFLOW, MEMORY,
 *          WORKSPACE, BUSY, THREADS, CANCELLED; then *basis_out = NULL.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_fit(subquad_context* context, const subquad_options* options,
                                                  const subquad_array* q, const subquad_array* k, subquad_conv_basis** basis_out,
                                                  subquad_report* report);

/* Release a basis. NULL is fine.
 * Owns:    ends the caller's ownership.
 * Errors:  cannot fail.
 * Threads: not while another call uses it.
 * Since:   0.1 */
SUBQUAD_API void subquad_conv_basis_destroy(subquad_conv_basis* basis);

/* What an array must be to take all kernels: kernels_out gets the dtype, ndim = 4, shape [batch, heads, k, n] with k the most
 * bases of a head, row-major strides, and data = NULL.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_describe(const subquad_conv_basis* basis, subquad_array* kernels_out);

/* Copy starts and kernels out; with CUMULATIVE they make the very same basis again in subquad_conv_basis_create.
 *   starts (written):  int64 [batch, heads, k]; n for bases that a head lacks.
 *   kernels (written): [batch, heads, k, n]; zero where an entry has no meaning. Either may be NULL.
 *   options: CUMULATIVE. Kernels are kept in cumulative form: increments are differences, rounded once.
 * Owns:    the arrays are the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, ALIAS, SIZE.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_get(const subquad_conv_basis* basis, const subquad_options* options,
                                                  const subquad_array* starts, const subquad_array* kernels);

/* The exp transform: the conv basis of M * exp(H), with kernels exp(B_r) in cumulative form; a basis of ones comes first where
 * s_0 > 0. Multiplying by it gives the numerators of attention, without its scaling: large logits overflow here, not in
 * subquad_conv_basis_apply.
 * Owns:    *basis_out is the caller's, and independent of basis.
 * Errors:  SUBQUAD_ERR_NULL, OVERFLOW, MEMORY, BUSY, THREADS, CANCELLED; then *basis_out = NULL.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_exp(subquad_context* context, const subquad_conv_basis* basis,
                                                  subquad_conv_basis** basis_out);

/* The matrix itself: h[i,j] = H[i,j] for j <= i, 0 above. O(n^2).
 *   h (written): [batch, heads, n, n], leading extents of 1 may be left out.
 * Owns:    the array is the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, SIZE, BUSY, THREADS, CANCELLED.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_to_dense(subquad_context* context, const subquad_conv_basis* basis,
                                                       const subquad_array* h);

/* y = H x, by transforms in blocks: O(n c (n/b + k + log b)) with blocks of b rows.
 *   x: [.., H, n, c], any strides   y (written): the same shape. Extents of batch and heads as the basis has them; c may be 0.
 *   Rounding errors are relative to the largest |H| |x| of the rows and lags that share a transform, not to each entry of y.
 *   options: STRICT_CAUSAL, CHECK_FINITE.   report: may be NULL; BLOCK.
 * Owns:    arrays are the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, ALIAS, SIZE, NONFINITE, OVERFLOW, MEMORY, WORKSPACE, BUSY, THREADS, CANCELLED.
 * Threads: one call at a time per context; any number of calls may use one basis. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_multiply(subquad_context* context, const subquad_options* options,
                                                       const subquad_conv_basis* basis, const subquad_array* x,
                                                       const subquad_array* y, subquad_report* report);

/* y = H' x. Everything else as subquad_conv_basis_multiply; STRICT_CAUSAL has no meaning here and is ignored.
 * Owns:    arrays are the caller's.
 * Errors:  as subquad_conv_basis_multiply.
 * Threads: one call at a time per context; any number of calls may use one basis. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_multiply_transposed(subquad_context* context, const subquad_options* options,
                                                                  const subquad_conv_basis* basis, const subquad_array* x,
                                                                  const subquad_array* y, subquad_report* report);

/* Causal softmax attention with the logits H:   o = D^-1 A v,   A = M * exp(H),   D = diag(A 1),   lse = log of D's diagonal.
 *   v: [.., H_v, n, d_v], the basis's heads a multiple of H_v, as for grouped heads   o (written): [.., H, n, d_v]
 *   lse (written): [.., H, n], may be NULL.
 *   |o - o_exact| <= 1e-4 max_j|v[j,c]| in float32 for logits in [-80, 80], 1e-9 in float64 for [-600, 600], whatever H: rows
 *   that one transform does not serve are computed at other magnitudes, in double precision, or by direct products (report:
 *   LAYERS, DIRECT_ROWS); where little range is used the error is of the order of round-off. lse errs by a few
 *   units of round-off of the head's largest |logit|.
 *   Output i depends on values j > i by no more than round-off of the values of its own block (of the whole column, where that
 *   holds values 1e20 times larger); with STRICT_CAUSAL not by a bit. Values are then not scaled: those above 1e16 (float64:
 *   1e150) are an OVERFLOW, and the promise holds for max|v| of 1e-16 (1e-150) or more.
 *   Rows with a log-sum-exp beyond 4e10 are an OVERFLOW, too: a double no longer tells such logits apart.
 *   options: STRICT_CAUSAL, CHECK_FINITE.   report: may be NULL; BLOCK, LAYERS, DIRECT_ROWS, PAIRS.
 * Owns:    arrays are the caller's.
 * Errors:  as subquad_conv_basis_multiply.
 * Threads: one call at a time per context; any number of calls may use one basis. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_apply(subquad_context* context, const subquad_options* options,
                                                    const subquad_conv_basis* basis, const subquad_array* v,
                                                    const subquad_array* o, const subquad_array* lse, subquad_report* report);

/* The transpose of softmax attention: y = A' D^-1 x, so that <x, o(v)> = <y, v>.
 *   x: [.., H, n, c]   y (written): the same shape; sums over grouped heads are the caller's.
 *   |y - y_exact| <= 1e-4 (float32, logits in [-80, 80]) or 1e-9 (float64, [-600, 600]) times the sum of the largest |x| of each
 *   block, and a few units of round-off of sum_i P[i,j] |x[i,:]|.
 *   options: CHECK_FINITE.   report: may be NULL; BLOCK, LAYERS, DIRECT_ROWS, PAIRS.
 * Owns:    arrays are the caller's.
 * Errors:  as subquad_conv_basis_multiply.
 * Threads: one call at a time per context; any number of calls may use one basis. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_apply_transposed(subquad_context* context, const subquad_options* options,
                                                               const subquad_conv_basis* basis, const subquad_array* x,
                                                               const subquad_array* y, subquad_report* report);

/* Gradients of o = P~ v, with the weights P~ of the basis in place of softmax(scale q k'): dS~ = P~ * (d_o v' - rowsum(d_o * o)),
 *   dq = scale dS~ k,   dk = scale dS~' q,   dv = P~' d_o,   by 2 (d_v + 1) applies to d columns: O(k n d d_v log n), memory O(n
 *   d).
 *   q, k, v, d_o: as in subquad_attention (grouped heads too)   dq, dk, dv (written): shaped like q, k, v; each may be NULL.
 *   The basis is what recovery or a fit made of q and k with the same SCALE. Where the recovery's conditions hold,
 *   |dS~[i,:] - dS[i,:]|_1 <= 6 tanh(eps) |d_o[i,:]|_1 max|v|.
 *   options: BACKWARD (unset: exact attention's gradients, recomputed from q and k, where they are cheaper), SCALE, CHECK_FINITE.
 *   report: may be NULL; METHOD (what ran), BLOCK, LAYERS, DIRECT_ROWS, PAIRS.
 * Owns:    arrays are the caller's.
 * Errors:  as subquad_conv_basis_multiply.
 * Threads: one call at a time per context; any number of calls may use one basis. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_conv_basis_backward(subquad_context* context, const subquad_options* options,
                                                       const subquad_conv_basis* basis, const subquad_array* q,
                                                       const subquad_array* k, const subquad_array* v, const subquad_array* d_o,
                                                       const subquad_array* dq, const subquad_array* dk, const subquad_array* dv,
                                                       subquad_report* report);

/* The training problem of [CONV]: loss and gradient in X of one attention layer.
 *   loss = 0.5 |D(X)^-1 (M * exp(scale A1 X A2')) A3 Y - E|_F^2,   grad_x = d loss / d X
 *   a1, a2, a3: [n, d]   x: [d, d]   y: [d, d_v]   e: [n, d_v]   grad_x (written): [d, d], may be NULL.
 *   options: METHOD (EXACT, or CONV_BASIS: logits recovered with CONV_WINDOW and CONV_DELTA, fitted with BASES alone), BASES,
 *            CONV_WINDOW, CONV_DELTA, CONV_EPS, BACKWARD, SCALE (unset: 1), SEED, CHECK_FINITE.
 *   report: may be NULL; METHOD (what computed the gradient, or the loss where grad_x is NULL), and what the forward
 *           call reports.
 * Owns:    arrays are the caller's.
 * Errors:  as subquad_attention and subquad_conv_basis_recover.
 * Threads: one call at a time per context. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_attention_loss(subquad_context* context, const subquad_options* options,
                                                  const subquad_array* a1, const subquad_array* a2, const subquad_array* a3,
                                                  const subquad_array* x, const subquad_array* y, const subquad_array* e,
                                                  double* loss_out, const subquad_array* grad_x, subquad_report* report);

/* What FFTW has learnt about this machine (its wisdom, float and double), as text to keep in a file and import in a later
 * process. The library plans by estimate, which measures nothing; wisdom from elsewhere makes the transforms of fits faster, and
 * their last bits may differ. Each context keeps the plans that it has made.
 * Owns:    the text belongs to the library and holds until this thread's next export: copy it.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_MEMORY.
 * Threads: any, while nobody but this copy of the library uses the planner: FFTW does not keep this apart from planning.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_wisdom_export(const char** text_out);

/* Add wisdom that subquad_wisdom_export wrote. FFTW shares it with every user in the process.
 * Owns:    the text is copied.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_VALUE when the text is not such wisdom.
 * Threads: any, while nobody but this copy of the library uses the planner: FFTW does not keep this apart from planning.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_wisdom_import(const char* text);

/* ---- 10. Sparsifiers ----------------------------------------------------------------------------------------- */

/* Notation: X is n x d, its columns x_j, usually d >> n; G = X X'. A sparsifier is Y, n x m, with softmax(scale Y Y') close to
 * softmax(scale X X'). Its certificate is the least e with
 *   (1-e) X X' <= Y Y' <= (1+e) X X'   on the range of X.
 * Then |(Y Y' - G)_ij| <= e sqrt(G_ii G_jj), and every entry of the softmax is within a factor exp(+-2 e |scale| r) of the true
 * one, r = max_i G_ii. For queries and keys the columns of X = [Q; K] are sparsified; then |(Y_q Y_k' - Q K')_ij| <= e |q_i||k_j|
 * and r = max_i |q_i| max_j |k_j|. The leverage score of a column is tau_j = x_j' (X X')^+ x_j, in [0, 1], their sum is the rank.
 * docs/math/sparsify.md has the mathematics. */

/* generated from capi/tables/layouts.toml: begin */
enum {
  SUBQUAD_CSC = 1, /* compressed sparse columns: offsets of the columns, row index of each nonzero */
  SUBQUAD_CSR = 2, /* compressed sparse rows: offsets of the rows, column index of each nonzero, increasing within a row */
};
/* generated: end */

/* generated from capi/tables/sparsifiers.toml: begin */
enum {
  SUBQUAD_SPARSIFIER_LEVERAGE = 1,      /* columns sampled by their leverage scores; O~(nonzeros + n^3) */
  SUBQUAD_SPARSIFIER_DETERMINISTIC = 2, /* columns chosen by barriers, one per step; O(min(sum nnz^2, d n^2) + n^4) */
  SUBQUAD_SPARSIFIER_GRAM = 3,          /* a square-root factor of x x', exact, not made of columns; O(d n^2) */
};
/* generated: end */

/* generated from capi/tables/scores.toml: begin */
enum {
  SUBQUAD_SCORE_EXACT = 1,  /* by whitening x; O(d n^2) */
  SUBQUAD_SCORE_SKETCH = 2, /* by whitening a sketch of x and projecting on a few Gaussian vectors; O~(nonzeros + n^3) */
};
/* generated: end */

/* generated from capi/tables/certificates.toml: begin */
enum {
  /* not at all */
  SUBQUAD_CERTIFICATE_NONE = 0,
  /* exactly where the selection has done most of that work already, or where x is read in blocks; else by an estimate */
  SUBQUAD_CERTIFICATE_AUTO = 1,
  /* by an eigenvalue decomposition of the whitened y y'; O(d n^2) */
  SUBQUAD_CERTIFICATE_EXACT = 2,
  /* by the extreme Ritz values of a small space: a lower estimate, O(nonzeros) */
  SUBQUAD_CERTIFICATE_ESTIMATE = 3,
};
/* generated: end */

/* A view of a sparse matrix that the caller owns: 64 bytes, fixed for ever (on platforms with 64-bit pointers). Entries of a
 * row or column that name the same place twice add up. With CSC, `outer` below means columns and `inner` rows; with CSR the
 * other way round. */
typedef struct subquad_sparse {
  const void* offsets; /* [outer + 1], from index_base to index_base + nonzeros, never falling: where each begins */
  const void* indices; /* [nonzeros], inner indices; with CSR increasing (not strictly) within each row */
  const void* values;  /* [nonzeros] */
  int64_t rows;
  int64_t columns;
  int64_t nonzeros;
  int32_t layout;      /* SUBQUAD_CSC or SUBQUAD_CSR */
  int32_t dtype;       /* of values: SUBQUAD_FLOAT32 or SUBQUAD_FLOAT64 */
  int32_t index_dtype; /* of offsets and indices: SUBQUAD_INT32 or SUBQUAD_INT64 */
  int32_t index_base;  /* what the first index is called: 0, or 1 (Julia, Fortran, MATLAB) */
} subquad_sparse;

/* Where the columns of a matrix are read from: a dense array, a sparse matrix, or a function that writes blocks of them. It
 * holds views: what it was made of must outlive it, and may change between calls. Read-only: any number of calls may share it. */
typedef struct subquad_matrix subquad_matrix;

/* Writes the columns first .. first + count - 1 of a matrix to `block`, column after column: entry i of column first + c at
 * block[c * rows + i], in the matrix's dtype. Called on the thread that made the call, never twice at once. Methods LEVERAGE and
 * GRAM and sketched leverage scores ask for all columns in order, twice; exact scores do so three times; DETERMINISTIC, after
 * three times, asks again for some columns, in any order. Where a sketch has to be drawn again, which is rare, all are asked for once
 * more. The same columns must be written every time.
 * Return 0 to go on, anything else to cancel. */
typedef int32_t (*subquad_column_blocks)(void* user, int64_t first, int64_t count, void* block);

/* A matrix from a dense array.
 *   x: [n, d], float32 or float64, any strides (row-major and column-major are equally good).
 * Owns:    *matrix_out is the caller's; x's data must outlive it.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, SIZE, MEMORY; then *matrix_out = NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_matrix_from_dense(const subquad_array* x, subquad_matrix** matrix_out);

/* A matrix from a sparse one. Offsets and indices are checked by every call that reads the matrix, not here.
 * Owns:    *matrix_out is the caller's; the data of x must outlive it.
 * Errors:  SUBQUAD_ERR_NULL, VALUE (layout, index_base), SHAPE (a negative extent), DTYPE, STRIDE (misaligned), SIZE, MEMORY;
 *          then *matrix_out = NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_matrix_from_sparse(const subquad_sparse* x, subquad_matrix** matrix_out);

/* A matrix from a function that writes blocks of columns, for data that does not fit into memory.
 *   rows, columns: its extents   dtype: SUBQUAD_FLOAT32 or SUBQUAD_FLOAT64
 *   block_columns: most columns to ask for at once; 0 leaves it to the library (about 8 MiB). From 64 on, results do not depend
 *                  on it but for round-off.
 * Owns:    *matrix_out is the caller's; user is passed through, and must stay valid while calls use the matrix.
 * Errors:  SUBQUAD_ERR_NULL, VALUE (block_columns negative), SHAPE (a negative extent), DTYPE, SIZE, MEMORY; then *matrix_out =
 *          NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_matrix_from_blocks(int64_t rows, int64_t columns, int32_t dtype, int64_t block_columns,
                                                      subquad_column_blocks blocks, void* user, subquad_matrix** matrix_out);

/* Release a matrix. NULL is fine.
 * Owns:    ends the caller's ownership; what it was made of stays.
 * Errors:  cannot fail.
 * Threads: not while another call uses it.
 * Since:   0.1 */
SUBQUAD_API void subquad_matrix_destroy(subquad_matrix* matrix);

/* Leverage scores of the columns of x: tau_j = x_j' (X X')^+ x_j = |W' x_j|^2 with W' X X' W = 1.
 *   scores (written): float64 [d]
 *   options: SPARSIFY_SCORES (EXACT, SKETCH; unset: what takes less time), SPARSIFY_DELTA, SEED, CHECK_FINITE.
 *   By sketch they are random, and all at once within the report's SCORE_FACTOR of the exact ones with probability 1 - delta (as
 *   a Gaussian sketch of the same size would have it). Condition numbers of 1e10 in float64 are fine. Rows must be zero or have
 *   norms in [1e-150, 1e153] (float32: [1e-30, 1e30]).
 *   report: may be NULL; SCORES, RANK, CONDITION, SCORE_FACTOR, SKETCH_ROWS, PROJECTIONS, PASSES.
 * Owns:    arrays are the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, ALIAS, SIZE, VALUE (sparse offsets or indices out of order or range),
 *          NONFINITE, OVERFLOW (the norm of a row), MEMORY, WORKSPACE, BUSY, THREADS, CANCELLED.
 * Threads: one call at a time per context. The same bits for any number of its threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_leverage_scores(subquad_context* context, const subquad_options* options,
                                                   const subquad_matrix* x, const subquad_array* scores, subquad_report* report);

/* Columns of x with weights, or a factor, that stand for x in softmax(scale X X'). */
typedef struct subquad_sparsifier subquad_sparsifier;

/* Sparsify x [SPARS]. Y[:, i] = sqrt(weights[i]) X[:, indices[i]], m distinct columns:
 *   LEVERAGE       column j is kept with probability p_j = 1 - exp(-T tau_j) and weight 1 / p_j, tau_j its leverage score, exact
 *                  or by sketch. With SPARSIFY_COLUMNS, T is such that m = SPARSIFY_COLUMNS (fewer where x has fewer that are not
 *                  zero); with SPARSIFY_EPS, T is large enough for a certificate of at most eps with probability 1 - delta. The
 *                  same columns for any number of threads.
 *   DETERMINISTIC  c rank(X) steps choose columns by barriers: e <= 2 sqrt(c) / (c + 1), always. With SPARSIFY_COLUMNS, m is at
 *                  most that many steps, more than the rank; with SPARSIFY_EPS, as few steps as give e <= eps.
 *   GRAM           Y has rank(X) columns, which are not those of X, and e is round-off times the condition number.
 *   m >= d returns X itself, with weights 1.
 *   options: SPARSIFY_METHOD; SPARSIFY_COLUMNS or SPARSIFY_EPS, not both, neither with GRAM; SPARSIFY_DELTA, SPARSIFY_CERTIFY,
 *            SEED, CHECK_FINITE.
 *   report: may be NULL; RANK, CONDITION, WIDTH, STEPS, EPSILON, CERTIFICATE, EPSILON_BOUND, SCORES, SKETCH_ROWS, PROJECTIONS,
 *           PASSES, SECONDS_SELECT, SECONDS_CERTIFY, EPSILON_BARRIERS.
 * Owns:    *sparsifier_out is the caller's; it keeps its own copy of Y, and nothing of x.
 * Errors:  as subquad_leverage_scores; CONFLICT (none or both of columns and eps), VALUE (columns <= rank for DETERMINISTIC),
 *          UNSUPPORTED (CERTIFY ESTIMATE for a matrix of blocks, which is read twice only); then *sparsifier_out = NULL.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsify(subquad_context* context, const subquad_options* options, const subquad_matrix* x,
                                            subquad_sparsifier** sparsifier_out, subquad_report* report);

/* Sparsify queries and keys together, for softmax(scale Q K'): the columns of X = [Q; K].
 *   q: n_q x d   k: n_k x d, the same dtype; dense, sparse or in blocks, each as it is.
 *   Everything else as subquad_sparsify; the first n_q rows of Y are Y_q, the rest Y_k.
 * Owns:    *sparsifier_out is the caller's.
 * Errors:  as subquad_sparsify; SHAPE when q and k have different numbers of columns, DTYPE when their dtypes differ.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsify_pair(subquad_context* context, const subquad_options* options,
                                                 const subquad_matrix* q, const subquad_matrix* k,
                                                 subquad_sparsifier** sparsifier_out, subquad_report* report);

/* Release a sparsifier. NULL is fine.
 * Owns:    ends the caller's ownership.
 * Errors:  cannot fail.
 * Threads: not while another call uses it.
 * Since:   0.1 */
SUBQUAD_API void subquad_sparsifier_destroy(subquad_sparsifier* sparsifier);

/* What an array must be to take Y: y_out gets the dtype of x, ndim = 2, shape [n, m], row-major strides, and data = NULL.
 *   method_out: SUBQUAD_SPARSIFIER_* that made it.   query_rows_out: n_q of a pair; -1 for a single matrix. Both may be NULL.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsifier_describe(const subquad_sparsifier* sparsifier, subquad_array* y_out,
                                                       int32_t* method_out, int64_t* query_rows_out);

/* Copy a sparsifier out.
 *   indices (written): int64 [m], increasing, counted from 0   weights (written): float64 [m], positive   y (written): [n, m]
 *   Each may be NULL. A sparsifier by GRAM has no indices and no weights, unless m >= d made it X itself.
 * Owns:    the arrays are the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, ALIAS, SIZE, UNSET (indices or weights of a GRAM sparsifier).
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsifier_get(const subquad_sparsifier* sparsifier, const subquad_array* indices,
                                                  const subquad_array* weights, const subquad_array* y);

/* The certificate: e, how it was measured (SUBQUAD_CERTIFICATE_NONE, EXACT or ESTIMATE, the last a lower estimate), and r as at
 * the top of this part. Without a certificate e is NaN. Each *_out may be NULL.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsifier_certificate(const subquad_sparsifier* sparsifier, double* epsilon_out,
                                                          int32_t* kind_out, double* radius_out);

/* exp(2 e |scale| r): every entry of softmax(scale Y Y') is within this factor of the true one, where e is exact.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_VALUE when scale is not finite, SUBQUAD_ERR_UNSET without a certificate.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsifier_ratio_bound(const subquad_sparsifier* sparsifier, double scale, double* bound_out);

/* Attention from a sparsifier, without an n x n array:   o = softmax(scale Y Y') v,   for a pair o = softmax(scale Y_q Y_k') v.
 *   v: [n, d_v] (pair: [n_k, d_v])   o (written): [n, d_v] (pair: [n_q, d_v])   lse (written): [n] (pair: [n_q]), may be NULL.
 *   All have the dtype of x.   options: SCALE (unset: 1), CAUSAL, CAUSAL_OFFSET, CHECK_FINITE.   report: may be NULL.
 * Time O(n^2 (m + d_v)), memory beyond the arrays O(n m).
 * Owns:    arrays are the caller's.
 * Errors:  as subquad_attention.
 * Threads: one call at a time per context; any number of calls may use one sparsifier.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsifier_attention(subquad_context* context, const subquad_options* options,
                                                        const subquad_sparsifier* sparsifier, const subquad_array* v,
                                                        const subquad_array* o, const subquad_array* lse, subquad_report* report);

/* The true error of the softmax, with P = softmax(scale X X') and P~ that of the sparsifier (for a pair: of Q K'):
 *   error_out = max |P~_ij - P_ij|,   ratio_out = max exp |log P~_ij - log P_ij|, at most the ratio bound but for round-off.
 * For small n: time O(n^2 d), memory O(n^2).
 *   x: the matrix that was sparsified (the queries of a pair)   k: the keys of a pair, else NULL
 *   options: SCALE (unset: 1), CHECK_FINITE. Either *_out may be NULL.
 * Owns:    nothing is kept.
 * Errors:  as subquad_leverage_scores; SHAPE, DTYPE or CONFLICT where x and k are not what was sparsified.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_sparsifier_softmax_error(subquad_context* context, const subquad_options* options,
                                                            const subquad_sparsifier* sparsifier, const subquad_matrix* x,
                                                            const subquad_matrix* k, double* error_out, double* ratio_out);

/* ---- 11. Adaptive attention ---------------------------------------------------------------------------------- */

/* Method AUTO: softmax attention to a tolerance or within a budget. Each head gets the cheapest of these whose estimated error
 *   e = |O~ - O|_F / |O|_F,   the relative Frobenius error of the head's output,
 * is at most TOL (docs/adaptive.md):
 *   - selected: a window of the last keys, heavy columns (single keys for all queries, sinks among them), groups of 16 keys
 *     chosen for each block of queries, and a far field for all other keys, by their groups' centroids or by a conv basis;
 *   - screened: the logits of all pairs in 8-bit integers, weights and values only where a tile of 64 keys matters to a row;
 *   - exact: every pair, where nothing cheaper meets TOL.
 * Weights and values of the first two are computed in 8-bit integers with a scale per token. With BUDGET instead of TOL, each
 * head gets what has the least estimated error among what computes no more pairs, as the sampled rows count them; where nothing
 * computes so few, what computes the fewest.
 *   The estimate compares sampled rows, not those that the choice was made on, with exact attention; ERROR_LOW .. ERROR_HIGH
 * is a 95 % interval for it. It is an estimate, not a bound. ESTIMATE_SCREENED: every row has been screened against every key, so
 * a key that a single query needs cannot hide (MISSED_MASS bounds what any row lost). ESTIMATE_SAMPLED: such a key is found where
 * its group's mean shows it. Planning aims at no more than 8 % of exact attention's predicted time.
 *   STRICT_CAUSAL, with CAUSAL: what a query gets depends on earlier tokens only: heads are planned in stretches that double in
 * length, each from the tokens before it, and parts are chosen for single rows; appending tokens changes no bit of earlier
 * outputs.
 *
 * A plan is what was decided for queries and keys, to be applied to any number of values. It keeps its own copy of q, k, lag_bias
 * and key_ranges, and is read-only once made: share it between threads. */
typedef struct subquad_plan subquad_plan;

/* Plan attention for queries and keys.
 *   q, k, lag_bias, key_ranges: as in subquad_attention.   v: [.., H_kv, n_k, d_v] on which errors are estimated, or NULL: random
 *   values, independent and of variance 1, drawn by SEED.
 *   options: METHOD AUTO or unset, TOL or BUDGET (one of them), ESTIMATE, PARTS, STRICT_CAUSAL, SEED and those of
 *   subquad_attention for METHOD EXACT.
 *   report: may be NULL; PARTS, PAIRS, PAIRS_EXACT, PAIRS_LOW, PAIRS_SCREENED, ERROR, ERROR_LOW, ERROR_HIGH, FALLBACK, ESTIMATE,
 *   WINDOW, HEAVY_COLUMNS, SELECTED_KEYS, CONV_BASES, HEAD_SECONDS_PLAN, SAMPLED_ROWS, SEED. PAIRS_LOW is here what the sampled
 *   rows let expect.
 * Owns:    *plan_out is the caller's; the arrays are copied.
 * Errors:  as subquad_attention; CONFLICT for none or both of TOL and BUDGET, for another METHOD, and for STRICT_CAUSAL without
 *          CAUSAL; then *plan_out = NULL.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_plan_create(subquad_context* context, const subquad_options* options, const subquad_array* q,
                                               const subquad_array* k, const subquad_array* v, const subquad_array* lag_bias,
                                               const subquad_array* key_ranges, subquad_plan** plan_out, subquad_report* report);

/* Release a plan. NULL is fine.
 * Owns:    ends the caller's ownership.
 * Errors:  cannot fail.
 * Threads: not while another call uses it.
 * Since:   0.1 */
SUBQUAD_API void subquad_plan_destroy(subquad_plan* plan);

/* The report of the call that made a plan.
 * Owns:    report is overwritten.
 * Errors:  SUBQUAD_ERR_NULL, MEMORY.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_plan_report(const subquad_plan* plan, subquad_report* report);

/* What the outputs of a plan must be: o_out and lse_out get the dtype, ndim, shape, row-major strides, and data = NULL, for values
 * of d_v columns. n_k_out, kv_heads_out: what v must have. Each *_out may be NULL.
 * Owns:    nothing.
 * Errors:  SUBQUAD_ERR_NULL, SUBQUAD_ERR_VALUE for a negative d_v, SIZE.
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_plan_describe(const subquad_plan* plan, int64_t d_v, subquad_array* o_out, subquad_array* lse_out,
                                                 int64_t* n_k_out, int64_t* kv_heads_out);

/* Attention as planned:   o ~ D^-1 A v,   lse ~ log of D's diagonal.
 *   v: [.., H_kv, n_k, d_v]   o (written): [.., H_q, n_q, d_v]   lse (written): [.., H_q, n_q], may be NULL; as in subquad_attention.
 *   Output i does not change by a bit when values j that query i does not see do; but for conv far fields, where it changes by
 *   round-off of the values that share a transform.
 *   options: CHECK_FINITE.   report: may be NULL; that of the plan, with the PAIRS_* that were computed, MISSED_MASS and
 *   HEAD_SECONDS_APPLY; ERROR is still that of the values the plan was made with.
 * Owns:    arrays are the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, ALIAS, SIZE, NONFINITE, OVERFLOW, MEMORY, WORKSPACE, BUSY, THREADS, CANCELLED.
 * Threads: one call at a time per context; any number of calls may use one plan. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_plan_apply(subquad_context* context, const subquad_options* options, const subquad_plan* plan,
                                              const subquad_array* v, const subquad_array* o, const subquad_array* lse,
                                              subquad_report* report);

/* Gradients of attention as planned. The pairs that the plan computes are differentiated as in subquad_attention_backward, with
 * P[i,j] = exp(s[i,j] - lse[i]) and the plan's own o and lse; pairs that screening left out, and far fields, have no part in dq and
 * dk, and conv far fields add their transposed product to dv. Exact heads get exact gradients.
 *   v: as applied   o, lse: what subquad_plan_apply returned   d_o: [.., H_q, n_q, d_v]
 *   dq, dk, dv (written): shaped like q, k, v; each may be NULL.
 *   report: may be NULL; that of the plan, and ERROR_BACKWARD: the relative Frobenius error of dq, per head, on sampled rows.
 * Owns:    arrays are the caller's.
 * Errors:  as subquad_plan_apply.
 * Threads: one call at a time per context; any number of calls may use one plan. The same bits for any number of threads.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_plan_backward(subquad_context* context, const subquad_options* options, const subquad_plan* plan,
                                                 const subquad_array* v, const subquad_array* o, const subquad_array* lse,
                                                 const subquad_array* d_o, const subquad_array* dq, const subquad_array* dk,
                                                 const subquad_array* dv, subquad_report* report);

/* ---- 12. Partial results -------------------------------------------------------------------------------------- */

/* Join attention over disjoint sets of keys, each computed by its own call (see KEY_OFFSET):
 *   lse[i] = log sum_p exp(lse_p[i]),   o[i,:] = sum_p exp(lse_p[i] - lse[i]) o_p[i,:];   0 and -inf where every lse_p is -inf.
 *   o_parts, lse_parts: count >= 1 array views each, [.., n_q, d_v] and [.., n_q], all of one shape and dtype.
 *   o, lse (written): of the same shape; lse may be NULL. They may be the very views of one part (in place).
 *   options: CHECK_FINITE; the others are ignored.
 * Owns:    arrays are the caller's.
 * Errors:  SUBQUAD_ERR_NULL, VALUE (count not in [1, 2^20]), SHAPE, DTYPE, STRIDE, ALIAS, SIZE, NONFINITE (o_parts; NaN or
 *          +inf in lse_parts), MEMORY, BUSY, THREADS, CANCELLED.
 * Threads: one call at a time per context.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_attention_merge(subquad_context* context, const subquad_options* options, int64_t count,
                                                   const subquad_array* o_parts, const subquad_array* lse_parts,
                                                   const subquad_array* o, const subquad_array* lse);

/* ---- 13. Test data ------------------------------------------------------------------------------------------- */

/* Fill an array with reproducible numbers: element number i in row-major order is a pure function of (seed, stream, i),
 *   x[i] = low + (high - low) u,   u = w / 2^24 with w the top 24 bits of word i mod 4 of Philox4x32-10(counter = (i / 4,
 *   stream), key = seed).
 * The same in every language, on every machine, for any number of threads: tests and conformance vectors are made with it.
 *   x: any shape, float32 or float64 (written). The arithmetic is done in double, then rounded to the dtype.
 * Owns:    the array is the caller's.
 * Errors:  SUBQUAD_ERR_NULL, SHAPE, DTYPE, STRIDE, SIZE, VALUE (low, high or high - low not finite, low > high).
 * Threads: any.
 * Since:   0.1 */
SUBQUAD_API subquad_status subquad_fill_uniform(const subquad_array* x, uint64_t seed, uint64_t stream, double low, double high);

#ifdef __cplusplus
}
#endif

#endif
