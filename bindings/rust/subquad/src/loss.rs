//! The training problem of one attention layer.

use ndarray::{Array2, ArrayRef2};

use crate::array::{Element, Fresh, input, output, pointer};
use crate::attention::Attention;
use crate::error::Result;
use crate::report::Report;
use crate::sys;

/// What [`Attention::loss`] computes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loss<T> {
    /// Half the squared distance of the layer's output from e.
    pub loss: f64,
    /// Its gradient in x.
    pub grad_x: Array2<T>,
    /// What the call did.
    pub report: Report,
}

impl<T: Element> Attention<'_, T> {
    /// The loss of one causal attention layer and its gradient in x:
    ///
    /// ```text
    /// loss = 0.5 |D(x)^-1 (M * exp(scale a1 x a2')) a3 y - e|_F^2      grad_x = d loss / d x
    /// ```
    ///
    /// `a1, a2, a3: [n, d]`, `x: [d, d]`, `y: [d, d_v]`, `e: [n, d_v]`, any strides. Of the options, method, bases, window, delta, eps,
    /// backward method, scale (1 where it is not set), seed, `check_finite` and the context matter; always causal.
    ///
    /// Errors: as those of [`run`](Self::run) and of [`ConvBasis::recover`](crate::ConvBasis::recover).
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::Attention;
    ///
    /// // Without logits the layer takes means, and e is just that: nothing to learn.
    /// let (a, x, y) = (Array2::<f64>::ones((4, 2)), Array2::zeros((2, 2)), Array2::eye(2));
    /// let result = Attention::new().loss(&a, &a, &a, &x, &y, &a)?;
    /// assert!(result.loss < 1e-30);
    /// assert_eq!(result.grad_x.dim(), (2, 2));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn loss(
        &self,
        a1: &ArrayRef2<T>,
        a2: &ArrayRef2<T>,
        a3: &ArrayRef2<T>,
        x: &ArrayRef2<T>,
        y: &ArrayRef2<T>,
        e: &ArrayRef2<T>,
    ) -> Result<Loss<T>> {
        let inputs = [a1, a2, a3, x, y, e].map(|array| input(array));
        let mut grad_x = Fresh::new("grad_x", x.raw_dim())?;
        // SAFETY: the inputs are borrowed for the call, and the output is owned here.
        let (loss, report) = unsafe { self.layer(inputs, Some(grad_x.view())) }?;
        // SAFETY: the call that had it as an output succeeded.
        let grad_x = unsafe { grad_x.written() };
        Ok(Loss {
            loss,
            grad_x,
            report,
        })
    }

    /// The same, with the gradient, where it is asked for, written into an array of the caller.
    #[expect(clippy::too_many_arguments, reason = "the mathematics has six inputs")]
    pub fn loss_into(
        &self,
        a1: &ArrayRef2<T>,
        a2: &ArrayRef2<T>,
        a3: &ArrayRef2<T>,
        x: &ArrayRef2<T>,
        y: &ArrayRef2<T>,
        e: &ArrayRef2<T>,
        grad_x: Option<&mut ArrayRef2<T>>,
    ) -> Result<(f64, Report)> {
        let inputs = [a1, a2, a3, x, y, e].map(|array| input(array));
        // SAFETY: all arrays are borrowed for the call, the output exclusively.
        unsafe { self.layer(inputs, grad_x.map(output)) }
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and nothing else refers to the output's elements.
    unsafe fn layer(
        &self,
        [a1, a2, a3, x, y, e]: [sys::subquad_array; 6],
        grad_x: Option<sys::subquad_array>,
    ) -> Result<(f64, Report)> {
        let report = Report::new()?;
        let mut loss = 0.0;
        self.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises, grad_x is null where it is not given, and `loss` is a
            // place for the result.
            unsafe {
                sys::subquad_attention_loss(
                    context,
                    options,
                    &raw const a1,
                    &raw const a2,
                    &raw const a3,
                    &raw const x,
                    &raw const y,
                    &raw const e,
                    &raw mut loss,
                    pointer(grad_x.as_ref()),
                    report.handle(),
                )
            }
        })?;
        Ok((loss, report))
    }
}
