//! Finding a sparsifier.

use super::{Sparsifier, in_own_words};
use crate::array::Element;
use crate::call::{Call, call_options};
use crate::error::Result;
use crate::matrix::Matrix;
use crate::report::Report;
use crate::sys;

/// Options of finding a [`Sparsifier`]: [`columns`](Self::columns) or [`eps`](Self::eps), but for the method gram, and what else is to be
/// set. What is not set keeps the library's default; values are checked when they are used.
///
/// ```
/// use ndarray::Array2;
/// use subquad::{Sparsify, fill_uniform, sys};
///
/// let mut x = Array2::<f32>::zeros((8, 3000));
/// fill_uniform(&mut x, 1, 0, -1.0, 1.0)?;
/// // The most that barriers may err with c = m / rank = 9 is 2 sqrt(9) / (9 + 1).
/// let found = Sparsify::new()
///     .method(sys::SUBQUAD_SPARSIFIER_DETERMINISTIC)
///     .columns(72)
///     .certify(sys::SUBQUAD_CERTIFICATE_EXACT)
///     .run(&x)?;
/// assert!(found.sparsifier.width() <= 72);
/// assert!(found.sparsifier.epsilon().is_some_and(|e| e <= 0.6));
/// assert_eq!(found.report.int(sys::SUBQUAD_REPORT_RANK)?, 8);
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sparsify<'a> {
    call: Call<'a>,
}

/// What [`Sparsify::run`] and [`Sparsify::run_pair`] find.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sparsified<T: Element> {
    /// The matrix that stands for the one that was sparsified.
    pub sparsifier: Sparsifier<T>,
    /// How it was found, and how good it is.
    pub report: Report,
}

impl<'a> Sparsify<'a> {
    /// Leverage sampling, with neither a number of columns nor an error yet.
    pub fn new() -> Self {
        Self::default()
    }

    call_options!('a);

    /// How columns are chosen: `sys::SUBQUAD_SPARSIFIER_*`.
    ///
    /// - `LEVERAGE`, the default: column j is kept with probability `p_j = 1 - exp(-T tau_j)` and weight `1 / p_j`, tau_j its leverage score,
    ///   with the T that gives so many [`columns`](Self::columns), or a certificate of at most [`eps`](Self::eps) with probability
    ///   `1 - delta`. Time near the number of nonzeros, and n^3.
    /// - `DETERMINISTIC`: `c rank(X)` steps choose columns by barriers, and `e <= 2 sqrt(c) / (c + 1)` always. Time O(min(sum nnz^2, d n^2) +
    ///   n^4).
    /// - `GRAM`: a factor of `X X'` with as many columns as the rank, which are not those of X; e is round-off times the condition number.
    ///   Time O(d n^2).
    pub fn method(self, method: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_SPARSIFY_METHOD, method.into())
    }

    /// The most distinct columns of Y; more than the rank for the deterministic method. As many as X has, or more, give X itself.
    pub fn columns(mut self, columns: usize) -> Self {
        self.call
            .set_size(sys::SUBQUAD_OPTION_SPARSIFY_COLUMNS, columns);
        self
    }

    /// The error asked for, between 0 and 1; the number of columns follows from it.
    pub fn eps(self, eps: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SPARSIFY_EPS, eps)
    }

    /// The probability that leverage sampling misses `eps`; 0.01 where it is not set.
    pub fn delta(self, delta: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SPARSIFY_DELTA, delta)
    }

    /// The seed of what is random; 0 where it is not set. The same seed gives the same columns for any number of threads.
    pub fn seed(self, seed: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_SEED, seed)
    }

    /// How the error is measured, `sys::SUBQUAD_CERTIFICATE_*`: `EXACT`, `ESTIMATE` (a lower estimate, which a matrix in blocks cannot
    /// have), `NONE`, or `AUTO`, the default: exactly where that costs less than the selection did.
    pub fn certify(self, certificate: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_SPARSIFY_CERTIFY, certificate.into())
    }

    /// Sparsify x, for `softmax(scale X X')`.
    ///
    /// `x: [n, d]`, dense, sparse or in blocks (see [`Matrix`]), of any rank. The report has, as far as the method knows them, `RANK`,
    /// `CONDITION`, `WIDTH`, `STEPS`, `EPSILON`, `CERTIFICATE`, `EPSILON_BOUND`, `SCORES`, `SKETCH_ROWS`, `PROJECTIONS`, `PASSES`,
    /// `SECONDS_SELECT`, `SECONDS_CERTIFY` and `EPSILON_BARRIERS`.
    ///
    /// Errors: `ERR_CONFLICT` for none or both of columns and eps, or either with the method gram; `ERR_VALUE` for an option out of bounds,
    /// for columns up to the rank with the deterministic method, and for sparse indices out of order or range; `ERR_SIZE`;
    /// `ERR_NONFINITE`, with the first bad index; `ERR_UNSUPPORTED` for an estimated certificate of a matrix in blocks; `ERR_OVERFLOW`,
    /// `ERR_MEMORY`, `ERR_WORKSPACE`, `ERR_THREADS`, `ERR_CANCELLED`; and what a function that writes blocks returns.
    pub fn run<X: Matrix + ?Sized>(&self, x: &X) -> Result<Sparsified<X::Element>, X::Error> {
        x.lend(|x| {
            self.find(|context, options, sparsifier_out, report| {
                // SAFETY: handles are live, and `sparsifier_out` is a place for the result.
                unsafe { sys::subquad_sparsify(context, options, x, sparsifier_out, report) }
            })
        })
    }

    /// Sparsify queries and keys together, for `softmax(scale Q K')`: the columns of Q above K.
    ///
    /// `q: [n_q, d]`, `k: [n_k, d]`, each dense, sparse or in blocks. Where only one of them can fail otherwise than with an
    /// [`Error`](crate::Error), let that be q, or write both in blocks. Everything else as [`run`](Self::run), and `ERR_SHAPE` when
    /// the numbers of columns differ.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::{SparsifierOptions, Sparsify, fill_uniform};
    ///
    /// let (mut q, mut k) = (Array2::<f64>::zeros((5, 900)), Array2::<f64>::zeros((7, 900)));
    /// fill_uniform(&mut q, 1, 0, -0.05, 0.05)?;
    /// fill_uniform(&mut k, 1, 1, -0.05, 0.05)?;
    /// let sparsifier = Sparsify::new().columns(300).run_pair(&q, &k)?.sparsifier;
    /// assert_eq!((sparsifier.y_q()?.dim(), sparsifier.y_k()?.dim()), ((5, 300), (7, 300)));
    /// let o = sparsifier.attention(&Array2::eye(7), &SparsifierOptions::new())?.o;
    /// assert_eq!(o.dim(), (5, 7));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn run_pair<Q, K>(&self, q: &Q, k: &K) -> Result<Sparsified<Q::Element>, Q::Error>
    where
        Q: Matrix + ?Sized,
        K: Matrix<Element = Q::Element> + ?Sized,
        Q::Error: From<K::Error>,
    {
        q.lend(|q| {
            k.lend(|k| {
                self.find(|context, options, sparsifier_out, report| {
                    // SAFETY: as in `run`.
                    unsafe {
                        sys::subquad_sparsify_pair(context, options, q, k, sparsifier_out, report)
                    }
                })
            })
        })
    }

    fn find<T: Element>(
        &self,
        call: impl FnOnce(
            *mut sys::subquad_context,
            *const sys::subquad_options,
            *mut *mut sys::subquad_sparsifier,
            *mut sys::subquad_report,
        ) -> sys::subquad_status,
    ) -> Result<Sparsified<T>> {
        let report = Report::new()?;
        let make = |sparsifier_out| {
            self.call
                .make(|context, options| call(context, options, sparsifier_out, report.handle()))
        };
        let sparsifier = Sparsifier::made(make).map_err(in_own_words)?;
        Ok(Sparsified { sparsifier, report })
    }
}
