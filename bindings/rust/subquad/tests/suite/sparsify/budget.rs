//! What scores, certificates and products of sparsifiers may err: `roundoff` from the condition of the rows, and `chance`.

use super::oracle::Whitened;
use crate::budget::unit;
use crate::problem::Real;

/// The constant of a reflection's backward error: the product of n of them errs by so many n d roundings, columnwise.
const REFLECTION: f64 = 4.0;

/// How far a whitening by a QR factor may be from one of the given rows, relative and in the spectral norm: its backward error, and the
/// solutions with its triangle, times the condition.
pub fn roundoff_whitening<T: Real>(whitened: &Whitened, rows: usize) -> f64 {
    let (n, d) = (rows as f64, whitened.basis.ncols() as f64);
    REFLECTION * (n * d + n) * unit::<T>() * whitened.condition
}

/// A quadratic form in whitened columns, relative: scores, and eigenvalues of the whitened Y Y'.
pub fn roundoff_whitened<T: Real>(whitened: &Whitened, rows: usize) -> f64 {
    let error = roundoff_whitening::<T>(whitened, rows);
    (2.0 + error) * error
}

/// The certificate e: eigenvalues of up to 1 + e, less 1.
pub fn roundoff_epsilon<T: Real>(whitened: &Whitened, rows: usize, epsilon: f64) -> f64 {
    (1.0 + epsilon) * roundoff_whitened::<T>(whitened, rows)
}

/// The probability with which a test of something random may fail, all its trials together.
pub const CHANCE: f64 = 1e-6;

/// The delta of each of so many trials.
pub fn chance(trials: usize) -> f64 {
    CHANCE / trials as f64
}

/// The barriers' promise: `2 sqrt(c) / (c + 1)` for c rank steps.
pub fn method_barriers(steps: usize, rank: usize) -> f64 {
    let c = steps as f64 / rank as f64;
    2.0 * c.sqrt() / (c + 1.0)
}
