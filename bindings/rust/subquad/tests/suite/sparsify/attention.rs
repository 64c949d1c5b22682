//! Attention from a sparsifier, and the softmax's true error.

use ndarray::{Array1, Array2, Array4, Axis, Dim, s};
use subquad::{Sparsifier, SparsifierOptions, sys};

use super::find::{barriers, factor, leverage};
use super::matrices::{self, for_each_source};
use super::oracle::gram;
use crate::budget::{assert_within, unit};
use crate::oracle::forward;
use crate::problem::{Problem, Real, uniform};

in_both_precisions!(
    attention_with_every_method,
    attention_of_pairs,
    causal_attention,
    attention_into_strided_arrays,
    errors_of_the_softmax,
    errors_of_the_softmax_of_pairs,
);

/// Exact attention with the rows of Y for queries and keys.
fn as_problem<T: Real>(sparsifier: &Sparsifier<T>, v: &Array2<T>, scale: f64) -> Problem<T> {
    let four = |x: Array2<T>| x.insert_axis(Axis(0)).insert_axis(Axis(0));
    Problem {
        q: four(sparsifier.y_q().unwrap()),
        k: four(sparsifier.y_k().unwrap()),
        v: four(v.clone()),
        lag_bias: None,
        key_ranges: None,
        causal: false,
        causal_offset: None,
        scale: Some(scale),
        lag_min: None,
        key_offset: None,
    }
}

fn assert_attends<T: Real>(
    name: &str,
    sparsifier: &Sparsifier<T>,
    problem: &Problem<T>,
    options: &SparsifierOptions<'_>,
) {
    let expected = forward(problem);
    let v = problem.v.slice(s![0, 0, .., ..]);
    let output = sparsifier.attention(&v, options).unwrap();
    let head = |x: &Array4<f64>| x.slice(s![0, 0, .., ..]).to_owned();
    assert_within(
        name,
        &output.o,
        &head(&expected.o),
        &head(&expected.o_budget),
    );
    let (lse, budget): (Array1<f64>, Array1<f64>) = (
        expected.lse.slice(s![0, 0, ..]).to_owned(),
        expected.lse_budget.slice(s![0, 0, ..]).to_owned(),
    );
    assert_within(name, &output.lse, &lse, &budget);
    let pairs = output.report.int(sys::SUBQUAD_REPORT_PAIRS);
    assert_eq!(pairs, Ok(expected.pairs), "{name}");
}

fn values<T: Real>(rows: usize) -> Array2<T> {
    uniform(Dim([rows, 3]), 83)
}

fn attention_with_every_method<T: Real>() {
    let x = matrices::dense::<T>(6, 150);
    let v = values(6);
    for (name, options) in [
        ("leverage", leverage(30)),
        ("barriers", barriers(40)),
        ("gram", factor()),
    ] {
        let sparsifier = options.run(&x).unwrap().sparsifier;
        for scale in [0.05, -0.02] {
            let problem = as_problem(&sparsifier, &v, scale);
            let options = SparsifierOptions::new().scale(scale);
            assert_attends(name, &sparsifier, &problem, &options);
        }
        // Unset, the scale is 1.
        let problem = as_problem(&sparsifier, &v, 1.0);
        assert_attends(name, &sparsifier, &problem, &SparsifierOptions::new());
    }
}

fn attention_of_pairs<T: Real>() {
    let (q, k) = (matrices::dense::<T>(4, 150), matrices::sparse::<T>(7, 150));
    let sparsifier = leverage(40).run_pair(&q, &k).unwrap().sparsifier;
    let problem = as_problem(&sparsifier, &values(7), 0.1);
    assert_eq!((problem.q.dim().2, problem.k.dim().2), (4, 7));
    assert_attends(
        "pair",
        &sparsifier,
        &problem,
        &SparsifierOptions::new().scale(0.1),
    );
}

fn causal_attention<T: Real>() {
    let x = matrices::dense::<T>(9, 150);
    let sparsifier = leverage(40).run(&x).unwrap().sparsifier;
    let problem = as_problem(&sparsifier, &values(9), 0.1).causal(None);
    let options = SparsifierOptions::new().scale(0.1).causal(true);
    assert_attends("causal", &sparsifier, &problem, &options);

    let (q, k) = (matrices::dense::<T>(3, 150), matrices::sparse::<T>(8, 150));
    let sparsifier = leverage(40).run_pair(&q, &k).unwrap().sparsifier;
    let problem = as_problem(&sparsifier, &values(8), 0.1).causal(Some(5));
    assert_attends(
        "causal pair",
        &sparsifier,
        &problem,
        &options.causal_offset(5),
    );
}

fn attention_into_strided_arrays<T: Real>() {
    let x = matrices::dense::<T>(5, 80);
    let sparsifier = leverage(20).run(&x).unwrap().sparsifier;
    let (v, options) = (values::<T>(5), SparsifierOptions::new().scale(0.2));
    let expected = sparsifier.attention(&v, &options).unwrap();
    let gap = T::of(-77.0);
    let (mut wide, mut lse) = (Array2::from_elem((7, 10), gap), Array1::from_elem(5, gap));
    let mut o = wide.view_mut().reversed_axes();
    let mut o = o.slice_mut(s![1..;2, 1..;2]);
    let reversed = v.slice(s![..;-1, ..]).as_standard_layout().into_owned();
    let v = reversed.slice(s![..;-1, ..]);
    sparsifier
        .attention_into(&v, &mut o, Some(&mut lse.slice_mut(s![..;-1])), &options)
        .unwrap();
    assert_eq!(o, expected.o);
    assert_eq!(lse.slice(s![..;-1]), expected.lse);
    sparsifier
        .attention_into(&v, &mut o, None, &options)
        .unwrap();
    assert_eq!(o, expected.o);
    assert!(wide.slice(s![..;2, ..]).iter().all(|&entry| entry == gap));
}

/// log softmax of `scale a b'`, row by row.
fn log_softmax(mut logits: Array2<f64>) -> Array2<f64> {
    for mut row in logits.rows_mut() {
        let top = row.fold(f64::NEG_INFINITY, |top, &x| top.max(x));
        let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
        row.mapv_inplace(|x| x - top - sum.ln());
    }
    logits
}

/// `max |P~ - P|` and `max exp |log P~ - log P|`, with the budget of a difference of logarithms: both logits' inner products, of so many
/// terms and of size at most r and (1 + e) r, and the sums over a row.
fn softmax_errors<T: Real>(
    exact: &Array2<f64>,
    own: &Array2<f64>,
    [d, m]: [usize; 2],
    radius: f64,
) -> (f64, f64, f64) {
    let (p, p_own) = (exact.mapv(f64::exp), own.mapv(f64::exp));
    let largest = |x: Array2<f64>| x.fold(0.0_f64, |top, &x| top.max(x.abs()));
    let spread = largest(exact.clone()) + largest(own.clone());
    let rounded = 2.0 * (d + m + 12) as f64 * radius + (exact.ncols() + 8) as f64 + 4.0 * spread;
    (
        largest(p_own - p),
        largest(own - exact).exp(),
        rounded * unit::<T>(),
    )
}

fn errors_of_the_softmax<T: Real>() {
    let x = matrices::sparse::<T>(6, 200);
    let sparsifiers = [leverage(40), barriers(60)].map(|find| find.run(&x).unwrap().sparsifier);
    for sparsifier in sparsifiers {
        let y = sparsifier.y().unwrap();
        for scale in [0.02, -0.01] {
            let of = |x: &Array2<T>| log_softmax(gram(x) * scale);
            let radius = scale.abs() * sparsifier.radius() * (1.0 + sparsifier.epsilon().unwrap());
            let sizes = [x.ncols(), y.ncols()];
            let (error, ratio, budget) = softmax_errors::<T>(&of(&x), &of(&y), sizes, radius);
            let bound = sparsifier.ratio_bound(scale).unwrap();
            assert!(
                ratio <= bound * budget.exp(),
                "{ratio} above the bound {bound}"
            );
            let exponent = 2.0 * sparsifier.epsilon().unwrap() * scale.abs() * sparsifier.radius();
            let rounding = (3.0 * exponent + 4.0) * f64::UNIT * bound;
            assert!((bound - exponent.exp()).abs() <= rounding, "{bound}");
            let options = SparsifierOptions::new().scale(scale);
            for_each_source!(x, |name, source| {
                let measured = sparsifier.softmax_error(source, &options).unwrap();
                let off = (measured.error - error).abs();
                assert!(
                    off <= budget.exp_m1(),
                    "{name}: error {}, not {error}",
                    measured.error
                );
                let off = (measured.ratio - ratio).abs();
                assert!(
                    off <= ratio * budget.exp_m1(),
                    "{name}: {}, not {ratio}",
                    measured.ratio
                );
            });
        }
    }
}

fn errors_of_the_softmax_of_pairs<T: Real>() {
    let (q, k) = (matrices::dense::<T>(3, 200), matrices::sparse::<T>(5, 200));
    let sparsifier = leverage(50).run_pair(&q, &k).unwrap().sparsifier;
    let options = SparsifierOptions::new().scale(0.02);
    let logits =
        |a: &Array2<T>, b: &Array2<T>| a.mapv(Into::into).dot(&b.mapv(Into::into).t()) * 0.02;
    let exact = log_softmax(logits(&q, &k));
    let own = log_softmax(logits(
        &sparsifier.y_q().unwrap(),
        &sparsifier.y_k().unwrap(),
    ));
    let radius = 0.02 * sparsifier.radius() * (1.0 + sparsifier.epsilon().unwrap());
    let (error, ratio, budget) = softmax_errors::<T>(&exact, &own, [200, 50], radius);
    assert!(ratio <= sparsifier.ratio_bound(0.02).unwrap() * budget.exp());
    let measured = sparsifier.softmax_error_pair(&q, &k, &options).unwrap();
    assert!(
        (measured.error - error).abs() <= budget.exp_m1(),
        "{measured:?}, not {error}"
    );
    assert!(
        (measured.ratio - ratio).abs() <= ratio * budget.exp_m1(),
        "{measured:?}, not {ratio}"
    );
    let blocks = matrices::blocks(&k, 30);
    assert_eq!(
        sparsifier.softmax_error_pair(&q, &blocks, &options),
        Ok(measured)
    );
}
