//! Gradients of heads that are approximated, held against exact ones.

use ndarray::Array4;
use subquad::PlanOptions;

use super::budget::head_errors;
use super::kinds::{LONG, kinds};
use crate::problem::{Problem, Real, uniform};

in_both_precisions!(gradients_of_approximated_heads, a_call_and_its_gradients,);

/// No tolerance is promised of gradients, but they must be nearer to the exact ones than none at all, which would err by 1.
fn gradients_of_approximated_heads<T: Real>() {
    let problem = kinds::<T>(LONG, 0).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let attention = problem.attention();
    let exact = attention.run(q, k, v).unwrap();
    let d_o: Array4<T> = uniform(v.raw_dim(), 9);
    let expected = attention
        .backward(q, k, v, &exact.o, &exact.lse, &d_o)
        .unwrap();
    let plan = problem.attention().tol(0.02).plan(q, k, Some(v)).unwrap();
    let options = PlanOptions::new();
    let output = plan.apply(v, &options).unwrap();
    let gradients = plan
        .backward(v, &output.o, &output.lse, &d_o, &options)
        .unwrap();
    let errors = [
        head_errors(&gradients.dq, &expected.dq),
        head_errors(&gradients.dk, &expected.dk),
        head_errors(&gradients.dv, &expected.dv),
    ];
    assert!(
        errors.iter().flatten().all(|&error| error < 1.0),
        "{errors:?}"
    );
    let heads = gradients.report.heads().unwrap();
    assert!(heads.iter().any(|head| !head.is_exact()));
    for head in heads {
        let measured = head.error_backward.unwrap();
        assert_eq!(measured == 0.0, head.is_exact(), "{head:?}");
        assert!((0.0..1.0).contains(&measured), "{head:?}");
    }
}

fn a_call_and_its_gradients<T: Real>() {
    let problem = kinds::<T>(LONG, 0).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let attention = problem.attention().tol(0.05);
    let output = attention.run(q, k, v).unwrap();
    let d_o = uniform(v.raw_dim(), 9);
    let gradients = attention
        .backward(q, k, v, &output.o, &output.lse, &d_o)
        .unwrap();
    let plan = attention.plan(q, k, Some(v)).unwrap();
    let planned = plan
        .backward(v, &output.o, &output.lse, &d_o, &PlanOptions::new())
        .unwrap();
    assert!(gradients.dq == planned.dq && gradients.dk == planned.dk && gradients.dv == planned.dv);
}
