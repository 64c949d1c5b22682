//! Bases from kernels, from dense matrices, and from other bases.

use ndarray::{ArrayRef, Axis, Dimension, arr0};

use super::{ConvBasis, ConvOptions};
use crate::array::{Element, input};
use crate::error::Result;
use crate::sys;

impl<T: Element> ConvBasis<T> {
    /// The basis with these starts and kernels, which are copied.
    ///
    /// `starts: [.., k]`, strictly increasing in `[0, n)`; entries of n at the end stand for bases that a head lacks.
    /// `kernels: [.., k, n]`, with `..` at most batch and heads; row r holds `b_r`, or `B_r` with
    /// [`cumulative`](ConvOptions::cumulative), in its first `n - starts[r]` entries, and the rest is not read. Any strides; k may be 0.
    ///
    /// Errors: `ERR_SHAPE`, `ERR_SIZE`, `ERR_VALUE` for starts out of order or range, `ERR_NONFINITE`, `ERR_OVERFLOW` where a sum of
    /// increments overflows, `ERR_MEMORY`.
    ///
    /// ```
    /// use ndarray::{arr0, array};
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// let (starts, kernels) = (array![1_i64, 2], array![[1.0_f32, 2.0, 9.0], [0.5, 9.0, 9.0]]);
    /// let basis = ConvBasis::new(&starts, &kernels, &ConvOptions::new())?;
    /// assert_eq!((basis.batch(), basis.heads(), basis.bases(), basis.n()), (1, 1, 2, 3));
    /// let logits = basis.kernels(&ConvOptions::new().cumulative(true))?;
    /// assert_eq!(logits, array![[[[1.0, 2.0, 0.0], [1.5, 0.0, 0.0]]]]);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn new<D: Dimension>(
        starts: &ArrayRef<i64, D::Smaller>,
        kernels: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Self> {
        // SAFETY: both arrays are borrowed for the call.
        unsafe { Self::create(input(starts), input(kernels), options) }
    }

    /// The basis of Toeplitz matrices, `H[i,j] = column[i-j]`: of a bias by lag, or of a stationary kernel on a regular grid.
    /// `column: [.., n]` with `..` at most batch and heads. Errors: as those of [`new`](Self::new).
    ///
    /// ```
    /// use ndarray::{Array1, array};
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// // Weights that halve with every step: o[i] is a running mean that forgets.
    /// let halving = Array1::from_shape_fn(3, |lag| -(lag as f64) * std::f64::consts::LN_2);
    /// let basis = ConvBasis::toeplitz(&halving, &ConvOptions::new())?;
    /// let mean = basis.apply(&array![[1.0], [4.0], [8.0]], &ConvOptions::new())?.o;
    /// assert!((mean[[2, 0]] - (8.0 + 4.0 / 2.0 + 1.0 / 4.0) / 1.75).abs() < 1e-9);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn toeplitz<D: Dimension>(
        column: &ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<Self> {
        let last = column.ndim().saturating_sub(1);
        let mut one_start = column.raw_dim();
        if let Some(extent) = one_start.slice_mut().last_mut() {
            *extent = 1;
        }
        // One 0 stands for all: a column of no extent or of broadcast elements may have more heads than memory holds starts.
        let zero = arr0(0_i64);
        let starts = zero
            .broadcast(one_start)
            .expect("the column's own extents, but for one that is 1 now");
        let kernels = column.view().insert_axis(Axis(last));
        // SAFETY: both views live for the call.
        unsafe { Self::create(input(&starts), input(&kernels), options) }
    }

    /// The basis with the fewest bases of a lower-triangular matrix, exactly: any such matrix has one, with `k <= n`. It takes up to twice
    /// the memory of the matrix. `h: [.., n, n]`, any strides; a basis starts at each column that is not the one before it, cut.
    ///
    /// Errors: `ERR_SHAPE`, `ERR_SIZE`, `ERR_VALUE` for an entry above the diagonal that is not 0, `ERR_NONFINITE`, `ERR_MEMORY`,
    /// `ERR_CANCELLED`.
    ///
    /// ```
    /// use ndarray::array;
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// let h = array![[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [3.0, 2.0, 7.0]];
    /// let basis = ConvBasis::from_dense(&h, &ConvOptions::new())?;
    /// assert_eq!(basis.starts()?, array![[[0, 2]]]);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn from_dense<D: Dimension>(h: &ArrayRef<T, D>, options: &ConvOptions<'_>) -> Result<Self> {
        let h = input(h);
        Self::made(|basis_out| {
            options.call.make(|context, options| {
                // SAFETY: handles are live, the view is of an array that is borrowed for the call, and `basis_out` is a place for the result.
                unsafe {
                    sys::subquad_conv_basis_from_dense(context, options, &raw const h, basis_out)
                }
            })
        })
    }

    /// The exp transform: the basis of the weights, `exp(H[i,j])` for `j <= i`, with kernels `exp(B_r)` in cumulative form; a basis of ones
    /// comes first where `s_0 > 0`. Multiplying by it gives the numerators of attention without its scaling: large logits overflow
    /// here (`ERR_OVERFLOW`), not in [`apply`](Self::apply).
    ///
    /// ```
    /// use ndarray::array;
    /// use subquad::{ConvBasis, ConvOptions};
    ///
    /// let options = ConvOptions::new();
    /// let weights = ConvBasis::toeplitz(&array![0.0, 2.0_f64.ln()], &options)?.exp(&options)?;
    /// let numerators = weights.multiply(&array![[1.0], [10.0]], &options)?.y;
    /// assert!((numerators[[1, 0]] - 12.0).abs() < 1e-12);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn exp(&self, options: &ConvOptions<'_>) -> Result<Self> {
        Self::made(|basis_out| {
            options.call.make(|context, _| {
                // SAFETY: handles are live, and `basis_out` is a place for the result.
                unsafe { sys::subquad_conv_basis_exp(context, self.handle(), basis_out) }
            })
        })
    }

    /// # Safety
    /// The views are those of arrays that live for the call.
    unsafe fn create(
        starts: sys::subquad_array,
        kernels: sys::subquad_array,
        options: &ConvOptions<'_>,
    ) -> Result<Self> {
        Self::made(|basis_out| {
            options.call.make(|context, options| {
                // SAFETY: handles are live, the views are as the caller promises, and `basis_out` is a place for the result.
                unsafe {
                    sys::subquad_conv_basis_create(
                        context,
                        options,
                        &raw const starts,
                        &raw const kernels,
                        basis_out,
                    )
                }
            })
        })
    }
}
