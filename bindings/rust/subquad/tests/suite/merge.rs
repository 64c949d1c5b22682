//! Partial results over slices of the keys, joined.

use ndarray::{Array3, Array4, array, s};
use subquad::{Attention, sys};

use crate::budget::{assert_within, unit};
use crate::oracle::{Expected, forward};
use crate::problem::{Extents, Problem, Real};

in_both_precisions!(slices_make_the_whole, parts_that_saw_nothing);

/// Run a problem over some of its keys; with what the part's results may err.
fn part<T: Real>(
    problem: &Problem<T>,
    start: usize,
    end: usize,
) -> (Array4<T>, Array3<T>, Expected) {
    let mut slice = problem.clone();
    slice.k = problem.k.slice(s![.., .., start..end, ..]).to_owned();
    slice.v = problem.v.slice(s![.., .., start..end, ..]).to_owned();
    slice.causal_offset = Some(problem.causal_offset.unwrap_or(0));
    slice.key_offset = Some(start as i64);
    let output = slice.attention().run(&slice.q, &slice.k, &slice.v).unwrap();
    (output.o, output.lse, forward(&slice))
}

/// What the merged o and lse may err: a weight exp(lse_p - lse) has the error of both lse and its own rounding, and the outputs of the
/// parts bring theirs.
fn budgets<T: Real>(
    parts: &[(Array4<T>, Array3<T>, Expected)],
    whole: &Expected,
) -> (Array4<f64>, Array3<f64>) {
    let (mut o_budget, mut lse_budget) = (whole.o_budget.clone(), whole.lse_budget.clone());
    for ((b, h, i), lse_budget) in lse_budget.indexed_iter_mut() {
        let at = [b, h, i];
        let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
        let largest = |of: &dyn Fn(&Expected) -> f64| {
            parts.iter().map(|(.., part)| of(part)).fold(0.0, f64::max)
        };
        let inherited = largest(&|part| part.lse_budget[at]);
        let magnitude = largest(&|part| finite(part.lse[at])) + finite(whole.lse[at]);
        let count = parts.len() as f64;
        let weight_error =
            (2.0 * inherited + (6.0 + count + 4.0 * magnitude) * unit::<T>()).exp_m1();
        *lse_budget += weight_error + (4.0 + 4.0 * magnitude) * unit::<T>();
        for column in 0..whole.o.dim().3 {
            let at = [b, h, i, column];
            let part_error = largest(&|part| part.o_budget[at]);
            let size = largest(&|part| part.o[at].abs());
            o_budget[at] += part_error + 2.0 * weight_error * (size + part_error);
        }
    }
    (o_budget, lse_budget)
}

fn assert_joined<T: Real>(problem: &Problem<T>, cuts: &[usize]) {
    let parts: Vec<_> = cuts
        .windows(2)
        .map(|cut| part(problem, cut[0], cut[1]))
        .collect();
    let views: Vec<_> = parts
        .iter()
        .map(|(o, lse, _)| (o.view(), lse.view()))
        .collect();
    let merged = Attention::new().merge(&views).unwrap();
    let whole = forward(problem);
    let (o_budget, lse_budget) = budgets(&parts, &whole);
    assert_within("o", &merged.o, &whole.o, &o_budget);
    assert_within("lse", &merged.lse, &whole.lse, &lse_budget);

    let (mut o, mut lse) = (merged.o.clone(), merged.lse.clone());
    let mut o = o.slice_mut(s![.., .., ..;-1, ..]);
    Attention::new()
        .merge_into(&views, &mut o, Some(&mut lse))
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(o == merged.o);
    assert!(lse == merged.lse);
}

fn slices_make_the_whole<T: Real>() {
    let extents = Extents {
        batch: 2,
        heads: 4,
        key_heads: 2,
        queries: 21,
        keys: 33,
        ..Extents::square(0)
    };
    for cuts in [&[0, 33][..], &[0, 1, 33], &[0, 11, 22, 33], &[0, 7, 7, 33]] {
        assert_joined(&Problem::<T>::new(extents), cuts);
        assert_joined(&Problem::<T>::new(extents).causal(Some(12)), cuts);
        let mut problem = Problem::<T>::new(extents).causal(Some(12)).biased(4);
        problem.key_ranges = Some(array![[2, 30], [8, 9]]);
        assert_joined(&problem, cuts);
    }
}

/// Causal rows see nothing of later slices; with an offset below zero the first rows see nothing at all.
fn parts_that_saw_nothing<T: Real>() {
    let problem = Problem::<T>::new(Extents::square(20)).causal(Some(-3));
    assert_joined(&problem, &[0, 5, 10, 20]);
    let views = part(&problem, 0, 20);
    assert!(
        views
            .1
            .slice(s![.., .., ..3])
            .iter()
            .all(|&lse| lse.into() == f64::NEG_INFINITY)
    );
}

#[test]
fn refused_parts() {
    let (o, lse) = (
        Array4::<f32>::zeros((1, 1, 3, 2)),
        Array3::<f32>::zeros((1, 1, 3)),
    );
    let none = Attention::<f32>::new()
        .merge::<ndarray::Ix4>(&[])
        .unwrap_err();
    assert_eq!(none.code(), sys::SUBQUAD_ERR_VALUE);
    let mut bad = lse.clone();
    bad[[0, 0, 1]] = f32::NAN;
    let parts = [(o.view(), lse.view()), (o.view(), bad.view())];
    let error = Attention::new().merge(&parts).unwrap_err();
    assert_eq!(error.code(), sys::SUBQUAD_ERR_NONFINITE);
    assert!(error.message().contains("0, 0, 1"), "{error}");
    let short = Array3::<f32>::zeros((1, 1, 2));
    let error = Attention::new()
        .merge(&[(o.view(), short.view())])
        .unwrap_err();
    assert_eq!(error.code(), sys::SUBQUAD_ERR_SHAPE);
}
