//! Joining attention over disjoint sets of keys.

use ndarray::{Array, ArrayRef, ArrayView, Dimension};

use crate::array::{Element, Fresh, input, output, pointer, without_last_axis};
use crate::attention::Attention;
use crate::error::Result;
use crate::sys;

/// A partial result as views: its o and its lse.
type Part<'a, T, D> = (
    ArrayView<'a, T, D>,
    ArrayView<'a, T, <D as Dimension>::Smaller>,
);

/// What [`Attention::merge`] computes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Merged<T, D: Dimension> {
    /// Shaped like the parts'; 0 in rows for which no part saw a key.
    pub o: Array<T, D>,
    /// Shaped like the parts'; minus infinity in such rows.
    pub lse: Array<T, D::Smaller>,
}

impl<T: Element> Attention<'_, T> {
    /// Join partial results, each computed over other keys (see [`key_offset`](Self::key_offset)):
    ///
    /// ```text
    /// lse[i] = log sum_p exp(lse_p[i])     o[i,:] = sum_p exp(lse_p[i] - lse[i]) o_p[i,:]
    /// ```
    ///
    /// `parts`: one or more pairs of views `[.., n_q, d_v]` and `[.., n_q]`, all of one shape. Of the options, the context and
    /// `check_finite` matter.
    ///
    /// Errors: `ERR_VALUE` without parts, `ERR_SHAPE`, `ERR_SIZE`, `ERR_NONFINITE`, `ERR_MEMORY`.
    ///
    /// ```
    /// use ndarray::{Array2, s};
    /// use subquad::Attention;
    ///
    /// let x = Array2::<f64>::eye(6);
    /// let (head, tail) = (x.slice(s![..4, ..]), x.slice(s![4.., ..]));
    /// let first = Attention::new().run(&x, &head, &head)?;
    /// let second = Attention::new().key_offset(4).run(&x, &tail, &tail)?;
    /// let merged = Attention::new().merge(&[
    ///     (first.o.view(), first.lse.view()),
    ///     (second.o.view(), second.lse.view()),
    /// ])?;
    /// let whole = Attention::new().run(&x, &x, &x)?;
    /// assert!((merged.o - whole.o).iter().all(|difference| difference.abs() < 1e-14));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn merge<D: Dimension>(&self, parts: &[Part<'_, T, D>]) -> Result<Merged<T, D>> {
        // Without parts there is no shape, and the library refuses the call.
        let shape = parts
            .first()
            .map_or_else(|| D::zeros(D::NDIM.unwrap_or(2)), |(o, _)| o.raw_dim());
        let lse_shape = without_last_axis(&shape);
        let mut o = Fresh::new("o", shape)?;
        let mut lse = Fresh::new("lse", lse_shape)?;
        // SAFETY: the outputs are owned here.
        unsafe { self.join(parts, o.view(), Some(lse.view())) }?;
        // SAFETY: the call that had both as outputs succeeded.
        unsafe {
            Ok(Merged {
                o: o.written(),
                lse: lse.written(),
            })
        }
    }

    /// The same, written into arrays of the caller.
    pub fn merge_into<D: Dimension>(
        &self,
        parts: &[Part<'_, T, D>],
        o: &mut ArrayRef<T, D>,
        lse: Option<&mut ArrayRef<T, D::Smaller>>,
    ) -> Result<()> {
        // SAFETY: the outputs are borrowed exclusively for the call.
        unsafe { self.join(parts, output(o), lse.map(output)) }
    }

    /// # Safety
    /// The views of the outputs are those of arrays that live for the call, and nothing else refers to their elements.
    unsafe fn join<D: Dimension>(
        &self,
        parts: &[Part<'_, T, D>],
        o: sys::subquad_array,
        lse: Option<sys::subquad_array>,
    ) -> Result<()> {
        let (o_parts, lse_parts): (Vec<_>, Vec<_>) =
            parts.iter().map(|(o, lse)| (input(o), input(lse))).unzip();
        self.call.make(|context, options| {
            // SAFETY: handles are live; both lists have as many views as is said, each of an array that is borrowed here; the outputs are as the
            // caller promises.
            unsafe {
                sys::subquad_attention_merge(
                    context,
                    options,
                    parts.len() as i64,
                    o_parts.as_ptr(),
                    lse_parts.as_ptr(),
                    &raw const o,
                    pointer(lse.as_ref()),
                )
            }
        })
    }
}
