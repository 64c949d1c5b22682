//! Attention as planned.

use ndarray::{ArrayRef, Dimension};

use super::{Plan, PlanOptions};
use crate::array::{Element, Fresh, input, output, pointer, without_last_axis};
use crate::attention::{Output, with_columns_of};
use crate::error::Result;
use crate::report::Report;
use crate::sys;

impl<T: Element, D: Dimension> Plan<T, D> {
    /// Attention as planned, `o ~ D^-1 A v` and `lse ~ log` of D's diagonal.
    ///
    /// `v: [.., H_kv, n_k, d_v]`, any strides. An output does not change by a bit when values do that its query does not see, but for
    /// heads with a conv far field, where it changes by round-off of the values that share a transform. The report is the plan's, with
    /// the pairs that were computed, `MISSED_MASS` and `HEAD_SECONDS_APPLY`; errors are still those of the values that the plan was made
    /// with. The same bits for any number of threads.
    ///
    /// Errors: `ERR_SHAPE`, `ERR_SIZE`; `ERR_NONFINITE`, with the first bad index; `ERR_OVERFLOW`, `ERR_MEMORY`, `ERR_WORKSPACE`,
    /// `ERR_THREADS`, `ERR_CANCELLED`.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::{Attention, PlanOptions};
    ///
    /// let (q, k) = (Array2::<f64>::zeros((5, 3)), Array2::ones((200, 3)));
    /// let plan = Attention::new().tol(0.1).plan(&q, &k, None)?;
    /// let v = Array2::from_shape_fn((200, 1), |(j, _)| j as f64);
    /// let output = plan.apply(&v, &PlanOptions::new())?; // the mean of all values
    /// assert!((output.o[[4, 0]] - 99.5).abs() <= 200.0 * f64::EPSILON * 99.5);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn apply(&self, v: &ArrayRef<T, D>, options: &PlanOptions<'_>) -> Result<Output<T, D>> {
        let shape = with_columns_of(v, self.q_shape.clone());
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
    pub fn apply_into(
        &self,
        v: &ArrayRef<T, D>,
        o: &mut ArrayRef<T, D>,
        lse: Option<&mut ArrayRef<T, D::Smaller>>,
        options: &PlanOptions<'_>,
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
        options: &PlanOptions<'_>,
    ) -> Result<Report> {
        let report = Report::new()?;
        options.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises; lse is null where it is not given.
            unsafe {
                sys::subquad_plan_apply(
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
}
