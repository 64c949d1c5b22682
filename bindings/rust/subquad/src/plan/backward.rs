//! The gradients of attention as planned.

use ndarray::{ArrayRef, Dimension};

use super::{Plan, PlanOptions};
use crate::array::{Element, Fresh, input, pointer};
use crate::backward::{Gradients, GradientsMut};
use crate::error::Result;
use crate::report::Report;
use crate::sys;

impl<T: Element, D: Dimension> Plan<T, D> {
    /// Gradients of [`apply`](Self::apply). With `P[i,j] = exp(s[i,j] - lse[i])` and `dS = P * (d_o v' - rowsum(d_o * o))` on the pairs
    /// that the plan computes,
    ///
    /// ```text
    /// dq = scale dS k     dk = scale dS' q     dv = P' d_o
    /// ```
    ///
    /// `v` as it was applied, `o: [.., H_q, n_q, d_v]` and `lse: [.., H_q, n_q]` what [`apply`](Self::apply) returned for it, and
    /// `d_o: [.., H_q, n_q, d_v]`. Heads that are exact get exact gradients. Pairs that screening left out and far fields have no part in
    /// dq and dk; a conv far field adds its transposed product to dv. The report has the relative Frobenius error of each head's dq,
    /// measured on sampled rows: [`Head::error_backward`](crate::Head::error_backward). There is no `d_lag_bias`. Errors: as those of
    /// [`apply`](Self::apply).
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::{Attention, PlanOptions};
    ///
    /// let (q, k, v) = (Array2::<f64>::eye(9), Array2::eye(9), Array2::ones((9, 2)));
    /// let plan = Attention::new().causal(true).tol(0.1).plan(&q, &k, Some(&v))?;
    /// let options = PlanOptions::new();
    /// let output = plan.apply(&v, &options)?;
    /// let gradients = plan.backward(&v, &output.o, &output.lse, &Array2::ones((9, 2)), &options)?;
    /// assert!(gradients.dq.iter().all(|dq| dq.abs() < 1e-15)); // values that are all alike make the weights irrelevant
    /// assert!((gradients.dv.sum() - 18.0).abs() < 18.0 * 9.0 * f64::EPSILON);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn backward(
        &self,
        v: &ArrayRef<T, D>,
        o: &ArrayRef<T, D>,
        lse: &ArrayRef<T, D::Smaller>,
        d_o: &ArrayRef<T, D>,
        options: &PlanOptions<'_>,
    ) -> Result<Gradients<T, D>> {
        let mut dq = Fresh::new("dq", self.q_shape.clone())?;
        let mut dk = Fresh::new("dk", self.k_shape.clone())?;
        let mut dv = Fresh::new("dv", v.raw_dim())?;
        let outputs = [&mut dq, &mut dk, &mut dv].map(|output| Some(output.view()));
        // SAFETY: the inputs are borrowed for the call, and the outputs are owned here.
        let report =
            unsafe { self.gradients([v, o, d_o].map(input), input(lse), outputs, options) }?;
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
    pub fn backward_into(
        &self,
        v: &ArrayRef<T, D>,
        o: &ArrayRef<T, D>,
        lse: &ArrayRef<T, D::Smaller>,
        d_o: &ArrayRef<T, D>,
        gradients: GradientsMut<'_, T, D>,
        options: &PlanOptions<'_>,
    ) -> Result<Report> {
        let outputs = gradients.without_lag_bias("a plan")?;
        // SAFETY: all arrays are borrowed for the call, the outputs exclusively.
        unsafe { self.gradients([v, o, d_o].map(input), input(lse), outputs, options) }
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and nothing else refers to the outputs' elements.
    unsafe fn gradients(
        &self,
        [v, o, d_o]: [sys::subquad_array; 3],
        lse: sys::subquad_array,
        outputs: [Option<sys::subquad_array>; 3],
        options: &PlanOptions<'_>,
    ) -> Result<Report> {
        let [dq, dk, dv] = outputs.each_ref().map(|view| pointer(view.as_ref()));
        let report = Report::new()?;
        options.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises; outputs are null where they are not given.
            unsafe {
                sys::subquad_plan_backward(
                    context,
                    options,
                    self.handle(),
                    &raw const v,
                    &raw const o,
                    &raw const lse,
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
