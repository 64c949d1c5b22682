//! The gradients of attention with the weights of a conv basis.

use ndarray::{ArrayRef, Dimension};

use super::{ConvBasis, ConvOptions};
use crate::array::{Element, Fresh, input, pointer};
use crate::backward::{Gradients, GradientsMut};
use crate::error::Result;
use crate::report::Report;
use crate::sys;

impl<T: Element> ConvBasis<T> {
    /// Gradients of `o = P~ v` with the weights P~ of the basis in place of `softmax(scale q k')`. With
    /// `dS~ = P~ * (d_o v' - rowsum(d_o * o))`,
    ///
    /// ```text
    /// dq = scale dS~ k     dk = scale dS~' q     dv = P~' d_o
    /// ```
    ///
    /// The basis is what [recovery](Self::recover) or a [fit](Self::fit) made of q and k, and [`scale`](ConvOptions::scale) is the one that
    /// it was made with. `d_o: [.., H_q, n, d_v]`, the others as for attention, grouped heads too. O(k n d d_v log n) by the basis; where the
    /// exact gradients are cheaper they are what comes back, unless [`backward_method`](ConvOptions::backward_method) says otherwise: the
    /// report's `METHOD` says which ran. Where recovery's conditions hold, a row of `dS~` errs by at most
    /// `6 tanh(eps) |d_o[i,:]|_1 max|v|` in the l1 norm. Errors: as those of [`multiply`](Self::multiply).
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::{ConvBasis, ConvOptions, RecoverOptions, sys};
    ///
    /// let (q, k, v) = (Array2::<f64>::ones((50, 3)), Array2::ones((50, 3)), Array2::eye(50));
    /// let basis = ConvBasis::recover(&q, &k, &RecoverOptions::new(1, 4, 1.0))?.basis;
    /// let by_basis = ConvOptions::new().backward_method(sys::SUBQUAD_METHOD_CONV_BASIS);
    /// let gradients = basis.backward(&q, &k, &v, &v, &by_basis)?;
    /// assert!((gradients.dv[[0, 49]] - 1.0 / 50.0).abs() < 1e-9);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn backward<D: Dimension>(
        &self,
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        v: &ArrayRef<T, D>,
        d_o: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Gradients<T, D>> {
        let mut dq = Fresh::new("dq", q.raw_dim())?;
        let mut dk = Fresh::new("dk", k.raw_dim())?;
        let mut dv = Fresh::new("dv", v.raw_dim())?;
        let outputs = [&mut dq, &mut dk, &mut dv].map(|output| Some(output.view()));
        // SAFETY: the inputs are borrowed for the call, and the outputs are owned here.
        let report = unsafe { self.gradients([q, k, v, d_o].map(input), outputs, options) }?;
        // SAFETY: the call that had all of them as outputs succeeded.
        unsafe {
            Ok(Gradients {
                dq: dq.written(),
                dk: dk.written(),
                dv: dv.written(),
                d_lag_bias: None,
                report,
            })
        }
    }

    /// The same, written into those arrays of the caller that are given. Errors: also `ERR_UNSUPPORTED` for `d_lag_bias`.
    pub fn backward_into<D: Dimension>(
        &self,
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        v: &ArrayRef<T, D>,
        d_o: &ArrayRef<T, D>,
        gradients: GradientsMut<'_, T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Report> {
        let outputs = gradients.without_lag_bias("a conv basis")?;
        // SAFETY: all arrays are borrowed for the call, the outputs exclusively.
        unsafe { self.gradients([q, k, v, d_o].map(input), outputs, options) }
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and nothing else refers to the outputs' elements.
    unsafe fn gradients(
        &self,
        [q, k, v, d_o]: [sys::subquad_array; 4],
        outputs: [Option<sys::subquad_array>; 3],
        options: &ConvOptions<'_>,
    ) -> Result<Report> {
        let [dq, dk, dv] = outputs.each_ref().map(|view| pointer(view.as_ref()));
        let report = Report::new()?;
        options.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises; outputs are null where they are not given.
            unsafe {
                sys::subquad_conv_basis_backward(
                    context,
                    options,
                    self.handle(),
                    &raw const q,
                    &raw const k,
                    &raw const v,
                    &raw const d_o,
                    dq,
                    dk,
                    dv,
                    report.handle(),
                )
            }
        })?;
        Ok(report)
    }
}
