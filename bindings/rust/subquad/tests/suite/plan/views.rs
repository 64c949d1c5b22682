//! Views of every kind of strides, of what is planned and of what a plan is applied to.

use ndarray::{Array3, Array4, s};
use subquad::{GradientsMut, PlanOptions};

use super::kinds::kinds;
use crate::problem::{Problem, Real};
use crate::views::{LAYOUTS, relaid};

in_both_precisions!(inputs, outputs, gradients);

/// Just long enough for some of the heads to be approximated.
const N: usize = 1500;

fn inputs<T: Real>() {
    let problem = kinds::<T>(N, 0).causal(None);
    let options = PlanOptions::new();
    let of = |[q, k, v]: [&Array4<T>; 3]| {
        let attention = problem.attention().tol(0.1);
        let call = attention.run(q, k, v).unwrap();
        let plan = attention.plan(q, k, Some(v)).unwrap();
        let output = plan.apply(v, &options).unwrap();
        assert!(output.o == call.o && output.lse == call.lse);
        output
    };
    let plain = of([&problem.q, &problem.k, &problem.v]);
    for kind in LAYOUTS {
        let [q, k, v] = [&problem.q, &problem.k, &problem.v].map(|x| relaid(x, kind));
        let output = of([&q, &k, &v]);
        assert!(output.o == plain.o && output.lse == plain.lse, "{kind}");
    }
}

fn outputs<T: Real>() {
    let problem = kinds::<T>(N, 1).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let attention = problem.attention().tol(0.1);
    let plan = attention.plan(q, k, Some(v)).unwrap();
    let options = PlanOptions::new();
    let expected = plan.apply(v, &options).unwrap();
    let (_, heads, _, d_v) = expected.o.dim();
    let gap = T::of(-77.0);
    let mut wide = Array4::from_elem((1, N, heads, 2 * d_v + 1), gap);
    let mut lse = Array3::from_elem((N, heads, 1), gap);
    let mut o = wide.view_mut().permuted_axes([0, 2, 1, 3]);
    let mut o = o.slice_mut(s![.., ..;-1, ..;-1, 1..;2]);
    let mut lse = lse.view_mut().reversed_axes();
    plan.apply_into(v, &mut o, Some(&mut lse), &options)
        .unwrap();
    assert!(o == expected.o && lse == expected.lse);
    o.fill(gap);
    attention.run_into(q, k, v, &mut o, None).unwrap();
    assert!(o == expected.o);
    let between = wide.slice(s![.., .., .., ..;2]);
    assert!(between.iter().all(|&x| x == gap));
}

fn gradients<T: Real>() {
    let problem = kinds::<T>(N, 2).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let plan = problem.attention().tol(0.1).plan(q, k, Some(v)).unwrap();
    let options = PlanOptions::new();
    let output = plan.apply(v, &options).unwrap();
    let expected = plan
        .backward(v, &output.o, &output.lse, v, &options)
        .unwrap();
    for kind in LAYOUTS {
        let [v, o, mut dq, mut dk, mut dv] = [v, &output.o, q, k, v].map(|x| relaid(x, kind));
        let report = plan.backward_into(
            &v,
            &o,
            &output.lse,
            &v,
            GradientsMut {
                dq: Some(&mut dq),
                dk: Some(&mut dk),
                dv: Some(&mut dv),
                d_lag_bias: None,
            },
            &options,
        );
        assert!(report.is_ok());
        assert!(
            dq == expected.dq && dk == expected.dk && dv == expected.dv,
            "{kind}"
        );
        // Only what is asked for.
        dk.fill(T::of(0.0));
        let only = GradientsMut {
            dk: Some(&mut dk),
            ..GradientsMut::default()
        };
        plan.backward_into(&v, &o, &output.lse, &v, only, &options)
            .unwrap();
        assert!(dk == expected.dk, "{kind}");
    }
}
