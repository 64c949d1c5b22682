//! Sparse matrices: those of `sprs`.

use std::ops::Deref;

use sprs::{CsMatBase, SpIndex};

use super::{Handle, Matrix, extent, private};
use crate::array::Element;
use crate::error::{Error, Result};
use crate::sys;

/// The type of a sparse matrix's offsets and indices: `i32`, `i64` or `usize`.
pub trait SparseIndex: SpIndex + index::Dtype {}

impl SparseIndex for i32 {}
impl SparseIndex for i64 {}
impl SparseIndex for usize {}

mod index {
    use crate::sys;

    /// An integer that the library reads as one of its own, of the same size.
    pub trait Dtype {
        const DTYPE: i32;
    }

    impl Dtype for i32 {
        const DTYPE: i32 = sys::SUBQUAD_INT32;
    }

    impl Dtype for i64 {
        const DTYPE: i32 = sys::SUBQUAD_INT64;
    }

    /// Every bit pattern is a signed number too; one that turns negative is refused by the library, which checks all indices.
    impl Dtype for usize {
        const DTYPE: i32 = match size_of::<usize>() {
            8 => sys::SUBQUAD_INT64,
            4 => sys::SUBQUAD_INT32,
            _ => panic!("no integer of the library has the size of a usize"),
        };
    }
}

impl<T, I: SparseIndex, P, J, V> private::Sealed for CsMatBase<T, I, P, J, V>
where
    P: Deref<Target = [I]>,
    J: Deref<Target = [I]>,
    V: Deref<Target = [T]>,
{
}

/// Rows of a CSC matrix, and columns of a CSR matrix, that `slice_outer` cut out are read where they lie too, but for their offsets, which
/// are counted anew.
impl<T: Element, I: SparseIndex, P, J, V> Matrix for CsMatBase<T, I, P, J, V>
where
    P: Deref<Target = [I]>,
    J: Deref<Target = [I]>,
    V: Deref<Target = [T]>,
{
    type Element = T;
    type Error = Error;

    fn column_count(&self) -> usize {
        self.cols()
    }

    fn lend<R, E>(
        &self,
        call: impl FnOnce(*const sys::subquad_matrix) -> Result<R, E>,
    ) -> Result<R, Error>
    where
        Error: From<E>,
    {
        // Borrowed where they begin at 0, as those of a whole matrix do.
        let offsets = self.proper_indptr();
        let (indices, values) = (self.indices(), self.data());
        // What `sprs` sees to when a matrix is made; a storage of the user's own might change its mind.
        assert_eq!(offsets.len(), self.outer_dims() + 1);
        assert_eq!(indices.len(), values.len());
        let x = sys::subquad_sparse {
            offsets: offsets.as_ptr().cast(),
            indices: indices.as_ptr().cast(),
            values: values.as_ptr().cast(),
            rows: extent(self.rows()),
            columns: extent(self.cols()),
            nonzeros: extent(values.len()),
            layout: match self.is_csc() {
                true => sys::SUBQUAD_CSC,
                false => sys::SUBQUAD_CSR,
            },
            dtype: T::DTYPE,
            index_dtype: I::DTYPE,
            index_base: 0,
        };
        let matrix = Handle::made(|matrix_out| {
            // SAFETY: there are as many offsets, indices and values as the view says, and all are borrowed for longer than the handle
            // lives; what they hold is checked by every call that reads them. `matrix_out` is a place for the result.
            unsafe { sys::subquad_matrix_from_sparse(&raw const x, matrix_out) }
        })?;
        Ok(call(matrix.get())?)
    }
}
