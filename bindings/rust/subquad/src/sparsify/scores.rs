//! Leverage scores.

use ndarray::{Array1, ArrayRef1, Dim};

use super::in_own_words;
use crate::array::{Fresh, output};
use crate::call::{Call, call_options};
use crate::error::Result;
use crate::matrix::Matrix;
use crate::report::Report;
use crate::sys;

/// Leverage scores with their options; [`run`](Self::run) computes them. What is not set keeps the library's default; values are checked
/// when they are used.
///
/// ```
/// use ndarray::array;
/// use subquad::LeverageScores;
///
/// // The last column alone reaches the second row: without it the rank would fall.
/// let x = array![[3.0, 4.0, 0.0], [0.0, 0.0, 7.0]];
/// let found = LeverageScores::new().run(&x)?;
/// let errors = found.scores - array![9.0 / 25.0, 16.0 / 25.0, 1.0];
/// assert!(errors.iter().all(|error| error.abs() < 1e-14));
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LeverageScores<'a> {
    call: Call<'a>,
}

/// What [`LeverageScores::run`] computes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Scores {
    /// `tau[j] = x_j' (X X')^+ x_j`, one of each column: in `[0, 1]` where they are exact, and their sum is then the rank.
    pub scores: Array1<f64>,
    /// How they were computed.
    pub report: Report,
}

impl<'a> LeverageScores<'a> {
    /// All defaults.
    pub fn new() -> Self {
        Self::default()
    }

    call_options!('a);

    /// How they are computed: `sys::SUBQUAD_SCORE_EXACT`, in time O(d n^2), or `sys::SUBQUAD_SCORE_SKETCH`, near the number of nonzeros and
    /// n^3; what takes less time where it is not set.
    pub fn scores(self, scores: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_SPARSIFY_SCORES, scores.into())
    }

    /// The probability that sketched scores miss the factor that the report promises; 0.01 where it is not set.
    pub fn delta(self, delta: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SPARSIFY_DELTA, delta)
    }

    /// The seed of the sketch; 0 where it is not set.
    pub fn seed(self, seed: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_SEED, seed)
    }

    /// The leverage scores of the columns of x, `tau[j] = x_j' (X X')^+ x_j`, which never square the condition of X.
    ///
    /// `x: [n, d]`, dense, sparse or in blocks (see [`Matrix`]), of any rank. Sketched scores are random, and all at once within the
    /// report's `SCORE_FACTOR` of the exact ones with probability `1 - delta`. The same bits for any number of threads. The report has
    /// `SCORES`, `RANK`, `CONDITION`, `SCORE_FACTOR`, `SKETCH_ROWS`, `PROJECTIONS` and `PASSES`.
    ///
    /// Errors: `ERR_VALUE` for an option out of bounds and for sparse indices out of order or range; `ERR_SIZE`; `ERR_NONFINITE`, with the
    /// first bad index; `ERR_OVERFLOW`, `ERR_MEMORY`, `ERR_WORKSPACE`, `ERR_THREADS`, `ERR_CANCELLED`; and what a function that writes
    /// blocks returns.
    pub fn run<X: Matrix + ?Sized>(&self, x: &X) -> Result<Scores, X::Error> {
        let mut scores = Fresh::new("scores", Dim([x.column_count()]))?;
        // SAFETY: the output is owned here.
        let report = unsafe { self.compute(x, scores.view()) }?;
        // SAFETY: the call that had it as an output succeeded.
        let scores = unsafe { scores.written() };
        Ok(Scores { scores, report })
    }

    /// The same, written into an array of the caller. Any strides.
    pub fn run_into<X: Matrix + ?Sized>(
        &self,
        x: &X,
        scores: &mut ArrayRef1<f64>,
    ) -> Result<Report, X::Error> {
        // SAFETY: the output is borrowed exclusively for the call.
        unsafe { self.compute(x, output(scores)) }
    }

    /// # Safety
    /// The view is that of an array that lives for the call, and nothing else refers to its elements.
    unsafe fn compute<X: Matrix + ?Sized>(
        &self,
        x: &X,
        scores: sys::subquad_array,
    ) -> Result<Report, X::Error> {
        x.lend(|x| {
            let report = Report::new()?;
            let result = self.call.make(|context, options| {
                // SAFETY: handles are live; the view is as the caller promises.
                unsafe {
                    sys::subquad_leverage_scores(
                        context,
                        options,
                        x,
                        &raw const scores,
                        report.handle(),
                    )
                }
            });
            result.map_err(in_own_words).map(|()| report)
        })
    }
}
