//! Softmax attention from a sparsifier, and its true error.

use ndarray::{ArrayRef, Dimension};

use super::{Sparsifier, SparsifierOptions};
use crate::array::{Element, Fresh, input, output, pointer, without_last_axis};
use crate::attention::Output;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::report::Report;
use crate::sys;

/// How far the softmax of a sparsifier, P~, is from that of what was sparsified, P.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SoftmaxError {
    /// `max |P~[i,j] - P[i,j]|`.
    pub error: f64,
    /// `max exp |log P~[i,j] - log P[i,j]|`: at most [`ratio_bound`](Sparsifier::ratio_bound) where the certificate is exact.
    pub ratio: f64,
}

impl<T: Element> Sparsifier<T> {
    /// `o = softmax(scale Y Y') v`, for queries and keys `o = softmax(scale Y_q Y_k') v`, without an n x n array.
    ///
    /// `v: [n, d_v]`, for queries and keys `[n_k, d_v]`, any strides; `o: [n, d_v]` or `[n_q, d_v]`, and lse accordingly. The scale is 1
    /// where it is not set. Time O(n^2 (m + d_v)). Errors: as those of [`Attention::run`](crate::Attention::run).
    ///
    /// ```
    /// use ndarray::array;
    /// use subquad::{SparsifierOptions, Sparsify, sys};
    ///
    /// // Rank 1: a factor of one column stands for all four.
    /// let x = array![[0.1, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2]];
    /// let sparsifier = Sparsify::new().method(sys::SUBQUAD_SPARSIFIER_GRAM).run(&x)?.sparsifier;
    /// assert_eq!(sparsifier.width(), 1);
    /// let o = sparsifier.attention(&array![[0.0], [1.0]], &SparsifierOptions::new())?.o;
    /// let second = |logits: [f64; 2]| 1.0 / (1.0 + (logits[0] - logits[1]).exp());
    /// assert!((o[[0, 0]] - second([0.04, 0.08])).abs() < 1e-14);
    /// assert!((o[[1, 0]] - second([0.08, 0.16])).abs() < 1e-14);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn attention<D: Dimension>(
        &self,
        v: &ArrayRef<T, D>,
        options: &SparsifierOptions<'_>,
    ) -> Result<Output<T, D>> {
        let shape = self.output_shape(v);
        let lse_shape = without_last_axis(&shape);
        let mut o = Fresh::new("o", shape)?;
        let mut lse = Fresh::new("lse", lse_shape)?;
        // SAFETY: the input is borrowed for the call, and the outputs are owned here.
        let report = unsafe { self.attend(input(v), o.view(), Some(lse.view()), options) }?;
        // SAFETY: the call that had both as outputs succeeded.
        let (o, lse) = unsafe { (o.written(), lse.written()) };
        Ok(Output { o, lse, report })
    }

    /// The same, written into arrays of the caller: `o` and, where it is asked for, `lse`. Any strides.
    pub fn attention_into<D: Dimension>(
        &self,
        v: &ArrayRef<T, D>,
        o: &mut ArrayRef<T, D>,
        lse: Option<&mut ArrayRef<T, D::Smaller>>,
        options: &SparsifierOptions<'_>,
    ) -> Result<Report> {
        // SAFETY: all arrays are borrowed for the call, the outputs exclusively.
        unsafe { self.attend(input(v), output(o), lse.map(output), options) }
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and nothing else refers to the outputs' elements.
    unsafe fn attend(
        &self,
        v: sys::subquad_array,
        o: sys::subquad_array,
        lse: Option<sys::subquad_array>,
        options: &SparsifierOptions<'_>,
    ) -> Result<Report> {
        let report = Report::new()?;
        options.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises; lse is null where it is not given.
            unsafe {
                sys::subquad_sparsifier_attention(
                    context,
                    options,
                    self.handle(),
                    &raw const v,
                    &raw const o,
                    pointer(lse.as_ref()),
                    report.handle(),
                )
            }
        })?;
        Ok(report)
    }

    /// The shape of v with a row for each query. Where v is no matrix, the library says so.
    fn output_shape<D: Dimension>(&self, v: &ArrayRef<T, D>) -> D {
        let mut shape = v.raw_dim();
        if let Some(rows) = shape.ndim().checked_sub(2) {
            shape[rows] = self.query_rows.unwrap_or(self.rows());
        }
        shape
    }

    /// The true error of the softmax of `scale Y Y'`, for small n: time O(n^2 d), memory O(n^2).
    ///
    /// x is what was sparsified. Of the options, scale (1 where it is not set), `check_finite` and the context matter. Errors: as those of
    /// [`Sparsify::run`](crate::Sparsify::run), and `ERR_SHAPE` or `ERR_CONFLICT` where x is not what was sparsified.
    pub fn softmax_error<X>(
        &self,
        x: &X,
        options: &SparsifierOptions<'_>,
    ) -> Result<SoftmaxError, X::Error>
    where
        X: Matrix<Element = T> + ?Sized,
    {
        // SAFETY: x is lent for the call.
        x.lend(|x| unsafe { self.measure(x, std::ptr::null(), options) })
    }

    /// The true error of the softmax of `scale Y_q Y_k'`. q and k are what was sparsified; all else as
    /// [`softmax_error`](Self::softmax_error).
    pub fn softmax_error_pair<Q, K>(
        &self,
        q: &Q,
        k: &K,
        options: &SparsifierOptions<'_>,
    ) -> Result<SoftmaxError, Q::Error>
    where
        Q: Matrix<Element = T> + ?Sized,
        K: Matrix<Element = T> + ?Sized,
        Q::Error: From<K::Error>,
    {
        // SAFETY: both are lent for the call.
        q.lend(|q| k.lend(|k| unsafe { self.measure(q, k, options) }))
    }

    /// # Safety
    /// x is live; k is live or null.
    unsafe fn measure(
        &self,
        x: *const sys::subquad_matrix,
        k: *const sys::subquad_matrix,
        options: &SparsifierOptions<'_>,
    ) -> Result<SoftmaxError> {
        let mut measured = SoftmaxError {
            error: 0.0,
            ratio: 0.0,
        };
        options.call.make(|context, options| {
            // SAFETY: handles are live, the matrices are as the caller promises, and both results have places.
            unsafe {
                sys::subquad_sparsifier_softmax_error(
                    context,
                    options,
                    self.handle(),
                    x,
                    k,
                    &raw mut measured.error,
                    &raw mut measured.ratio,
                )
            }
        })?;
        Ok(measured)
    }
}
