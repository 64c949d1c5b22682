//! The options of what is done with a conv basis.

use crate::call::{Call, call_options};
use crate::sys;

/// Options of what is done with a [`ConvBasis`](crate::ConvBasis). What is not set keeps the library's default; an operation ignores what
/// has no meaning for it. Values are checked when they are used.
///
/// ```
/// use ndarray::Array2;
/// use subquad::{Context, ConvBasis, ConvOptions};
///
/// let mut context = Context::new()?;
/// context.set_threads(2)?;
/// let options = ConvOptions::new().context(&context).strict_causal(true);
/// let basis = ConvBasis::toeplitz(&ndarray::Array1::<f32>::linspace(0.0, -3.0, 64), &options)?;
/// let smooth = basis.apply(&Array2::ones((64, 3)), &options)?;
/// assert_eq!(smooth.o.dim(), (64, 3));
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConvOptions<'a> {
    pub(crate) call: Call<'a>,
}

impl<'a> ConvOptions<'a> {
    /// All defaults.
    pub fn new() -> Self {
        Self::default()
    }

    call_options!('a);

    /// Kernels hold the logits `B_r = b_0 + .. + b_r`, not the increments `b_r`.
    pub fn cumulative(self, cumulative: bool) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_CUMULATIVE, cumulative.into())
    }

    /// Outputs do not change by a bit when later values do. Without, they change by no more than round-off of the values that share a
    /// transform with them.
    pub fn strict_causal(self, strict: bool) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_STRICT_CAUSAL, strict.into())
    }

    /// The factor of the inner products of which the basis holds the logits, for gradients; `1 / sqrt(d)` where it is not set.
    pub fn scale(self, scale: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SCALE, scale)
    }

    /// How gradients are computed, `sys::SUBQUAD_METHOD_*`: from the basis, or exactly from queries and keys; the faster where it is not
    /// set.
    pub fn backward_method(self, method: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_BACKWARD, method.into())
    }
}
