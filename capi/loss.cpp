// The training problem of the conv-basis paper: squared error of one attention layer, and its gradient.
#include "core/attention/loss.hpp"

#include <cmath>
#include <optional>

#include "capi/arrays.hpp"
#include "capi/attention_arguments.hpp"
#include "capi/barrier.hpp"
#include "capi/context.hpp"
#include "capi/conv_attention.hpp"
#include "core/attention/exact.hpp"
#include "core/attention/overflow_check.hpp"
#include "core/base/text.hpp"

using namespace subquad;
using capi::Argument;

namespace {

struct LossArguments {
  Argument a1, a2, a3, x, y, e, grad_x;

  void check() const {
    capi::check_array(a1, 2, 2);
    capi::check_floating(a1);
    const int64_t n = a1->shape[0], d = a1->shape[1];
    if (d == 0) throw Error(Status::err_shape, "a1 has shape " + capi::shape_text(*a1.array) + ": d, its last extent, is 0");
    for (const Argument& argument : {a2, a3, x, y, e}) {
      capi::check_array(argument, 2, 2);
      capi::check_dtype(argument, a1->dtype, "as a1");
    }
    capi::check_shape(a2, {n, d}, "as a1");
    capi::check_shape(a3, {n, d}, "as a1");
    capi::check_shape(x, {d, d}, "([d, d])");
    capi::check_shape(y, {d, y.extent(1)}, "([d, d_v])");
    capi::check_shape(e, {n, y.extent(1)}, "([n, d_v])");
    if (!grad_x) return;
    capi::check_array(grad_x, 2, 2);
    capi::check_dtype(grad_x, a1->dtype, "as a1");
    capi::check_shape(grad_x, {d, d}, "as x");
    capi::check_output(grad_x, {a1, a2, a3, x, y, e});
  }
};

// A dense matrix in the workspace of a call.
template <class T>
struct Matrix {
  Lease<T> data;
  int64_t rows, columns;

  Matrix(Execution& run, int64_t rows_of, int64_t columns_of)
      : data(run.workspace, rows_of * columns_of), rows(rows_of), columns(columns_of) {}
  View<T, 2> view() const { return {data.get(), {rows, columns}, {columns, 1}}; }
  View<const T, 2> input() const { return {data.get(), {rows, columns}, {columns, 1}}; }
  View<T, 4> head() const { return {data.get(), {1, 1, rows, columns}, {rows * columns, rows * columns, columns, 1}}; }
  View<const T, 4> input_head() const {
    return {data.get(), {1, 1, rows, columns}, {rows * columns, rows * columns, columns, 1}};
  }
};

template <class T>
class LossCall {
 public:
  LossCall(Execution& run, const LossArguments& arguments, const subquad_options& options, capi::CallReport& call)
      : run_(run),
        a_(arguments),
        options_(options),
        call_(call),
        checks_(options.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0),
        n_(arguments.a1->shape[0]),
        d_(arguments.a1->shape[1]),
        d_v_(arguments.y->shape[1]),
        q_(run, n_, d_),
        v_(run, n_, d_v_),
        o_(run, n_, d_v_),
        lse_(run, n_, 1),
        d_o_(run, n_, d_v_) {
    for (const Argument& argument : {a_.a1, a_.a2, a_.a3, a_.x, a_.y, a_.e}) {
      if (checks_) capi::check_finite<T>(run, argument);
    }
    attention::matrix_product<T>(run, input(a_.a1), input(a_.x), q_.view());
    attention::matrix_product<T>(run, input(a_.a3), input(a_.y), v_.view());
    problem_.q = q_.input_head();
    problem_.k = capi::view_of<const T, 4>(a_.a2);
    problem_.v = v_.input_head();
    problem_.causal = true;
    problem_.scale = options.is_set(SUBQUAD_OPTION_SCALE) ? options.get_float(SUBQUAD_OPTION_SCALE) : 1.0;
  }

  const attention::Problem<T>& problem() const { return problem_; }

  double loss_exact() {
    attention::exact_forward<T>(run_, problem_, checks_, o_.head(), lse());
    return error();
  }
  void gradient_exact() {
    attention::exact_backward<T>(run_, problem_, checks_, o_.input_head(), {lse_.data.get(), {1, 1, n_}, {n_, n_, 1}},
                                 d_o_.input_head(), gradients());
    store_gradient();
  }

  double loss_with(const attention::ConvBasis<T>& basis) {
    capi::conv_attention<T>(run_, basis, problem_.v, options_, call_, o_.head(), {});
    return error();
  }
  const char* gradient_with(const attention::ConvBasis<T>& basis) {
    const char* method = capi::conv_attention_backward<T>(run_, basis, problem_, options_, call_, d_o_.input_head(), gradients());
    store_gradient();
    return method;
  }

  void check_results(double value) const {
    if (!std::isfinite(value)) throw Error(Status::err_overflow, "loss_out overflows: the squared error is " + text(value));
    attention::check_no_overflow<T>(run_, capi::view_of<T, 4>(a_.grad_x), "grad_x");
  }

 private:
  static View<const T, 2> input(const Argument& argument) { return capi::view_of<const T, 2>(argument); }
  View<T, 3> lse() const { return {lse_.data.get(), {1, 1, n_}, {n_, n_, 1}}; }

  double error() { return attention::squared_error<T>(run_, o_.input(), input(a_.e), d_o_.view()); }

  attention::Gradients<T> gradients() {
    d_q_.emplace(run_, n_, d_);
    return {d_q_->head(), {}, {}, {}};
  }
  void store_gradient() { attention::transposed_product<T>(run_, input(a_.a1), d_q_->input(), capi::view_of<T, 2>(a_.grad_x)); }

  Execution& run_;
  const LossArguments& a_;
  const subquad_options& options_;
  capi::CallReport& call_;
  const bool checks_;
  const int64_t n_, d_, d_v_;
  const Matrix<T> q_, v_, o_, lse_, d_o_;
  std::optional<Matrix<T>> d_q_;
  attention::Problem<T> problem_;
};

}  // namespace

subquad_status subquad_attention_loss(subquad_context* context, const subquad_options* options, const subquad_array* a1,
                                      const subquad_array* a2, const subquad_array* a3, const subquad_array* x,
                                      const subquad_array* y, const subquad_array* e, double* loss_out,
                                      const subquad_array* grad_x, subquad_report* report) {
  return capi::guarded([&] {
    const capi::ContextUse use(context);
    capi::CallReport call;
    const subquad_options& settings = capi::options_or_default(options);
    const LossArguments arguments{{"a1", a1}, {"a2", a2}, {"a3", a3}, {"x", x}, {"y", y}, {"e", e}, {"grad_x", grad_x}};
    capi::required(loss_out, "loss_out");
    arguments.check();
    capi::check_method_options(settings);
    Execution run = use.execution();
    capi::with_floating(a1->dtype, [&](auto zero) {
      LossCall<decltype(zero)> loss(run, arguments, settings, call);
      const char* method = "exact";
      double value = 0;
      if (settings.get_int(SUBQUAD_OPTION_METHOD) == SUBQUAD_METHOD_EXACT) {
        value = loss.loss_exact();
        if (grad_x != nullptr) loss.gradient_exact();
      } else {
        capi::check_conv_problem(loss.problem(), settings);
        const auto basis = capi::basis_of_problem(run, loss.problem(), settings, call);
        value = loss.loss_with(basis);
        method = grad_x != nullptr ? loss.gradient_with(basis) : "conv_basis";
      }
      if (settings.get_int(SUBQUAD_OPTION_CHECK_FINITE) != 0) loss.check_results(value);
      *loss_out = value;
      call.write(report, run, method, loss.problem().pairs());
    });
  });
}
