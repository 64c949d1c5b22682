//! Bases of the logits of queries and keys.

use ndarray::{ArrayRef, Dimension};

use super::ConvBasis;
use crate::array::{Element, input};
use crate::call::{Call, call_options};
use crate::error::Result;
use crate::report::Report;
use crate::sys;

/// What [`ConvBasis::recover`] and [`ConvBasis::fit`] find.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found<T: Element> {
    /// The basis, with the heads of q.
    pub basis: ConvBasis<T>,
    /// How it was found, and how good it is.
    pub report: Report,
}

/// Options of [`ConvBasis::recover`].
#[derive(Clone, Debug)]
pub struct RecoverOptions<'a> {
    call: Call<'a>,
}

impl<'a> RecoverOptions<'a> {
    /// Look for at most `bases` bases whose columns differ by at least `delta` in the l1 norm of their first `window` entries.
    pub fn new(bases: usize, window: usize, delta: f64) -> Self {
        let mut call = Call::default();
        call.set_size(sys::SUBQUAD_OPTION_BASES, bases);
        call.set_size(sys::SUBQUAD_OPTION_CONV_WINDOW, window);
        call.set_float(sys::SUBQUAD_OPTION_CONV_DELTA, delta);
        Self { call }
    }

    call_options!('a);

    /// The largest deviation of a logit from the structure, at most `delta / (5 window)`; 0 where it is not set.
    pub fn eps(self, eps: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_CONV_EPS, eps)
    }

    /// The factor of the inner products; `1 / sqrt(d)` where it is not set.
    pub fn scale(self, scale: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SCALE, scale)
    }
}

/// Options of [`ConvBasis::fit`]: [`bases`](Self::bases) or [`tol`](Self::tol), and what else is to be set.
#[derive(Clone, Debug, Default)]
pub struct FitOptions<'a> {
    call: Call<'a>,
}

impl<'a> FitOptions<'a> {
    /// Neither a number of bases nor a tolerance yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fit this many bases, or fewer where keys are alike.
    pub fn bases(mut self, bases: usize) -> Self {
        self.call.set_size(sys::SUBQUAD_OPTION_BASES, bases);
        self
    }

    /// Fit as many bases as it takes for a mean error of `tol`, which lies in `[0, 1]`. Where that many would be dearer than exact attention
    /// the fit stops early: compare the report's `ERROR_MEAN`.
    pub fn tol(self, tol: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_TOL, tol)
    }

    call_options!('a);

    /// The factor of the inner products; `1 / sqrt(d)` where it is not set.
    pub fn scale(self, scale: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SCALE, scale)
    }

    /// The seed of the rows on which the error is measured; 0 where it is not set.
    pub fn seed(self, seed: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_SEED, seed)
    }
}

/// The functions of the library that find a basis.
type Find = unsafe extern "C" fn(
    *mut sys::subquad_context,
    *const sys::subquad_options,
    *const sys::subquad_array,
    *const sys::subquad_array,
    *mut *mut sys::subquad_conv_basis,
    *mut sys::subquad_report,
) -> sys::subquad_status;

impl<T: Element> ConvBasis<T> {
    /// Recover the basis of the causal logits `scale q k'` from O(k log n) short probes and k whole columns, without forming them.
    ///
    /// `q: [.., H_q, n, d]`, `k: [.., H_kv, n, d]`, any strides. Where the logits are within `eps` of a matrix with at most so many bases,
    /// any two of which differ by `delta` over `window` entries, the starts are exact, and attention with the basis errs by at most
    /// `2 tanh(eps) max|v|` (`ERROR_BOUND` in the report). Where they are not, what comes back may be far off: see [`fit`](Self::fit).
    /// The report has `BASES`, perhaps fewer than were asked for, `PROBES` and `COLUMNS`.
    ///
    /// Errors: `ERR_SHAPE`, `ERR_SIZE`, `ERR_NONFINITE`; `ERR_VALUE` for `window > n`, `delta = 0` or `eps > delta / (5 window)`;
    /// `ERR_OVERFLOW`, `ERR_MEMORY`, `ERR_WORKSPACE`, `ERR_CANCELLED`.
    ///
    /// ```
    /// use ndarray::{Array2, array};
    /// use subquad::{ConvBasis, RecoverOptions, sys};
    ///
    /// let q = Array2::<f64>::ones((300, 4));
    /// let k = Array2::from_shape_fn((300, 4), |(j, _)| if j < 100 { 0.5 } else { -0.25 });
    /// let found = ConvBasis::recover(&q, &k, &RecoverOptions::new(8, 4, 1.0))?;
    /// assert_eq!(found.basis.starts()?, array![[[0, 100]]]);
    /// assert_eq!(found.report.int(sys::SUBQUAD_REPORT_BASES)?, 2);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn recover<D: Dimension>(
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        options: &RecoverOptions<'_>,
    ) -> Result<Found<T>> {
        // SAFETY: both arrays are borrowed for the call.
        unsafe {
            Self::find(
                sys::subquad_conv_basis_recover,
                [q, k].map(input),
                &options.call,
            )
        }
    }

    /// Fit a basis to the causal logits `scale q k'` of any queries and keys, and measure how good it is.
    ///
    /// `q: [.., H_q, n, d]`, `k: [.., H_kv, n, d]`, any strides. The error of a row is that of its attention weights,
    /// `sum_j |P~[i,j] - P[i,j]|`, in `[0, 2]`: no output of the row errs by more than it times `max|v|`. The report has its mean and maximum
    /// over sampled rows, by head: `ERROR_MEAN`, `ERROR_MAX`, `SAMPLED_ROWS`. It is an estimate: rows that were not sampled may be worse.
    ///
    /// Errors: `ERR_CONFLICT` for none or both of bases and tol; `ERR_SHAPE`, `ERR_SIZE`, `ERR_NONFINITE`, `ERR_VALUE` for an option out
    /// of bounds, `ERR_OVERFLOW`, `ERR_MEMORY`, `ERR_WORKSPACE`, `ERR_CANCELLED`.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::{ConvBasis, FitOptions, fill_uniform, sys};
    ///
    /// let (mut q, mut k) = (Array2::<f32>::zeros((200, 8)), Array2::<f32>::zeros((200, 8)));
    /// fill_uniform(&mut q, 1, 0, -1.0, 1.0)?;
    /// fill_uniform(&mut k, 1, 1, -1.0, 1.0)?;
    /// let error = |bases| {
    ///     let found = ConvBasis::fit(&q, &k, &FitOptions::new().bases(bases))?;
    ///     found.report.float(sys::SUBQUAD_REPORT_ERROR_MEAN)
    /// };
    /// assert!(error(200)? < error(2)?);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn fit<D: Dimension>(
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        options: &FitOptions<'_>,
    ) -> Result<Found<T>> {
        // SAFETY: both arrays are borrowed for the call.
        unsafe {
            Self::find(
                sys::subquad_conv_basis_fit,
                [q, k].map(input),
                &options.call,
            )
        }
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and `find` takes them as the functions of the library do.
    unsafe fn find(
        find: Find,
        [q, k]: [sys::subquad_array; 2],
        call: &Call<'_>,
    ) -> Result<Found<T>> {
        let report = Report::new()?;
        let basis = Self::made(|basis_out| {
            call.make(|context, options| {
                // SAFETY: handles are live, the views are as the caller promises, and `basis_out` is a place for the result.
                unsafe {
                    find(
                        context,
                        options,
                        &raw const q,
                        &raw const k,
                        basis_out,
                        report.handle(),
                    )
                }
            })
        })?;
        Ok(Found { basis, report })
    }
}
