//! Plans: what attention to a tolerance or within a budget has decided for queries and keys.

mod apply;
mod backward;
mod create;
mod options;
mod tolerance;

use std::marker::PhantomData;

use ndarray::Dimension;

use crate::array::Element;
use crate::error::{Result, check};
use crate::report::Report;
use crate::sys;

pub use options::PlanOptions;

/// What [`Attention::plan`](crate::Attention::plan) decided for queries and keys, head by head, to be [applied](Self::apply) to any
/// number of values.
///
/// Each head is exact, screened or selected (see [`Attention::tol`](crate::Attention::tol)):
/// [`Report::heads`](crate::Report::heads) says which, at what cost, and with what estimated error. A plan keeps its own copy of q, k,
/// lag bias and key ranges. It is read-only and may be shared by threads, each of which computes with a
/// [`Context`](crate::Context) of its own.
///
/// ```
/// use ndarray::Array2;
/// use subquad::{Attention, PlanOptions, fill_uniform};
///
/// let (mut q, mut k) = (Array2::<f32>::zeros((600, 8)), Array2::zeros((600, 8)));
/// fill_uniform(&mut q, 1, 0, -1.0, 1.0)?;
/// fill_uniform(&mut k, 1, 1, -1.0, 1.0)?;
/// let plan = Attention::new().causal(true).tol(0.1).plan(&q, &k, None)?;
/// let head = &plan.report()?.heads()?[0];
/// assert!(head.is_exact()); // so few keys take least time as they are
/// assert!(head.fallback.is_some());
///
/// // Threads may share it.
/// let (temperature, rain) = (Array2::ones((600, 1)), Array2::zeros((600, 3)));
/// std::thread::scope(|scope| {
///     scope.spawn(|| plan.apply(&rain, &PlanOptions::new()).map(|output| output.o));
///     plan.apply(&temperature, &PlanOptions::new()).map(|output| output.o)
/// })?;
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Debug)]
pub struct Plan<T: Element, D: Dimension> {
    handle: *mut sys::subquad_plan,
    q_shape: D,
    k_shape: D,
    element: PhantomData<T>,
}

// SAFETY: a plan is plain data that no thread is tied to.
unsafe impl<T: Element, D: Dimension> Send for Plan<T, D> {}
// SAFETY: the library reads a finished plan and never writes it, so that any number of calls may use it at once.
unsafe impl<T: Element, D: Dimension> Sync for Plan<T, D> {}

impl<T: Element, D: Dimension> Plan<T, D> {
    fn handle(&self) -> *const sys::subquad_plan {
        self.handle
    }

    /// The report of the call that made the plan: what each head is made of, and its estimated error.
    pub fn report(&self) -> Result<Report> {
        let report = Report::new()?;
        // SAFETY: both handles are live, and nothing else uses the report.
        check(unsafe { sys::subquad_plan_report(self.handle(), report.handle()) })?;
        Ok(report)
    }
}

impl<T: Element, D: Dimension> Drop for Plan<T, D> {
    fn drop(&mut self) {
        // SAFETY: the handle is live until here, or null where none was made, and no call uses it: a call borrows the plan.
        unsafe { sys::subquad_plan_destroy(self.handle) };
    }
}
