//! Dense matrices: arrays and views of `ndarray`.

use ndarray::{ArrayBase, ArrayRef2, Data, Ix2};

use super::{Handle, Matrix, private};
use crate::array::{Element, input};
use crate::error::{Error, Result};
use crate::sys;

impl<T> private::Sealed for ArrayRef2<T> {}

impl<T: Element> Matrix for ArrayRef2<T> {
    type Element = T;
    type Error = Error;

    fn column_count(&self) -> usize {
        self.ncols()
    }

    fn lend<R, E>(
        &self,
        call: impl FnOnce(*const sys::subquad_matrix) -> Result<R, E>,
    ) -> Result<R, Error>
    where
        Error: From<E>,
    {
        let x = input(self);
        let matrix = Handle::made(|matrix_out| {
            // SAFETY: the view is of an array that is borrowed for longer than the handle lives, and `matrix_out` is a place for the
            // result.
            unsafe { sys::subquad_matrix_from_dense(&raw const x, matrix_out) }
        })?;
        Ok(call(matrix.get())?)
    }
}

impl<T, S: Data<Elem = T>> private::Sealed for ArrayBase<S, Ix2> {}

impl<T: Element, S: Data<Elem = T>> Matrix for ArrayBase<S, Ix2> {
    type Element = T;
    type Error = Error;

    fn column_count(&self) -> usize {
        self.ncols()
    }

    fn lend<R, E>(
        &self,
        call: impl FnOnce(*const sys::subquad_matrix) -> Result<R, E>,
    ) -> Result<R, Error>
    where
        Error: From<E>,
    {
        let x: &ArrayRef2<T> = self;
        x.lend(call)
    }
}
