// Sparsifiers: what they hold, and attention from them.
#include "capi/sparsifier.hpp"

#include <cmath>
#include <limits>

#include "capi/arrays.hpp"
#include "capi/barrier.hpp"
#include "capi/call_report.hpp"
#include "capi/context.hpp"
#include "capi/matrix.hpp"
#include "capi/options.hpp"
#include "core/attention/exact.hpp"
#include "core/base/text.hpp"
#include "core/sparsify/softmax_error.hpp"

using namespace subquad;
using capi::Argument;
using capi::required;
using sparsify::Certificate;
using sparsify::Method;

namespace {

double scale_of(const subquad_options& options) {
  return options.is_set(SUBQUAD_OPTION_SCALE) ? options.get_float(SUBQUAD_OPTION_SCALE) : 1.0;
}

// Y_q and Y_k as queries and keys of one head.
template <class T>
struct Operands {
  View<const T, 4> q, k;

  explicit Operands(const sparsify::Sparsifier<T>& s) {
    const int64_t rows = s.query_rows < 0 ? s.rows : s.query_rows;
    q = {s.y.data(), {1, 1, rows, s.width}, {0, 0, s.width, 1}};
    k = q;
    if (s.query_rows >= 0) k = {s.y.data() + rows * s.width, {1, 1, s.rows - rows, s.width}, {0, 0, s.width, 1}};
  }
};

template <class T>
attention::Problem<T> problem_of(const sparsify::Sparsifier<T>& s, const subquad_options& options, const Argument& v) {
  const Operands<T> operands(s);
  attention::Problem<T> problem;
  problem.q = operands.q;
  problem.k = operands.k;
  problem.v = capi::view_of<const T, 4>(v);
  problem.scale = scale_of(options);
  problem.causal = options.get_int(SUBQUAD_OPTION_CAUSAL) != 0;
  if (options.is_set(SUBQUAD_OPTION_CAUSAL_OFFSET)) {
    problem.causal_offset = options.get_int(SUBQUAD_OPTION_CAUSAL_OFFSET);
  } else if (problem.causal && problem.n_q() != problem.n_k()) {
    throw Error(Status::err_conflict,
                "causal_offset is unset, but n_q = " + text(problem.n_q()) + " and n_k = " + text(problem.n_k()) + " differ");
  }
  return problem;
}

void check_operand(const Argument& argument, int32_t dtype, int32_t ndim) {
  capi::check_array(argument, ndim, ndim);
  capi::check_dtype(argument, dtype, "as the sparsifier");
}

}  // namespace

void subquad_sparsifier_destroy(subquad_sparsifier* sparsifier) { delete sparsifier; }

subquad_status subquad_sparsifier_describe(const subquad_sparsifier* sparsifier, subquad_array* y_out, int32_t* method_out,
                                           int64_t* query_rows_out) {
  return capi::guarded([&] {
    required(sparsifier, "sparsifier");
    required(y_out, "y_out");
    sparsifier->visit([&](const auto& s) {
      *y_out = {nullptr, sparsifier->dtype(), 2, {s.rows, s.width, 0, 0}, {s.width, 1, 0, 0}};
      if (method_out != nullptr) {
        *method_out = s.method == Method::leverage        ? SUBQUAD_SPARSIFIER_LEVERAGE
                      : s.method == Method::deterministic ? SUBQUAD_SPARSIFIER_DETERMINISTIC
                                                          : SUBQUAD_SPARSIFIER_GRAM;
      }
      if (query_rows_out != nullptr) *query_rows_out = s.query_rows;
    });
  });
}

subquad_status subquad_sparsifier_get(const subquad_sparsifier* sparsifier, const subquad_array* indices,
                                      const subquad_array* weights, const subquad_array* y) {
  return capi::guarded([&] {
    required(sparsifier, "sparsifier");
    const Argument indices_output{"indices", indices}, weights_output{"weights", weights}, y_output{"y", y};
    sparsifier->visit([&](const auto& s) {
      using T = typename std::decay_t<decltype(s)>::value_type;
      std::vector<Argument> others;
      const auto check = [&](const Argument& output, int32_t dtype, const std::vector<int64_t>& shape, const char* reason) {
        if (!output) return;
        const bool list = shape.size() == 1;
        if (list && !s.has_columns)
          throw Error(Status::err_unset, std::string(output.name) + ": a sparsifier by method gram is not made of columns");
        capi::check_array(output, static_cast<int32_t>(shape.size()), static_cast<int32_t>(shape.size()));
        capi::check_dtype(output, dtype, reason);
        capi::check_shape(output, shape, reason);
        capi::check_output(output, others);
        others.push_back(output);
      };
      check(indices_output, SUBQUAD_INT64, {s.width}, "([m])");
      check(weights_output, SUBQUAD_FLOAT64, {s.width}, "([m])");
      check(y_output, sparsifier->dtype(), {s.rows, s.width}, "([n, m], as x)");
      const auto index_view = capi::view_of<int64_t, 1>(indices_output);
      const auto weight_view = capi::view_of<double, 1>(weights_output);
      const auto y_view = capi::view_of<T, 2>(y_output);
      for (int64_t c = 0; c < s.width; ++c) {
        if (indices_output) *index_view.at(c) = s.indices[static_cast<size_t>(c)];
        if (weights_output) *weight_view.at(c) = s.weights[static_cast<size_t>(c)];
        for (int64_t i = 0; y_output && i < s.rows; ++i) *y_view.at(i, c) = s.y[static_cast<size_t>(i * s.width + c)];
      }
    });
  });
}

subquad_status subquad_sparsifier_certificate(const subquad_sparsifier* sparsifier, double* epsilon_out, int32_t* kind_out,
                                              double* radius_out) {
  return capi::guarded([&] {
    required(sparsifier, "sparsifier");
    sparsifier->visit([&](const auto& s) {
      if (epsilon_out != nullptr) *epsilon_out = s.epsilon;
      if (kind_out != nullptr) {
        *kind_out = s.certificate == Certificate::exact      ? SUBQUAD_CERTIFICATE_EXACT
                    : s.certificate == Certificate::estimate ? SUBQUAD_CERTIFICATE_ESTIMATE
                                                             : SUBQUAD_CERTIFICATE_NONE;
      }
      if (radius_out != nullptr) *radius_out = s.radius;
    });
  });
}

subquad_status subquad_sparsifier_ratio_bound(const subquad_sparsifier* sparsifier, double scale, double* bound_out) {
  return capi::guarded([&] {
    required(sparsifier, "sparsifier");
    required(bound_out, "bound_out");
    if (!std::isfinite(scale)) throw Error(Status::err_value, "scale is " + text(scale) + ", not finite");
    sparsifier->visit([&](const auto& s) {
      if (s.certificate == Certificate::none) throw Error(Status::err_unset, "sparsifier has no certificate");
      *bound_out = s.epsilon == 0 ? 1 : std::exp(2 * s.epsilon * std::abs(scale) * s.radius);
    });
  });
}

subquad_status subquad_sparsifier_attention(subquad_context* context, const subquad_options* given,
                                            const subquad_sparsifier* sparsifier, const subquad_array* v, const subquad_array* o,
                                            const subquad_array* lse, subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    required(sparsifier, "sparsifier");
    const subquad_options& options = capi::options_or_default(given);
    const Argument values{"v", v}, output{"o", o}, lse_output{"lse", lse};
    Execution run = use.execution();
    sparsifier->visit([&](const auto& s) {
      using T = typename std::decay_t<decltype(s)>::value_type;
      const Operands<T> operands(s);
      const int64_t n_q = operands.q.shape[2], n_k = operands.k.shape[2];
      check_operand(values, sparsifier->dtype(), 2);
      capi::check_shape(values, {n_k, values.extent(1)}, "to fit the sparsifier ([n_k, d_v])");
      check_operand(output, sparsifier->dtype(), 2);
      capi::check_shape(output, {n_q, values.extent(1)}, "([n_q, d_v])");
      capi::check_output(output, {values});
      if (lse_output) {
        check_operand(lse_output, sparsifier->dtype(), 1);
        capi::check_shape(lse_output, {n_q}, "([n_q])");
        capi::check_output(lse_output, {values, output});
      }
      const auto problem = problem_of(s, options, values);
      const bool check_values = options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0;
      if (check_values) capi::check_finite<T>(run, values);
      attention::exact_forward<T>(run, problem, check_values, capi::view_of<T, 4>(output), capi::view_of<T, 3>(lse_output));
      call.write(report, run, "exact", problem.pairs());
    });
  });
}

subquad_status subquad_sparsifier_softmax_error(subquad_context* context, const subquad_options* given,
                                                const subquad_sparsifier* sparsifier, const subquad_matrix* x,
                                                const subquad_matrix* k, double* error_out, double* ratio_out) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    required(sparsifier, "sparsifier");
    const subquad_options& options = capi::options_or_default(given);
    Execution run = use.execution();
    sparsifier->visit([&](const auto& s) {
      using T = typename std::decay_t<decltype(s)>::value_type;
      const bool pair = s.query_rows >= 0;
      if (pair && k == nullptr) throw Error(Status::err_conflict, "k is null, but the sparsifier is one of queries and keys");
      if (!pair && k != nullptr) throw Error(Status::err_conflict, "k is given, but the sparsifier is one of a single matrix");
      std::vector<capi::MatrixArgument> matrices{{"x", x}};
      if (pair) matrices.push_back({"k", k});
      capi::check_matrices(matrices);
      if (x->dtype != sparsifier->dtype())
        throw Error(Status::err_dtype,
                    "x has the " + capi::dtype_text(x->dtype) + ", the sparsifier the " + capi::dtype_text(sparsifier->dtype()));
      const int64_t wanted[] = {pair ? s.query_rows : s.rows, s.rows - s.query_rows};
      for (size_t i = 0; i < matrices.size(); ++i) {
        if (matrices[i].matrix->rows == wanted[i]) continue;
        throw Error(Status::err_shape, std::string(matrices[i].name) + " has " + text(matrices[i].matrix->rows) +
                                           " rows, the sparsifier has " + text(wanted[i]));
      }
      const auto check = options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0;
      const auto error = sparsify::softmax_error<T>(run, capi::columns_of<T>(matrices), s, scale_of(options), check);
      if (error_out != nullptr) *error_out = error.largest;
      if (ratio_out != nullptr) *ratio_out = error.ratio;
    });
  });
}
