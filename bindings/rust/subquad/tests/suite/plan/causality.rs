//! What later tokens may change, and what not.

use ndarray::{Array4, Axis, s};
use subquad::{PlanOptions, sys};

use super::kinds::{LONG, kinds};
use crate::conv_basis::budget::method_o;
use crate::problem::{Problem, Real};

in_both_precisions!(
    later_values_change_nothing,
    appended_tokens_change_nothing_strictly,
);

/// Where the values begin to change.
const FROM: usize = 1234;

/// With the same plan no bit changes, but where a conv far field shares its transforms.
fn later_values_change_nothing<T: Real>() {
    let problem = kinds::<T>(LONG, 0).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let plan = problem.attention().tol(0.05).plan(q, k, None).unwrap();
    let mut changed = v.clone();
    changed
        .slice_mut(s![.., .., FROM.., ..])
        .mapv_inplace(|x| T::of(-3.0 * x.into() + 1.0));
    let [before, after] = [v, &changed].map(|v| plan.apply(v, &PlanOptions::new()).unwrap().o);
    let exact = before.mapv(Into::into);
    let budget = method_o(&exact, v) + method_o(&exact, &changed);
    let kept = s![.., .., ..FROM, ..];
    let heads = plan.report().unwrap().heads().unwrap();
    for (head, decided) in heads.iter().enumerate() {
        let of_head = |x: &Array4<T>| x.slice(kept).index_axis_move(Axis(1), head).to_owned();
        let difference = of_head(&before).mapv(Into::into) - of_head(&after).mapv(Into::into);
        let budget = budget.slice(kept).index_axis_move(Axis(1), head).to_owned();
        let within = match decided.conv_bases {
            0 => difference.iter().all(|&off| off == 0.0),
            _ => difference
                .iter()
                .zip(&budget)
                .all(|(off, budget)| off.abs() <= *budget),
        };
        assert!(within, "{decided:?}");
    }
    assert!(before != after);
}

fn appended_tokens_change_nothing_strictly<T: Real>() {
    let problem = kinds::<T>(LONG + 100, 1).causal(None);
    for estimate in [
        sys::SUBQUAD_ESTIMATE_SCREENED,
        sys::SUBQUAD_ESTIMATE_SAMPLED,
    ] {
        let attention = problem
            .attention()
            .tol(0.1)
            .estimate(estimate)
            .strict_causal(true);
        let of = |n: usize| {
            let [q, k, v] =
                [&problem.q, &problem.k, &problem.v].map(|x| x.slice(s![.., .., ..n, ..]));
            attention.run(&q, &k, &v).unwrap()
        };
        let whole = of(LONG + 100);
        // Exact attention computes up to 4 queries in an order of its own.
        for n in [5, 700, 1029, 1500, LONG] {
            let part = of(n);
            assert!(part.o == whole.o.slice(s![.., .., ..n, ..]), "{n}");
            assert!(part.lse == whole.lse.slice(s![.., .., ..n]), "{n}");
        }
    }
}
