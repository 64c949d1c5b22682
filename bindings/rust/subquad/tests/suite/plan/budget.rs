//! The errors of heads, and what method auto promises of them.

use ndarray::{ArrayRef, Dimension};

use crate::problem::Real;
use crate::sparsify::budget::CHANCE;

/// The relative Frobenius error of each head, in order of batch and head.
pub fn head_errors<T: Real, D: Dimension>(
    actual: &ArrayRef<T, D>,
    expected: &ArrayRef<T, D>,
) -> Vec<f64> {
    let size = actual.shape()[actual.ndim() - 2..].iter().product();
    let [actual, expected] =
        [actual, expected].map(|x| x.iter().map(|&x| x.into()).collect::<Vec<f64>>());
    let norm = |head: &mut dyn Iterator<Item = f64>| head.map(|x| x * x).sum::<f64>().sqrt();
    let error = |(actual, expected): (&[f64], &[f64])| {
        let off = norm(&mut actual.iter().zip(expected).map(|(a, e)| a - e));
        off / norm(&mut expected.iter().copied())
    };
    let heads = actual.chunks(size).zip(expected.chunks(size));
    heads.map(error).collect()
}

/// `method`: what a head's true error may be where `tol` was asked for, of all but [`MISSES`].
pub fn method(tol: f64) -> f64 {
    1.25 * tol
}

/// The share of heads that may err by more.
pub const MISSES: f64 = 0.05;

/// `method` for any single head.
pub fn method_worst(tol: f64) -> f64 {
    3.0 * tol
}

/// `chance`: how far the mean of so many shares, each between 0 and 1, may be below the one that they are a sample of (Hoeffding's bound).
pub fn chance_of_share(samples: usize) -> f64 {
    ((1.0 / CHANCE).ln() / (2.0 * samples as f64)).sqrt()
}
