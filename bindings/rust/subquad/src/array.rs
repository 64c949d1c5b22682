//! Views of `ndarray` arrays as the library takes them: pointer, dtype, shape and strides, nothing copied.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use ndarray::{Array, ArrayRef, Dimension};

use crate::error::{Error, Result};
use crate::sys;

/// An element type that attention computes in: `f32` or `f64`.
pub trait Element: private::Dtype {}

impl Element for f32 {}
impl Element for f64 {}

mod private {
    use crate::sys;

    /// A type that an array of the library may hold. Its default is 0.
    pub trait Dtype: Copy + Default + PartialEq + Send + Sync + 'static {
        const DTYPE: i32;
    }

    impl Dtype for f32 {
        const DTYPE: i32 = sys::SUBQUAD_FLOAT32;
    }

    impl Dtype for f64 {
        const DTYPE: i32 = sys::SUBQUAD_FLOAT64;
    }

    impl Dtype for i64 {
        const DTYPE: i32 = sys::SUBQUAD_INT64;
    }
}
use private::Dtype;

/// A view to read from. It borrows nothing by its type, so it must not outlive the call that it is made for.
pub(crate) fn input<T: Dtype, D: Dimension>(array: &ArrayRef<T, D>) -> sys::subquad_array {
    let data = array.as_ptr().cast_mut().cast();
    describe(data, T::DTYPE, array.shape(), array.strides())
}

/// A view to write to, as short-lived as one to read from.
pub(crate) fn output<T: Dtype, D: Dimension>(array: &mut ArrayRef<T, D>) -> sys::subquad_array {
    let data = array.as_mut_ptr().cast();
    describe(data, T::DTYPE, array.shape(), array.strides())
}

/// Memory for a result.
pub(crate) struct Fresh<T, D: Dimension>(Array<MaybeUninit<T>, D>);

impl<T: Dtype, D: Dimension> Fresh<T, D> {
    /// `name` is what an error calls the array.
    pub(crate) fn new(name: &str, shape: D) -> Result<Self> {
        let sizes = shape.as_array_view().to_vec();
        let too_large = || {
            Error::new(
                sys::SUBQUAD_ERR_SIZE,
                format!("{name} would have the shape {sizes:?}"),
            )
        };
        let count = shape.size_checked().ok_or_else(too_large)?;
        let mut elements = Vec::new();
        elements.try_reserve_exact(count).map_err(|error| {
            let message = format!("{name}, of shape {sizes:?}, could not be allocated: {error}");
            Error::new(sys::SUBQUAD_ERR_MEMORY, message)
        })?;
        // SAFETY: the capacity is at least `count`, and elements that may be uninitialised need no initialisation.
        unsafe { elements.set_len(count) };
        Array::from_shape_vec(shape, elements)
            .map(Self)
            .map_err(|_| too_large())
    }

    pub(crate) fn view(&mut self) -> sys::subquad_array {
        let data = self.0.as_mut_ptr().cast();
        describe(data, T::DTYPE, self.0.shape(), self.0.strides())
    }

    /// # Safety
    /// A call that was given the view as an output has succeeded, and so has written every element.
    pub(crate) unsafe fn written(self) -> Array<T, D> {
        // SAFETY: what the caller promises.
        unsafe { self.0.assume_init() }
    }
}

/// The pointer to an optional argument: null where it is not given.
pub(crate) fn pointer(view: Option<&sys::subquad_array>) -> *const sys::subquad_array {
    view.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// The shape without its last axis, as that of log-sum-exps is to that of outputs.
pub(crate) fn without_last_axis<D: Dimension>(shape: &D) -> D::Smaller {
    let mut smaller = D::Smaller::zeros(shape.ndim().saturating_sub(1));
    for axis in 0..smaller.ndim() {
        smaller[axis] = shape[axis];
    }
    smaller
}

/// Extents beyond the library's number of dimensions are dropped: it refuses such arrays by their `ndim` alone.
fn describe(
    data: *mut c_void,
    dtype: i32,
    shape: &[usize],
    strides: &[isize],
) -> sys::subquad_array {
    let mut view = sys::subquad_array {
        data,
        dtype,
        ndim: i32::try_from(shape.len()).unwrap_or(i32::MAX),
        shape: Default::default(),
        strides: Default::default(),
    };
    // `ndarray` keeps extents and strides within isize.
    for (to, &extent) in view.shape.iter_mut().zip(shape) {
        *to = extent as i64;
    }
    for (to, &stride) in view.strides.iter_mut().zip(strides) {
        *to = stride as i64;
    }
    view
}
