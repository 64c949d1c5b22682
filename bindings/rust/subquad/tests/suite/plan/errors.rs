//! Refused calls of method auto: the code, and a text that names the option or argument and the value.

use ndarray::{Array2, Array3, Array4};
use subquad::{Attention, Context, GradientsMut, PlanOptions, sys};

use super::kinds::{LONG, kinds};
use crate::errors::assert_refused;
use crate::problem::Problem;

type Setting = fn(Attention<'_, f32>) -> Attention<'_, f32>;

/// Both of what makes a plan.
fn refused(set: Setting, code: i32, words: &[&str]) {
    let x = Array2::<f32>::ones((8, 2));
    assert_refused(set(Attention::new()).run(&x, &x, &x), code, words);
    assert_refused(set(Attention::new()).plan(&x, &x, None), code, words);
}

#[test]
fn options_out_of_bounds() {
    let cases: [(Setting, &[&str]); 10] = [
        (|a| a.tol(1.5), &["tol", "1.5"]),
        (|a| a.tol(-0.25), &["tol", "-0.25"]),
        (|a| a.tol(f64::NAN), &["tol", "nan"]),
        (|a| a.budget(-1.0), &["budget", "-1"]),
        (|a| a.budget(f64::INFINITY), &["budget", "inf"]),
        (|a| a.tol(0.1).estimate(3), &["estimate", "3"]),
        (|a| a.tol(0.1).estimate(0), &["estimate", "0"]),
        (|a| a.tol(0.1).parts(32), &["parts", "32"]),
        (|a| a.tol(0.1).parts(-1), &["parts", "-1"]),
        (|a| a.tol(0.1).seed(-7), &["seed", "-7"]),
    ];
    for (set, words) in cases {
        refused(set, sys::SUBQUAD_ERR_VALUE, words);
    }
}

#[test]
fn options_that_contradict() {
    let (none, both): (Setting, Setting) = (
        |a| a.method(sys::SUBQUAD_METHOD_AUTO),
        |a| a.tol(0.1).budget(0.25),
    );
    refused(none, sys::SUBQUAD_ERR_CONFLICT, &["tol", "budget"]);
    refused(
        both,
        sys::SUBQUAD_ERR_CONFLICT,
        &["tol", "budget", "0.1", "0.25"],
    );
    // What exact attention has no use for, wherever in the expression it is named.
    let x = Array2::<f32>::ones((8, 2));
    let run = |attention: Attention<'_, f32>| attention.run(&x, &x, &x);
    let exact = Attention::new().tol(0.1).method(sys::SUBQUAD_METHOD_EXACT);
    assert_refused(run(exact), sys::SUBQUAD_ERR_CONFLICT, &["tol", "0.1"]);
    let exact = Attention::new().method(sys::SUBQUAD_METHOD_EXACT);
    let budget = exact.budget(0.5);
    assert_refused(run(budget), sys::SUBQUAD_ERR_CONFLICT, &["budget", "0.5"]);
    let estimate = Attention::new().estimate(sys::SUBQUAD_ESTIMATE_SAMPLED);
    assert_refused(run(estimate), sys::SUBQUAD_ERR_CONFLICT, &["estimate", "sampled"]);
    let parts = Attention::new().parts(sys::SUBQUAD_PART_HEAVY);
    assert_refused(run(parts), sys::SUBQUAD_ERR_CONFLICT, &["parts", "heavy"]);
    // There is a plan only where there is a choice.
    let conv = Attention::new().method(sys::SUBQUAD_METHOD_CONV_BASIS);
    let result = conv.causal(true).bases(2).plan(&x, &x, None);
    assert_refused(result, sys::SUBQUAD_ERR_CONFLICT, &["method"]);
    let none = Attention::new().plan(&x, &x, None);
    assert_refused(none, sys::SUBQUAD_ERR_CONFLICT, &["tol", "budget"]);
}

#[test]
fn queries_keys_and_values_that_do_not_fit() {
    let attention = Attention::new().tol(0.1).causal(true);
    let (q, k) = (Array2::<f64>::ones((8, 3)), Array2::ones((8, 4)));
    let result = attention.plan(&q, &k, None);
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["k", "4", "3"]);
    let short = Array2::ones((7, 3));
    let result = attention.plan(&q, &short, None);
    assert_refused(result, sys::SUBQUAD_ERR_CONFLICT, &["causal_offset"]);
    let result = attention.plan(&q, &q, Some(&short));
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["v", "7", "8"]);
    let mut bad = q.clone();
    bad[[5, 1]] = f64::NAN;
    let result = attention.plan(&q, &bad, None);
    assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["k", "5, 1"]);
    let result = attention.plan(&q, &q, Some(&bad));
    assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["v", "5, 1"]);
}

#[test]
fn what_a_plan_is_not_for() {
    let (q, k) = (Array3::<f32>::ones((4, 9, 3)), Array3::ones((2, 12, 3)));
    let plan = Attention::new().tol(0.1).plan(&q, &k, None).unwrap();
    let options = PlanOptions::new();
    let v = Array3::<f32>::ones((2, 12, 5));
    let output = plan.apply(&v, &options).unwrap();
    assert_eq!(output.o.dim(), (4, 9, 5));

    let apply = |v: &Array3<f32>| plan.apply(v, &options);
    let result = apply(&Array3::ones((4, 12, 5)));
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["v", "4", "2"]);
    let result = apply(&Array3::ones((2, 9, 5)));
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["v", "9", "12"]);
    let mut bad = v.clone();
    bad[[1, 2, 3]] = f32::INFINITY;
    assert_refused(apply(&bad), sys::SUBQUAD_ERR_NONFINITE, &["v", "1, 2, 3"]);
    let unchecked = options.clone().check_finite(false);
    assert!(plan.apply(&bad, &unchecked).is_ok());

    let mut wrong = Array3::from_elem((4, 9, 4), 7.0);
    let result = plan.apply_into(&v, &mut wrong, None, &options);
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["o", "4", "5"]);
    assert!(wrong.iter().all(|&o| o == 7.0));

    let result = plan.backward(&v, &output.o, &output.lse, &wrong, &options);
    assert_refused(result, sys::SUBQUAD_ERR_SHAPE, &["d_o", "4", "5"]);
    let mut d_lag_bias = Array2::zeros((1, 5));
    let gradients = GradientsMut {
        d_lag_bias: Some(&mut d_lag_bias),
        ..GradientsMut::default()
    };
    let o = &output.o;
    let result = plan.backward_into(&v, o, &output.lse, o, gradients, &options);
    assert_refused(
        result,
        sys::SUBQUAD_ERR_UNSUPPORTED,
        &["d_lag_bias", "[1, 5]"],
    );
}

#[test]
fn a_workspace_limit_is_kept() {
    let problem = kinds::<f32>(LONG, 0).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let plan = problem.attention().tol(0.1).plan(q, k, None).unwrap();
    let mut context = Context::new().unwrap();
    context.set_workspace_limit(1000).unwrap();
    let result = problem
        .attention()
        .tol(0.1)
        .context(&context)
        .plan(q, k, None);
    assert_refused(result, sys::SUBQUAD_ERR_WORKSPACE, &["1000"]);
    let result = plan.apply(v, &PlanOptions::new().context(&context));
    assert_refused(result, sys::SUBQUAD_ERR_WORKSPACE, &["1000"]);
    context.set_workspace_limit(0).unwrap();
    let result = plan.apply(v, &PlanOptions::new().context(&context));
    assert!(result.is_ok());
}

#[test]
fn results_too_large_for_memory() {
    // Broadcast views are as large as their shape says without taking memory.
    let x = Array4::<f64>::ones((1, 1, 3, 2));
    let plan = Attention::new().tol(0.1).plan(&x, &x, None).unwrap();
    let one = Array4::<f64>::ones((1, 1, 1, 1));
    let wide = one.broadcast((1, 1, 3, 1 << 58)).unwrap();
    let result = plan.apply(&wide, &PlanOptions::new());
    assert_refused(
        result,
        sys::SUBQUAD_ERR_MEMORY,
        &["o", &(1_u64 << 58).to_string()],
    );
}
