//! Matrices to sparsify, and the ways to hand them over.

use ndarray::{Array2, Dim};

use crate::problem::{Real, uniform};

/// Numbers in [-1, 1).
pub fn dense<T: Real>(rows: usize, columns: usize) -> Array2<T> {
    uniform(Dim([rows, columns]), 81)
}

/// Columns whose norms fall by four orders of magnitude, and one that dominates.
pub fn skewed<T: Real>(rows: usize, columns: usize) -> Array2<T> {
    let mut x = dense::<T>(rows, columns);
    for ((_, j), entry) in x.indexed_iter_mut() {
        let falling = 1e-4_f64.powf(j as f64 / columns as f64);
        let size = if j == columns / 3 { 1e3 } else { falling };
        *entry = T::of(size * (*entry).into());
    }
    x
}

/// One entry in four, and columns without any.
pub fn sparse<T: Real>(rows: usize, columns: usize) -> Array2<T> {
    let mut x = dense::<T>(rows, columns);
    let kept: Array2<T> = uniform(Dim([rows, columns]), 82);
    for ((i, j), entry) in x.indexed_iter_mut() {
        if kept[[i, j]].into() > -0.5 || j % 10 == 3 {
            *entry = T::of(0.0);
        }
    }
    x
}

/// Two entries in every column.
pub fn scattered<T: Real>(rows: usize, columns: usize) -> Array2<T> {
    let mut x = dense::<T>(rows, columns);
    for ((i, j), entry) in x.indexed_iter_mut() {
        if i != (7 * j) % rows && i != (11 * j + j / rows) % rows {
            *entry = T::of(0.0);
        }
    }
    x
}

/// Pairs of columns that differ in the seventh digit.
pub fn near_duplicates<T: Real>(rows: usize, columns: usize) -> Array2<T> {
    let mut x = dense::<T>(rows, columns);
    for j in (1..columns).step_by(2) {
        for i in 0..rows {
            x[[i, j]] = T::of(x[[i, j - 1]].into() + 1e-7 * x[[i, j]].into());
        }
    }
    x
}

/// Small integers, so that every combination of rows is exact: `rank` rows, and then twice one of them plus another.
pub fn deficient<T: Real>(rows: usize, columns: usize, rank: usize) -> Array2<T> {
    let independent = dense::<f64>(rank, columns).mapv(|x| (8.0 * x).round());
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let entry = match i < rank {
            true => independent[[i, j]],
            false => 2.0 * independent[[i % rank, j]] + independent[[(i + 1) % rank, j]],
        };
        T::of(entry)
    })
}

/// Rows that nearly lie in a plane: of condition `condition` when scaled to norm 1.
pub fn ill_conditioned(rows: usize, columns: usize, condition: f64) -> Array2<f64> {
    let x = dense::<f64>(rows, columns);
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let of_first = (i + 1) as f64 * x[[0, j]] - x[[1 % rows, j]];
        if i < 2 {
            x[[i, j]]
        } else {
            of_first + x[[i, j]] / condition
        }
    })
}

pub fn csc<T: Real, I: subquad::SparseIndex>(x: &Array2<T>) -> subquad::sprs::CsMatI<T, I> {
    let (mut offsets, mut indices, mut values) = (vec![I::zero()], Vec::new(), Vec::new());
    for column in x.columns() {
        let nonzeros = column
            .indexed_iter()
            .filter(|&(_, &entry)| entry != T::of(0.0));
        for (i, &entry) in nonzeros {
            indices.push(I::from_usize(i));
            values.push(entry);
        }
        offsets.push(I::from_usize(indices.len()));
    }
    subquad::sprs::CsMatI::new_csc(x.dim(), offsets, indices, values)
}

pub fn csr<T: Real, I: subquad::SparseIndex>(x: &Array2<T>) -> subquad::sprs::CsMatI<T, I> {
    csc(&x.t().to_owned()).transpose_into()
}

/// The same matrix in blocks of at most `width` columns.
pub fn blocks<T: Real>(
    x: &Array2<T>,
    width: usize,
) -> subquad::ColumnBlocks<'_, T, subquad::Error> {
    let write = |columns, block: &mut ndarray::ArrayRef2<T>| {
        block.assign(&x.slice(ndarray::s![.., columns]));
        Ok(())
    };
    subquad::ColumnBlocks::new(x.nrows(), x.ncols(), write).block_columns(width)
}

/// Run the body for a matrix, an `Array2`, in every layout and storage. The body sees their name and a reference to a `Matrix`.
macro_rules! for_each_source {
    ($x:expr, |$name:ident, $source:ident| $body:expr) => {{
        let x = &$x;
        let column_major = x.t().as_standard_layout().into_owned().reversed_axes();
        let mut wide = ndarray::Array2::from_elem(x.raw_dim() * 3, $crate::problem::Real::of(f64::NAN));
        wide.slice_mut(ndarray::s![..;3, ..;3]).assign(x);
        let strided = wide.slice(ndarray::s![..;3, ..;3]);
        let mut reversed = x.clone();
        reversed.invert_axis(ndarray::Axis(0));
        reversed.invert_axis(ndarray::Axis(1));
        let stored = reversed.as_standard_layout().into_owned();
        let reversed = stored.slice(ndarray::s![..;-1, ..;-1]);
        let by_reference: &ndarray::ArrayRef2<_> = &strided;
        for_each_source!(@run $body; $name; $source;
            "row-major" => x,
            "column-major" => &column_major,
            "strided" => &strided,
            "reference" => by_reference,
            "reversed" => &reversed,
            "blocks of 1" => &$crate::sparsify::matrices::blocks(x, 1),
            "blocks of 7" => &$crate::sparsify::matrices::blocks(x, 7),
            "blocks" => &$crate::sparsify::matrices::blocks(x, 0),
        );
        {
            use $crate::sparsify::matrices::{csc, csr};
            for_each_source!(@run $body; $name; $source;
                "CSC i32" => &csc::<_, i32>(x),
                "CSC i64" => &csc::<_, i64>(x),
                "CSC usize" => &csc::<_, usize>(x),
                "CSC view" => &csc::<_, usize>(x).view(),
                "CSR i32" => &csr::<_, i32>(x),
                "CSR i64" => &csr::<_, i64>(x),
                "CSR usize" => &csr::<_, usize>(x),
                "CSR view" => &csr::<_, usize>(x).view(),
            );
        }
    }};
    (@run $body:expr; $name:ident; $source:ident; $($text:expr => $matrix:expr,)*) => {
        $(match ($text, $matrix) {
            ($name, $source) => $body,
        })*
    };
}
pub(crate) use for_each_source;
