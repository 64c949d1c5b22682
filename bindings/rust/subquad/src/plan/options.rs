//! The options of what is done with a plan.

use crate::call::{Call, call_options};

/// Options of what is done with a [`Plan`](crate::Plan): where it runs, and whether inputs are looked at first. All else was decided when
/// the plan was made.
///
/// ```
/// use ndarray::Array2;
/// use subquad::{Attention, Context, PlanOptions};
///
/// let mut context = Context::new()?;
/// context.set_threads(2)?;
/// let x = Array2::<f64>::eye(50);
/// let plan = Attention::new().tol(0.05).plan(&x, &x, None)?;
/// let output = plan.apply(&x, &PlanOptions::new().context(&context))?;
/// assert_eq!(output.report.int(subquad::sys::SUBQUAD_REPORT_THREADS)?, 2);
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PlanOptions<'a> {
    pub(crate) call: Call<'a>,
}

impl<'a> PlanOptions<'a> {
    /// All defaults.
    pub fn new() -> Self {
        Self::default()
    }

    call_options!('a);
}
