//! Matrices that are read column by column: dense, sparse, or in blocks.

mod blocks;
mod dense;
#[cfg(feature = "sprs")]
mod sparse;

use std::ptr::null_mut;

use crate::array::Element;
use crate::error::{Error, Result, check};
use crate::library::ensure_version;
use crate::sys;

pub use blocks::ColumnBlocks;
#[cfg(feature = "sprs")]
pub use sparse::SparseIndex;

/// A matrix, n x d, as [`Sparsify`](crate::Sparsify) and [`LeverageScores`](crate::LeverageScores) read it:
///
/// - dense, an `ndarray` matrix or view of any strides, read where it lies;
/// - sparse, an `sprs` matrix or view, CSC or CSR, with indices of type `i32`, `i64` or `usize` (feature `sprs`, on by default), read
///   where it lies;
/// - [`ColumnBlocks`], a function that writes blocks of columns, for what does not fit into memory.
///
/// ```
/// use ndarray::{array, s};
/// use subquad::{ColumnBlocks, LeverageScores};
///
/// let x = array![[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]];
/// let scores = LeverageScores::new();
/// let dense = scores.run(&x)?.scores;
///
/// let blocks = ColumnBlocks::new(2, 3, |columns, block| {
///     block.assign(&x.slice(s![.., columns]));
///     Ok::<(), subquad::Error>(())
/// });
/// assert_eq!(scores.run(&blocks)?.scores, dense);
/// # #[cfg(feature = "sprs")]
/// # {
/// let sparse = subquad::sprs::CsMat::csc_from_dense(x.view(), 0.0);
/// assert!((scores.run(&sparse)?.scores - dense).iter().all(|error| error.abs() < 1e-14));
/// # }
/// # Ok::<(), subquad::Error>(())
/// ```
pub trait Matrix: private::Sealed {
    /// The type of its entries.
    type Element: Element;

    /// What reading it, and computing with it, may fail with: [`Error`] where it lies in memory, the function's own where it is
    /// [`ColumnBlocks`].
    type Error: From<Error>;

    /// The number of columns, d.
    #[doc(hidden)]
    fn column_count(&self) -> usize;

    /// Lend a matrix of the library that reads from this one, for the time of a call.
    #[doc(hidden)]
    fn lend<R, E>(
        &self,
        call: impl FnOnce(*const sys::subquad_matrix) -> Result<R, E>,
    ) -> Result<R, Self::Error>
    where
        Self::Error: From<E>;
}

mod private {
    /// Only this crate's own impls of [`Matrix`](super::Matrix) may hand pointers to the library.
    pub trait Sealed {}
}

/// A matrix handle, which lives as long as a call.
struct Handle(*mut sys::subquad_matrix);

impl Handle {
    /// The matrix that a call of the library writes to the place that it is given.
    fn made(
        make: impl FnOnce(*mut *mut sys::subquad_matrix) -> sys::subquad_status,
    ) -> Result<Self> {
        ensure_version()?;
        let mut handle = Self(null_mut());
        check(make(&raw mut handle.0))?;
        Ok(handle)
    }

    fn get(&self) -> *const sys::subquad_matrix {
        self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is live until here, or null where none was made, and the call that it was lent to has returned.
        unsafe { sys::subquad_matrix_destroy(self.0) };
    }
}

/// An extent; those that the library cannot hold are beyond its bounds too.
fn extent(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
