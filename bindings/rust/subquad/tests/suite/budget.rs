//! The one budget of these tests, `roundoff`: how far a correct computation may stray from the oracle, from the unit round-off, the
//! sizes and the magnitudes of a problem. All bounds are absolute, per entry.

use ndarray::{ArrayRef, Dimension};

use crate::oracle::Row;
use crate::problem::Real;

/// What a vectorised exp or log may err, and what an f64 one of the platform errs, in units in the last place.
const EXP_ULP: f64 = 2.0;
/// A running softmax rescales its sums at most once for so many keys.
const KEYS_PER_RESCALING: f64 = 8.0;

/// Unit round-off of the library's computation and of the oracle's together.
pub fn unit<T: Real>() -> f64 {
    T::UNIT + f64::UNIT
}

/// A logit: an inner product of d terms in any order, the scale, the bias, and a change of the logarithm's base.
pub fn logit<T: Real>(row: &Row, d: usize) -> f64 {
    (d as f64 + 6.0) * unit::<T>() * row.logit_magnitude
}

/// A weight before it is normalised, relative: its logit, its distance from the row's maximum, exp, and as much for every rescaling.
fn weight<T: Real>(row: &Row, d: usize) -> f64 {
    let exponentials = 1.0 + rescalings(row);
    let rounded = exponentials * (2.0 * EXP_ULP + 1.0) + 2.0 * row.logit_spread;
    logit::<T>(row, d) + rounded * unit::<T>()
}

/// Both sums over the keys, with their rescalings and the division.
fn sums<T: Real>(row: &Row) -> f64 {
    (row.keys.len() as f64 + rescalings(row) + 4.0) * unit::<T>()
}

fn rescalings(row: &Row) -> f64 {
    1.0 + row.keys.len() as f64 / KEYS_PER_RESCALING
}

/// The outputs of a row, which move with its weights by at most their relative error times the spread of the values.
pub fn roundoff_o<T: Real>(row: &Row, d: usize, column: usize) -> f64 {
    let size = row.value_magnitude[column] + row.o[column].abs();
    let error = weight::<T>(row, d);
    let underflow = row.keys.len() as f64 * T::LEAST_WEIGHT * row.largest_value;
    error.exp() * ((error.exp_m1() + sums::<T>(row)) * size + underflow)
}

/// The log-sum-exp of a row.
pub fn roundoff_lse<T: Real>(row: &Row, d: usize) -> f64 {
    if row.keys.is_empty() {
        return 0.0;
    }
    let logarithm = (row.keys.len() as f64).ln() + row.lse.abs() + row.logit_magnitude;
    weight::<T>(row, d) + sums::<T>(row) + (2.0 * EXP_ULP + 4.0) * unit::<T>() * logarithm
}

/// P = exp(s - lse), relative, for an lse that has the forward call's error.
pub fn roundoff_probability<T: Real>(row: &Row, d: usize) -> f64 {
    let argument = 2.0 * row.logit_magnitude + 2.0 * row.lse.abs();
    let error = logit::<T>(row, d)
        + roundoff_lse::<T>(row, d)
        + (2.0 * EXP_ULP + 1.0 + argument) * unit::<T>();
    error.exp_m1()
}

/// A sum of so many products whose magnitudes add up to `size`.
pub fn roundoff_sum<T: Real>(terms: usize, size: f64) -> f64 {
    (terms as f64 + 4.0) * unit::<T>() * size
}

/// Every entry is within its budget; an expected minus infinity is met exactly.
pub fn assert_within<T: Real, D: Dimension>(
    name: &str,
    actual: &ArrayRef<T, D>,
    expected: &ArrayRef<f64, D>,
    budget: &ArrayRef<f64, D>,
) {
    assert_eq!(actual.shape(), expected.shape(), "{name}");
    for (((index, &actual), &expected), &budget) in actual.indexed_iter().zip(expected).zip(budget)
    {
        let actual: f64 = actual.into();
        let within = actual == expected || (actual - expected).abs() <= budget;
        assert!(
            within,
            "{name}{index:?} is {actual:e}, not {expected:e} within {budget:e}"
        );
    }
}
