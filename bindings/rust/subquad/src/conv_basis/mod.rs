//! Conv bases: lower-triangular matrices of logits whose columns, as functions of the lag, change at few places.

mod apply;
mod backward;
mod create;
mod find;
mod multiply;
mod options;

use std::marker::PhantomData;
use std::ptr::{null, null_mut};

use ndarray::{Array3, Array4, ArrayRef, Dim, Dimension};

use crate::array::{Element, Fresh, output};
use crate::error::{Result, check};
use crate::sys;

pub use find::{FitOptions, Found, RecoverOptions};
pub use multiply::Product;
pub use options::ConvOptions;

/// Matrices of logits, `n x n` and lower-triangular, one per head and batch element, each made of a few kernels.
///
/// Basis r adds `b_r[i-j]` at every `i >= j >= s_r`, with starts `0 <= s_0 < s_1 < .. < n`. In cumulative form, `B_r = b_0 + .. + b_r`,
///
/// ```text
/// H[i,j] = B_r[i-j]  for s_r <= j < s_(r+1)      H[i,j] = 0  for j < s_0      j <= i
/// ```
///
/// A basis comes from its [starts and kernels](Self::new), from [one kernel](Self::toeplitz), from a [dense matrix](Self::from_dense),
/// or from queries and keys by [recovery](Self::recover) or a [fit](Self::fit). It is read-only and may be shared by threads, each of
/// which computes with a [`Context`](crate::Context) of its own. All that is done with it takes time near linear in n, but for
/// [`to_dense`](Self::to_dense).
///
/// ```
/// use ndarray::{Array2, array};
/// use subquad::{ConvBasis, ConvOptions};
///
/// // Columns 0 and 1 fall with the lag; columns from 2 on are constant.
/// let (starts, kernels) = (array![0_i64, 2], array![[0.0, -1.0, -2.0, -3.0], [5.0, 5.0, 0.0, 0.0]]);
/// let options = ConvOptions::new();
/// let basis = ConvBasis::new(&starts, &kernels, &ConvOptions::new().cumulative(true))?;
/// let mut h = Array2::zeros((4, 4));
/// basis.to_dense_into(&mut h, &options)?;
/// assert_eq!(
///     h,
///     array![[0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [-2.0, -1.0, 5.0, 0.0], [-3.0, -2.0, 5.0, 5.0]]
/// );
///
/// // Threads may share it.
/// let v = Array2::eye(4);
/// std::thread::scope(|scope| {
///     scope.spawn(|| basis.apply(&v, &ConvOptions::new()).map(|output| output.o));
///     basis.multiply(&v, &options).map(|product| product.y)
/// })?;
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Debug)]
pub struct ConvBasis<T: Element> {
    handle: *mut sys::subquad_conv_basis,
    /// Batch, heads, most bases of a head, n.
    shape: [usize; 4],
    element: PhantomData<T>,
}

// SAFETY: a basis is plain data that no thread is tied to.
unsafe impl<T: Element> Send for ConvBasis<T> {}
// SAFETY: the library reads a finished basis and never writes it, so that any number of calls may use it at once.
unsafe impl<T: Element> Sync for ConvBasis<T> {}

impl<T: Element> ConvBasis<T> {
    /// The basis that a call of the library writes to the place that it is given.
    fn made(make: impl FnOnce(*mut *mut sys::subquad_conv_basis) -> Result<()>) -> Result<Self> {
        // Owned from the start: a progress callback's panic may come out of a call that made a basis.
        let mut basis = Self {
            handle: null_mut(),
            shape: [0; 4],
            element: PhantomData,
        };
        make(&raw mut basis.handle)?;
        let mut kernels = sys::subquad_array {
            data: null_mut(),
            dtype: 0,
            ndim: 0,
            shape: [0; 4],
            strides: [0; 4],
        };
        // SAFETY: the handle is live, and `kernels` is a place for the result.
        check(unsafe { sys::subquad_conv_basis_describe(basis.handle(), &raw mut kernels) })?;
        assert_eq!(
            kernels.dtype,
            T::DTYPE,
            "a basis has the dtype of what it is made from"
        );
        basis.shape = kernels
            .shape
            .map(|extent| usize::try_from(extent).expect("an extent is not negative"));
        Ok(basis)
    }

    fn handle(&self) -> *const sys::subquad_conv_basis {
        self.handle
    }

    /// The number of batch elements.
    pub fn batch(&self) -> usize {
        self.shape[0]
    }

    /// The number of heads of a batch element.
    pub fn heads(&self) -> usize {
        self.shape[1]
    }

    /// The number of bases, k; the most of any head where heads differ.
    pub fn bases(&self) -> usize {
        self.shape[2]
    }

    /// The number of rows, which is that of columns.
    pub fn n(&self) -> usize {
        self.shape[3]
    }

    /// The first column of each basis, `[batch, heads, k]`; n for bases that a head lacks.
    pub fn starts(&self) -> Result<Array3<i64>> {
        let [batch, heads, bases, _] = self.shape;
        let mut starts = Fresh::new("starts", Dim([batch, heads, bases]))?;
        let view = starts.view();
        // SAFETY: the handle is live, the view is of an array that is owned here, and options and kernels may be left out.
        check(unsafe {
            sys::subquad_conv_basis_get(self.handle(), null(), &raw const view, null())
        })?;
        // SAFETY: the call that had it as an output succeeded.
        Ok(unsafe { starts.written() })
    }

    /// The kernels, `[batch, heads, k, n]`: increments `b_r`, or with [`cumulative`](ConvOptions::cumulative) the logits `B_r`, which are
    /// what is kept; an increment is their difference, rounded once. Row r has `n - starts[r]` entries that mean something; the rest is 0.
    /// With the starts they make the same basis again.
    pub fn kernels(&self, options: &ConvOptions<'_>) -> Result<Array4<T>> {
        let mut kernels = Fresh::new("kernels", Dim(self.shape))?;
        let view = kernels.view();
        options.call.make(|_, options| {
            // SAFETY: handles are live, the view is of an array that is owned here, and starts may be left out.
            unsafe { sys::subquad_conv_basis_get(self.handle(), options, null(), &raw const view) }
        })?;
        // SAFETY: the call that had it as an output succeeded.
        Ok(unsafe { kernels.written() })
    }

    /// The matrices themselves, `[batch, heads, n, n]`, in O(n^2): for small n.
    pub fn to_dense(&self, options: &ConvOptions<'_>) -> Result<Array4<T>> {
        let [batch, heads, _, n] = self.shape;
        let mut h = Fresh::new("h", Dim([batch, heads, n, n]))?;
        // SAFETY: the output is owned here.
        unsafe { self.write_dense(h.view(), options) }?;
        // SAFETY: the call that had it as an output succeeded.
        Ok(unsafe { h.written() })
    }

    /// The same, written into an array of the caller, in which leading extents of 1 may be left out.
    pub fn to_dense_into<D: Dimension>(
        &self,
        h: &mut ArrayRef<T, D>,
        options: &ConvOptions<'_>,
    ) -> Result<()> {
        // SAFETY: the output is borrowed exclusively for the call.
        unsafe { self.write_dense(output(h), options) }
    }

    /// # Safety
    /// The view is that of an array that lives for the call, and nothing else refers to its elements.
    unsafe fn write_dense(&self, h: sys::subquad_array, options: &ConvOptions<'_>) -> Result<()> {
        options.call.make(|context, _| {
            // SAFETY: handles are live; the view is as the caller promises.
            unsafe { sys::subquad_conv_basis_to_dense(context, self.handle(), &raw const h) }
        })
    }
}

impl<T: Element> Drop for ConvBasis<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is live until here, or null where none was made, and no call uses it: a call borrows the basis.
        unsafe { sys::subquad_conv_basis_destroy(self.handle) };
    }
}
