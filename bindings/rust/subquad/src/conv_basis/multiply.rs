//! Products with a conv basis, with its transpose, and with the transpose of attention: one matrix in, one of the same shape out.

use ndarray::{Array, ArrayRef, Dimension};

use super::{ConvBasis, ConvOptions};
use crate::array::{Element, Fresh, input, output};
use crate::error::Result;
use crate::report::Report;
use crate::sys;

/// A product with a [`ConvBasis`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Product<T, D: Dimension> {
    /// Shaped like x.
    pub y: Array<T, D>,
    /// What the call did.
    pub report: Report,
}

/// The functions of the library that multiply.
type Multiply = unsafe extern "C" fn(
    *mut sys::subquad_context,
    *const sys::subquad_options,
    *const sys::subquad_conv_basis,
    *const sys::subquad_array,
    *const sys::subquad_array,
    *mut sys::subquad_report,
) -> sys::subquad_status;

impl<T: Element> ConvBasis<T> {
    /// `y = H x` by transforms in blocks.
    ///
    /// `x: [.., H, n, c]`, any strides, with batch and heads as the basis has them; c may be 0. Rounding errors are relative to the largest
    /// `|H| |x|` of the rows and lags that share a transform, not to each entry of y.
    ///
    /// Errors: `ERR_SHAPE`, `ERR_SIZE`, `ERR_NONFINITE`, `ERR_OVERFLOW`, `ERR_MEMORY`, `ERR_WORKSPACE`, `ERR_CANCELLED`.
    ///
    /// ```
    /// use ndarray::{Array1, array};
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// let options = ConvOptions::new();
    /// let sums = ConvBasis::toeplitz(&Array1::ones(3), &options)?;
    /// let y = sums.multiply(&array![[1.0_f64], [2.0], [4.0]], &options)?.y;
    /// assert!((y - array![[1.0], [3.0], [7.0]]).iter().all(|error| error.abs() < 1e-14));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn multiply<D: Dimension>(
        &self,
        x: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Product<T, D>> {
        self.product(sys::subquad_conv_basis_multiply, x, options)
    }

    /// [`multiply`](Self::multiply), written into an array of the caller. Any strides.
    pub fn multiply_into<D: Dimension>(
        &self,
        x: &ArrayRef<T, D>,
        y: &mut ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Report> {
        // SAFETY: both arrays are borrowed for the call, the output exclusively.
        unsafe {
            self.product_into(
                sys::subquad_conv_basis_multiply,
                input(x),
                output(y),
                options,
            )
        }
    }

    /// `y = H' x`. Everything else as [`multiply`](Self::multiply); `strict_causal` has no meaning here.
    ///
    /// ```
    /// use ndarray::{Array1, array};
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// let options = ConvOptions::new();
    /// let sums = ConvBasis::toeplitz(&Array1::ones(3), &options)?;
    /// let y = sums.multiply_transposed(&array![[1.0_f64], [2.0], [4.0]], &options)?.y;
    /// assert!((y - array![[7.0], [6.0], [4.0]]).iter().all(|error| error.abs() < 1e-14));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn multiply_transposed<D: Dimension>(
        &self,
        x: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Product<T, D>> {
        self.product(sys::subquad_conv_basis_multiply_transposed, x, options)
    }

    /// [`multiply_transposed`](Self::multiply_transposed), written into an array of the caller. Any strides.
    pub fn multiply_transposed_into<D: Dimension>(
        &self,
        x: &ArrayRef<T, D>,
        y: &mut ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Report> {
        let transposed = sys::subquad_conv_basis_multiply_transposed;
        // SAFETY: both arrays are borrowed for the call, the output exclusively.
        unsafe { self.product_into(transposed, input(x), output(y), options) }
    }

    /// The transpose of softmax attention with the logits H, `y = A' D^-1 x`, so that `<x, o(v)> = <y, v>` for the `o` of
    /// [`apply`](Self::apply). `x: [.., H, n, c]`, any strides; sums over grouped heads are the caller's.
    ///
    /// `|y - y_exact|` is at most 1e-4 in f32 (logits in `[-80, 80]`) or 1e-9 in f64 (`[-600, 600]`) times the sum of the largest `|x|` of
    /// each block of rows. Errors: as those of [`multiply`](Self::multiply).
    ///
    /// ```
    /// use ndarray::{Array1, array};
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// let options = ConvOptions::new();
    /// let means = ConvBasis::toeplitz(&Array1::<f64>::zeros(2), &options)?;
    /// let y = means.apply_transposed(&array![[1.0], [4.0]], &options)?.y;
    /// assert!((y - array![[3.0], [2.0]]).iter().all(|error| error.abs() <= 1e-9 * 5.0));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn apply_transposed<D: Dimension>(
        &self,
        x: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Product<T, D>> {
        self.product(sys::subquad_conv_basis_apply_transposed, x, options)
    }

    /// [`apply_transposed`](Self::apply_transposed), written into an array of the caller. Any strides.
    pub fn apply_transposed_into<D: Dimension>(
        &self,
        x: &ArrayRef<T, D>,
        y: &mut ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Report> {
        let transposed = sys::subquad_conv_basis_apply_transposed;
        // SAFETY: both arrays are borrowed for the call, the output exclusively.
        unsafe { self.product_into(transposed, input(x), output(y), options) }
    }

    fn product<D: Dimension>(
        &self,
        multiply: Multiply,
        x: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Product<T, D>> {
        let mut y = Fresh::new("y", x.raw_dim())?;
        // SAFETY: the input is borrowed for the call, and the output is owned here.
        let report = unsafe { self.product_into(multiply, input(x), y.view(), options) }?;
        // SAFETY: the call that had it as an output succeeded.
        let y = unsafe { y.written() };
        Ok(Product { y, report })
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and nothing else refers to the output's elements.
    unsafe fn product_into(
        &self,
        multiply: Multiply,
        x: sys::subquad_array,
        y: sys::subquad_array,
        options: &ConvOptions<'_>,
    ) -> Result<Report> {
        let report = Report::new()?;
        options.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises.
            unsafe {
                multiply(
                    context,
                    options,
                    self.handle(),
                    &raw const x,
                    &raw const y,
                    report.handle(),
                )
            }
        })?;
        Ok(report)
    }
}
