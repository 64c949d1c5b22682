//! Softmax attention with the logits of a conv basis.

use ndarray::{ArrayRef, Dimension};

use super::{ConvBasis, ConvOptions};
use crate::array::{Element, Fresh, input, output, pointer, without_last_axis};
use crate::attention::Output;
use crate::error::Result;
use crate::report::Report;
use crate::sys;

impl<T: Element> ConvBasis<T> {
    /// Causal softmax attention with the logits H: `o = D^-1 A v`, `A = exp(H)` for `j <= i`, `D = diag(A 1)`, `lse = log` of D's diagonal.
    ///
    /// `v: [.., H_v, n, d_v]`, any strides; the heads of the basis are a multiple of `H_v`, as with grouped heads.
    /// `|o - o_exact|` is at most 1e-4 in f32 (logits in `[-80, 80]`) or 1e-9 in f64 (`[-600, 600]`) times the largest `|v|` of the column,
    /// whatever H, and where the logits use little range of the order of round-off. The report has `BLOCK`, `LAYERS`, `DIRECT_ROWS`
    /// and `PAIRS`. Errors: as those of [`multiply`](Self::multiply).
    ///
    /// ```
    /// use ndarray::{Array1, Array2};
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// let options = ConvOptions::new();
    /// let uniform = ConvBasis::toeplitz(&Array1::<f64>::zeros(1000), &options)?;
    /// let v = Array2::from_shape_fn((1000, 1), |(j, _)| j as f64);
    /// let output = uniform.apply(&v, &options)?; // the mean of all values so far
    /// assert!((output.o[[999, 0]] - 499.5).abs() <= 1e-9 * 999.0);
    /// assert!((output.lse[999] - 1000.0_f64.ln()).abs() < 1e-14 * 1000.0);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn apply<D: Dimension>(
        &self,
        v: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
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
    pub fn apply_into<D: Dimension>(
        &self,
        v: &ArrayRef<T, D>,
        o: &mut ArrayRef<T, D>,
        lse: Option<&mut ArrayRef<T, D::Smaller>>,
        options: &ConvOptions<'_>,
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
        options: &ConvOptions<'_>,
    ) -> Result<Report> {
        let report = Report::new()?;
        options.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises; lse is null where it is not given.
            unsafe {
                sys::subquad_conv_basis_apply(
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

    /// The shape of v with the heads of the basis. Where they do not fit together, the library says so.
    fn output_shape<D: Dimension>(&self, v: &ArrayRef<T, D>) -> D {
        let mut shape = v.raw_dim();
        if let Some(heads) = shape.ndim().checked_sub(3) {
            shape[heads] = self.heads();
        }
        shape
    }
}
