//! Making a plan.

use std::marker::PhantomData;
use std::ptr::null_mut;

use ndarray::{ArrayRef, Dimension};

use super::Plan;
use crate::array::{Element, input, pointer};
use crate::attention::Attention;
use crate::error::Result;
use crate::sys;

impl<T: Element> Attention<'_, T> {
    /// Decide how attention to a [`tol`](Self::tol) or within a [`budget`](Self::budget) is computed for these queries and keys.
    ///
    /// `q: [.., H_q, n_q, d]`, `k: [.., H_kv, n_k, d]` as in [`run`](Self::run), and the options of that for method exact, with
    /// [`estimate`](Self::estimate), [`parts`](Self::parts), [`strict_causal`](Self::strict_causal) and [`seed`](Self::seed).
    /// `v: [.., H_kv, n_k, d_v]` are the values on which errors are estimated; without, random ones of variance 1. Planning costs at
    /// most 8 % of the time that exact attention is expected to take. Errors: as those of [`run`](Self::run); `ERR_CONFLICT` for none
    /// or both of tol and budget, and for another method than auto.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use subquad::{Attention, PlanOptions, fill_uniform, sys};
    ///
    /// // Two query heads that share a head of keys, planned for one kind of values and applied to another.
    /// let [mut q, mut k, mut v] = [2, 1, 1].map(|heads| Array3::<f32>::zeros((heads, 2048, 16)));
    /// fill_uniform(&mut q, 1, 0, -2.0, 2.0)?;
    /// fill_uniform(&mut k, 1, 1, -2.0, 2.0)?;
    /// fill_uniform(&mut v, 1, 2, -1.0, 1.0)?;
    /// let plan = Attention::new().causal(true).tol(0.05).plan(&q, &k, Some(&v))?;
    /// for head in plan.report()?.heads()? {
    ///     assert!(head.error <= 0.05);
    ///     assert!(head.error_low <= head.error && head.error <= head.error_high);
    /// }
    /// let output = plan.apply(&Array3::ones((1, 2048, 3)), &PlanOptions::new())?;
    /// assert_eq!(output.o.dim(), (2, 2048, 3));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn plan<D: Dimension>(
        &self,
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        v: Option<&ArrayRef<T, D>>,
    ) -> Result<Plan<T, D>> {
        let [q_view, k_view] = [q, k].map(input);
        let v_view = v.map(input);
        let lag_bias = self.lag_bias_view();
        let key_ranges = self.key_ranges_view();
        // Owned from the start: a progress callback's panic may come out of a call that made a plan.
        let mut plan = Plan {
            handle: null_mut(),
            q_shape: q.raw_dim(),
            k_shape: k.raw_dim(),
            element: PhantomData,
        };
        let plan_out = &raw mut plan.handle;
        self.call.make(|context, options| {
            // SAFETY: handles are live; the views are of arrays that are borrowed for the call, by it or by `self`; `plan_out` is a
            // place for the result; optional arguments are null where they are not given, and the report, which the plan keeps, may be.
            unsafe {
                sys::subquad_plan_create(
                    context,
                    options,
                    &raw const q_view,
                    &raw const k_view,
                    pointer(v_view.as_ref()),
                    pointer(lag_bias.as_ref()),
                    pointer(key_ranges.as_ref()),
                    plan_out,
                    null_mut(),
                )
            }
        })?;
        Ok(plan)
    }
}
