//! A far key that a single query needs.

use ndarray::{Array4, s};
use subquad::sys;

use super::budget::method;
use super::kinds::{D, LONG, exact};
use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(screening_finds_a_needle_anywhere);

/// What makes the needle's weight outweigh those of all other keys together by far.
const LOGIT: f64 = 20.0;

/// Heads that look near, by a bias; in each a query looks for a key far away, whose value alone is not zero in column 0.
fn with_needles<T: Real>(places: &[[usize; 2]]) -> Problem<T> {
    let extents = Extents {
        heads: places.len(),
        key_heads: places.len(),
        d: D,
        d_v: 4,
        ..Extents::square(LONG)
    };
    let mut problem = Problem::<T>::new(extents).causal(None);
    problem.scale = Some(1.0);
    let small = |shape, stream| uniform::<T, _>(shape, stream).mapv(|x| T::of(0.2 * x.into()));
    problem.q = small(problem.q.raw_dim(), 40);
    problem.k = small(problem.k.raw_dim(), 41);
    problem.v.slice_mut(s![.., .., .., 0]).fill(T::of(0.0));
    let bias = (0..LONG).map(|lag| T::of(-(lag.min(200) as f64) / 25.0));
    problem.lag_min = Some(0);
    problem.lag_bias = Some(
        ndarray::Array2::from_shape_vec((1, LONG), bias.collect()).expect("a bias for each lag"),
    );
    for (head, &[query, key]) in places.iter().enumerate() {
        // The needle's logit is LOGIT above that of a key beyond the bias, which is 8 below the nearest.
        let direction: Array4<f64> = uniform(ndarray::Dim([1, 1, 1, D]), 50 + head as u64);
        let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        let size = (LOGIT + 8.0).sqrt() / norm;
        for l in 0..D {
            let x = T::of(size * direction[[0, 0, 0, l]]);
            problem.q[[0, head, query, l]] = x;
            problem.k[[0, head, key, l]] = x;
        }
        problem.v[[0, head, key, 0]] = T::of(1.0);
    }
    problem
}

fn screening_finds_a_needle_anywhere<T: Real>() {
    let places = [
        [2047, 0],
        [2046, 1],
        [1999, 777],
        [1500, 1023],
        [1027, 64],
        [700, 15],
        [2000, 1700],
        [333, 17],
    ];
    let problem = with_needles::<T>(&places);
    let exact = exact(&problem);
    let output = problem
        .attention()
        .tol(0.1)
        .estimate(sys::SUBQUAD_ESTIMATE_SCREENED)
        .run(&problem.q, &problem.k, &problem.v)
        .unwrap();
    let estimate = output.report.string(sys::SUBQUAD_REPORT_ESTIMATE);
    assert_eq!(estimate.as_deref(), Ok("screened"));
    for (head, &[query, _]) in places.iter().enumerate() {
        // Column 0 is the weight of the needle.
        let [found, weight]: [f64; 2] = [&output.o, &exact].map(|o| o[[0, head, query, 0]].into());
        assert!(
            (found - weight).abs() <= method(0.1) * weight,
            "{head}: {found}, not {weight}"
        );
    }
}
