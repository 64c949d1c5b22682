//! The options of what is done with a sparsifier.

use crate::call::{Call, call_options};
use crate::sys;

/// Options of what is done with a [`Sparsifier`](crate::Sparsifier). What is not set keeps the library's default; values are checked when
/// they are used.
///
/// ```
/// use ndarray::{Array2, array};
/// use subquad::{SparsifierOptions, Sparsify, sys};
///
/// let x = array![[1.0, 2.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 2.0]];
/// let sparsifier = Sparsify::new().method(sys::SUBQUAD_SPARSIFIER_GRAM).run(&x)?.sparsifier;
/// let options = SparsifierOptions::new().scale(0.5).causal(true);
/// let output = sparsifier.attention(&Array2::eye(3), &options)?;
/// assert_eq!(output.o.row(0), array![1.0, 0.0, 0.0]); // the first row sees itself only
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SparsifierOptions<'a> {
    pub(crate) call: Call<'a>,
}

impl<'a> SparsifierOptions<'a> {
    /// All defaults.
    pub fn new() -> Self {
        Self::default()
    }

    call_options!('a);

    /// The factor of the inner products; 1 where it is not set.
    pub fn scale(self, scale: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SCALE, scale)
    }

    /// Query i sees only keys at positions up to its own.
    pub fn causal(self, causal: bool) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_CAUSAL, causal.into())
    }

    /// The position of query 0. Needed for causal attention where `n_q != n_k`; 0 where they are equal.
    pub fn causal_offset(self, offset: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_CAUSAL_OFFSET, offset)
    }
}
