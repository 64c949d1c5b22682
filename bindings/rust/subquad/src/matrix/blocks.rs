//! Matrices that a function writes, block of columns by block of columns.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use ndarray::{ArrayRef2, ArrayViewMut2, ShapeBuilder};

use super::{Handle, Matrix, extent, private};
use crate::array::Element;
use crate::error::{Error, Result};
use crate::sys;

/// A matrix that a function writes, some columns at a time: for data that does not fit into memory.
///
/// The function gets a range of columns and a block, `rows x range.len()` and full of zeros, to write them to. It is called on the thread
/// that computes, and must write the same columns every time. The methods leverage and gram and sketched leverage scores read all columns
/// in order, at most twice; exact scores read them three times; the deterministic method, after three times, asks again for some
/// columns, in any order.
///
/// An error of the function ends the computation, which returns it as it is; a panic goes on from there. Errors of the library are made
/// into the function's type, which therefore is `From<subquad::Error>`: `Box<dyn Error>`, for instance, or an enum of your own.
///
/// ```
/// use std::error::Error;
/// use std::fs::File;
/// use std::io::{Read, Seek, SeekFrom, Write};
/// use subquad::{ColumnBlocks, Sparsify, sys};
///
/// // A file of 500 columns of 3 float32 each.
/// let path = std::env::temp_dir().join(format!("columns-{}.f32", std::process::id()));
/// let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
/// for column in 0..500 {
///     let angle = column as f32 * 0.1;
///     for entry in [angle.sin(), angle.cos(), 0.1 * angle] {
///         file.write_all(&entry.to_le_bytes())?;
///     }
/// }
///
/// let x = ColumnBlocks::new(3, 500, |columns, block| {
///     file.seek(SeekFrom::Start(columns.start as u64 * 3 * 4))?;
///     for mut column in block.columns_mut() {
///         for entry in &mut column {
///             let mut bytes = [0; 4];
///             file.read_exact(&mut bytes)?;
///             *entry = f32::from_le_bytes(bytes);
///         }
///     }
///     Ok::<(), Box<dyn Error>>(())
/// });
/// let found = Sparsify::new().method(sys::SUBQUAD_SPARSIFIER_DETERMINISTIC).columns(27).run(&x)?;
/// // 27 steps of a matrix of rank 3: c = 9, and e <= 2 sqrt(9) / (9 + 1).
/// assert!(found.sparsifier.epsilon().is_some_and(|e| e <= 0.6));
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn Error>>(())
/// ```
pub struct ColumnBlocks<'a, T, E> {
    rows: usize,
    columns: usize,
    block_columns: usize,
    function: RefCell<Box<Function<'a, T, E>>>,
}

type Function<'a, T, E> = dyn FnMut(Range<usize>, &mut ArrayRef2<T>) -> Result<(), E> + 'a;

impl<'a, T: Element, E: From<Error>> ColumnBlocks<'a, T, E> {
    /// The matrix, `rows x columns`, that `function` writes.
    pub fn new(
        rows: usize,
        columns: usize,
        function: impl FnMut(Range<usize>, &mut ArrayRef2<T>) -> Result<(), E> + 'a,
    ) -> Self {
        Self {
            rows,
            columns,
            block_columns: 0,
            function: RefCell::new(Box::new(function)),
        }
    }

    /// The most columns to ask for at once; about 8 MiB of them where it is not set, or 0. From 64 on, results depend on it by no more than
    /// round-off.
    pub fn block_columns(mut self, columns: usize) -> Self {
        self.block_columns = columns;
        self
    }
}

impl<T, E> std::fmt::Debug for ColumnBlocks<'_, T, E> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ColumnBlocks")
            .field("rows", &self.rows)
            .field("columns", &self.columns)
            .field("block_columns", &self.block_columns)
            .finish_non_exhaustive()
    }
}

impl<T, E> private::Sealed for ColumnBlocks<'_, T, E> {}

impl<T: Element, E: From<Error>> Matrix for ColumnBlocks<'_, T, E> {
    type Element = T;
    type Error = E;

    fn column_count(&self) -> usize {
        self.columns
    }

    fn lend<R, F>(
        &self,
        call: impl FnOnce(*const sys::subquad_matrix) -> Result<R, F>,
    ) -> Result<R, E>
    where
        E: From<F>,
    {
        let reading = Reading {
            blocks: self,
            stop: Cell::new(None),
        };
        let matrix = Handle::made(|matrix_out| {
            let user = (&raw const reading).cast_mut().cast();
            // SAFETY: `user` is what the callback expects, and outlives the handle, being declared before it; `matrix_out` is a place for
            // the result.
            unsafe {
                sys::subquad_matrix_from_blocks(
                    extent(self.rows),
                    extent(self.columns),
                    T::DTYPE,
                    extent(self.block_columns),
                    Some(write_block::<T, E>),
                    user,
                    matrix_out,
                )
            }
        })?;
        let result = call(matrix.get());
        match reading.stop.take() {
            Some(Stop::Panic(panic)) => resume_unwind(panic),
            Some(Stop::Error(error)) => Err(error),
            None => Ok(result?),
        }
    }
}

/// The matrix that a call reads, and why its function ended the call.
struct Reading<'a, 'b, T, E> {
    blocks: &'a ColumnBlocks<'b, T, E>,
    stop: Cell<Option<Stop<E>>>,
}

enum Stop<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

/// The callback that the library knows. Neither an error nor a panic can cross its frames: both are kept for `lend`.
unsafe extern "C" fn write_block<T: Element, E>(
    user: *mut c_void,
    first: i64,
    count: i64,
    block: *mut c_void,
) -> i32 {
    // SAFETY: `user` is the `Reading` of the call that asks, which outlives it; it is shared, never exclusively borrowed.
    let reading = unsafe { &*user.cast::<Reading<'_, '_, T, E>>() };
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let number = |x| usize::try_from(x).expect("the library asks for columns of the matrix");
        let (first, count) = (number(first), number(count));
        let entries = reading.blocks.rows * count;
        let block = NonNull::new(block.cast::<T>())
            .filter(|_| entries > 0)
            .unwrap_or(NonNull::dangling());
        // SAFETY: the library's block has room for so many entries, and belongs to this call alone; zero bytes are the number 0.
        unsafe { block.write_bytes(0, entries) };
        let shape = (reading.blocks.rows, count).f();
        // SAFETY: as above, and all entries are initialised; they lie column after column.
        let mut block = unsafe { ArrayViewMut2::from_shape_ptr(shape, block.as_ptr()) };
        (reading.blocks.function.borrow_mut())(first..first + count, &mut block)
    }));
    let stop = match answer {
        Ok(Ok(())) => return 0,
        Ok(Err(error)) => Stop::Error(error),
        Err(panic) => Stop::Panic(panic),
    };
    reading.stop.set(Some(stop));
    1
}
