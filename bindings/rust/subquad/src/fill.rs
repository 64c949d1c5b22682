//! Reproducible numbers for tests.

use ndarray::{ArrayRef, Dimension};

use crate::array::{Element, output};
use crate::error::{Result, check};
use crate::library::ensure_version;
use crate::sys;

/// Fill an array with numbers in `[low, high)` that are a pure function of `(seed, stream, i)`, with i the number of the element in
/// row-major order: the same in every language, on every machine.
///
/// Errors: `ERR_VALUE` when `low` or `high` is not finite or `low > high`; `ERR_SHAPE` for other than 1 to 4 dimensions.
///
/// ```
/// use ndarray::{Array1, Array2, s};
///
/// let (mut whole, mut part) = (Array2::<f32>::zeros((3, 4)), Array1::<f32>::zeros(5));
/// subquad::fill_uniform(&mut whole, 7, 0, -1.0, 1.0)?;
/// subquad::fill_uniform(&mut part.slice_mut(s![..;-1]), 7, 0, -1.0, 1.0)?;
/// assert_eq!(whole[[1, 0]], part[0]); // element number 4 of both
/// # Ok::<(), subquad::Error>(())
/// ```
pub fn fill_uniform<T: Element, D: Dimension>(
    x: &mut ArrayRef<T, D>,
    seed: u64,
    stream: u64,
    low: f64,
    high: f64,
) -> Result<()> {
    ensure_version()?;
    let x = output(x);
    // SAFETY: the view describes an array that is borrowed exclusively.
    check(unsafe { sys::subquad_fill_uniform(&raw const x, seed, stream, low, high) })
}
