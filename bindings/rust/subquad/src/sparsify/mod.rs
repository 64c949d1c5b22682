//! Sparsifiers: few reweighted columns that stand for a wide matrix in a softmax.

mod attention;
mod find;
mod options;
mod scores;
#[cfg(feature = "sprs")]
mod sparse;

use std::marker::PhantomData;
use std::ptr::{null, null_mut};

use ndarray::{Array1, Array2, ArrayRef2, Dim, s};

use crate::array::{Element, Fresh, output};
use crate::error::{Error, Result, check};
use crate::sys;

pub use attention::SoftmaxError;
pub use find::{Sparsified, Sparsify};
pub use options::SparsifierOptions;
pub use scores::{LeverageScores, Scores};

/// A matrix Y, n x m, that stands for X, n x d with d much larger than m, in `softmax(scale X X')`: m columns of X with weights,
/// `Y[:,i] = sqrt(weights[i]) X[:,indices[i]]`, or by the method gram a factor of `X X'`. [`Sparsify`](crate::Sparsify) finds it.
///
/// Its certificate is the least e with
///
/// ```text
/// (1 - e) X X' <= Y Y' <= (1 + e) X X'   on the range of X,
/// ```
///
/// and every entry of the softmax is within a factor `exp(+-2 e |scale| r)` of the true one, r the largest squared norm of a row of X. For
/// queries and keys, X is Q above K, the softmax is that of `scale Q K'`, and r is the largest norm of a query times that of a key.
/// (After arXiv 2304.04397, with the certificate in place of its bound.)
///
/// It is read-only, keeps its own copy of Y, and may be shared by threads, each of which computes with a
/// [`Context`](crate::Context) of its own.
///
/// ```
/// use ndarray::{Array2, Axis};
/// use subquad::{SparsifierOptions, Sparsify, fill_uniform};
///
/// let mut x = Array2::<f64>::zeros((6, 4000));
/// fill_uniform(&mut x, 1, 0, -0.02, 0.02)?;
/// let sparsifier = Sparsify::new().columns(200).run(&x)?.sparsifier;
///
/// let (indices, weights) = (sparsifier.indices()?, sparsifier.weights()?);
/// let chosen = x.select(Axis(1), &indices) * weights.mapv(f64::sqrt);
/// assert_eq!(sparsifier.y()?, chosen);
///
/// let options = SparsifierOptions::new();
/// let measured = sparsifier.softmax_error(&x, &options)?;
/// assert!(measured.ratio <= sparsifier.ratio_bound(1.0)?);
/// let v = Array2::eye(6);
/// assert_eq!(sparsifier.attention(&v, &options)?.o.dim(), (6, 6));
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Debug)]
pub struct Sparsifier<T: Element> {
    handle: *mut sys::subquad_sparsifier,
    /// n and m.
    shape: [usize; 2],
    method: i32,
    query_rows: Option<usize>,
    certificate: i32,
    epsilon: f64,
    radius: f64,
    element: PhantomData<T>,
}

// SAFETY: a sparsifier is plain data that no thread is tied to.
unsafe impl<T: Element> Send for Sparsifier<T> {}
// SAFETY: the library reads a finished sparsifier and never writes it, so that any number of calls may use it at once.
unsafe impl<T: Element> Sync for Sparsifier<T> {}

impl<T: Element> Sparsifier<T> {
    /// The sparsifier that a call of the library writes to the place that it is given.
    fn made(make: impl FnOnce(*mut *mut sys::subquad_sparsifier) -> Result<()>) -> Result<Self> {
        // Owned from the start: a progress callback's panic may come out of a call that made a sparsifier.
        let mut sparsifier = Self {
            handle: null_mut(),
            shape: [0; 2],
            method: 0,
            query_rows: None,
            certificate: sys::SUBQUAD_CERTIFICATE_NONE,
            epsilon: f64::NAN,
            radius: f64::NAN,
            element: PhantomData,
        };
        make(&raw mut sparsifier.handle)?;
        sparsifier.describe()?;
        Ok(sparsifier)
    }

    fn describe(&mut self) -> Result<()> {
        let mut y = sys::subquad_array {
            data: null_mut(),
            dtype: 0,
            ndim: 0,
            shape: [0; 4],
            strides: [0; 4],
        };
        let mut query_rows = -1;
        let handle = self.handle();
        // SAFETY: the handle is live, and all else are places for results.
        check(unsafe {
            sys::subquad_sparsifier_describe(
                handle,
                &raw mut y,
                &raw mut self.method,
                &raw mut query_rows,
            )
        })?;
        // SAFETY: as above.
        check(unsafe {
            sys::subquad_sparsifier_certificate(
                handle,
                &raw mut self.epsilon,
                &raw mut self.certificate,
                &raw mut self.radius,
            )
        })?;
        assert_eq!(
            y.dtype,
            T::DTYPE,
            "a sparsifier has the dtype of what it is made from"
        );
        self.shape = [y.shape[0], y.shape[1]]
            .map(|extent| usize::try_from(extent).expect("an extent is not negative"));
        self.query_rows = usize::try_from(query_rows).ok();
        Ok(())
    }

    fn handle(&self) -> *const sys::subquad_sparsifier {
        self.handle
    }

    /// The number of rows of X and of Y, n; those of queries and keys together.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// The number of columns of Y, m.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// How many of the rows are queries; None where one matrix was sparsified.
    pub fn query_rows(&self) -> Option<usize> {
        self.query_rows
    }

    /// The method that made it: `sys::SUBQUAD_SPARSIFIER_*`.
    pub fn method(&self) -> i32 {
        self.method
    }

    /// The certificate e, or a lower estimate of it, as [`certificate`](Self::certificate) says; None where it was not measured.
    pub fn epsilon(&self) -> Option<f64> {
        (self.certificate != sys::SUBQUAD_CERTIFICATE_NONE).then_some(self.epsilon)
    }

    /// How [`epsilon`](Self::epsilon) was measured: `sys::SUBQUAD_CERTIFICATE_EXACT`, `_ESTIMATE` (a lower estimate) or `_NONE`.
    pub fn certificate(&self) -> i32 {
        self.certificate
    }

    /// r: the largest squared norm of a row of X, and for queries and keys the largest norm of a query times that of a key.
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// `exp(2 e |scale| r)`: every entry of the softmax is within this factor of the true one, where e is exact.
    ///
    /// Errors: `ERR_VALUE` when scale is not finite, `ERR_UNSET` without a certificate.
    pub fn ratio_bound(&self, scale: f64) -> Result<f64> {
        let mut bound = 0.0;
        // SAFETY: the handle is live, and `bound` is a place for the result.
        check(unsafe {
            sys::subquad_sparsifier_ratio_bound(self.handle(), scale, &raw mut bound)
        })?;
        Ok(bound)
    }

    /// Which columns of X those of Y are, in increasing order, counted from 0.
    ///
    /// Errors: `ERR_UNSET` for the method gram, whose columns are not those of X, unless Y is X itself.
    pub fn indices(&self) -> Result<Vec<usize>> {
        let mut indices = Fresh::<i64, _>::new("indices", Dim([self.width()]))?;
        let view = indices.view();
        // SAFETY: the handle is live, the view is of an array that is owned here, and the others may be left out.
        check(unsafe {
            sys::subquad_sparsifier_get(self.handle(), &raw const view, null(), null())
        })?;
        // SAFETY: the call that had it as an output succeeded.
        let indices = unsafe { indices.written() };
        let index = |&index: &i64| usize::try_from(index).expect("an index is not negative");
        Ok(indices.iter().map(index).collect())
    }

    /// The weights of those columns: `Y[:,i] = sqrt(weights[i]) X[:,indices[i]]`. Errors: as those of [`indices`](Self::indices).
    pub fn weights(&self) -> Result<Array1<f64>> {
        let mut weights = Fresh::new("weights", Dim([self.width()]))?;
        let view = weights.view();
        // SAFETY: the handle is live, the view is of an array that is owned here, and the others may be left out.
        check(unsafe {
            sys::subquad_sparsifier_get(self.handle(), null(), &raw const view, null())
        })?;
        // SAFETY: the call that had it as an output succeeded.
        Ok(unsafe { weights.written() })
    }

    /// Y, n x m.
    pub fn y(&self) -> Result<Array2<T>> {
        let mut y = Fresh::new("y", Dim(self.shape))?;
        // SAFETY: the output is owned here.
        unsafe { self.write_y(y.view()) }?;
        // SAFETY: the call that had it as an output succeeded.
        Ok(unsafe { y.written() })
    }

    /// The same, written into an array of the caller. Any strides.
    pub fn y_into(&self, y: &mut ArrayRef2<T>) -> Result<()> {
        // SAFETY: the output is borrowed exclusively for the call.
        unsafe { self.write_y(output(y)) }
    }

    /// The rows of Y that stand for queries; all of them where one matrix was sparsified.
    pub fn y_q(&self) -> Result<Array2<T>> {
        let queries = self.query_rows.unwrap_or(self.rows());
        Ok(self.y()?.slice_move(s![..queries, ..]))
    }

    /// The rows of Y that stand for keys; all of them where one matrix was sparsified.
    pub fn y_k(&self) -> Result<Array2<T>> {
        let first_key = self.query_rows.unwrap_or(0);
        Ok(self.y()?.slice_move(s![first_key.., ..]))
    }

    /// # Safety
    /// The view is that of an array that lives for the call, and nothing else refers to its elements.
    unsafe fn write_y(&self, y: sys::subquad_array) -> Result<()> {
        // SAFETY: the handle is live, the view is as the caller promises, and the others may be left out.
        check(unsafe { sys::subquad_sparsifier_get(self.handle(), null(), null(), &raw const y) })
    }
}

impl<T: Element> Drop for Sparsifier<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is live until here, or null where none was made, and no call uses it: a call borrows the sparsifier.
        unsafe { sys::subquad_sparsifier_destroy(self.handle) };
    }
}

/// An error with options called as the builders of this crate call them: without the prefix of the library's names.
fn in_own_words(error: Error) -> Error {
    Error::new(error.code(), error.message().replace("sparsify_", ""))
}
