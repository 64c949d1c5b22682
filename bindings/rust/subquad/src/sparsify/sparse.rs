//! Y as a sparse matrix.

use sprs::CsMat;

use super::Sparsifier;
use crate::array::Element;
use crate::error::Result;

impl<T: Element> Sparsifier<T> {
    /// Y as a sparse matrix, CSC, without the entries that are 0: worth having where X was sparse.
    ///
    /// ```
    /// use subquad::{Sparsify, sprs::TriMat};
    ///
    /// let mut x = TriMat::new((3, 1000));
    /// for column in 0..1000 {
    ///     x.add_triplet(column % 3, column, 1.0 + (column % 7) as f64);
    /// }
    /// let sparsifier = Sparsify::new().columns(50).run(&x.to_csc::<usize>())?.sparsifier;
    /// let y = sparsifier.y_sparse()?;
    /// assert_eq!((y.rows(), y.cols(), y.nnz()), (3, 50, 50)); // one entry a column, as in x
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn y_sparse(&self) -> Result<CsMat<T>> {
        let y = self.y()?;
        let (mut offsets, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for column in y.columns() {
            for (row, &entry) in column.indexed_iter() {
                if entry != T::default() {
                    indices.push(row);
                    values.push(entry);
                }
            }
            offsets.push(indices.len());
        }
        Ok(CsMat::new_csc(y.dim(), offsets, indices, values))
    }
}
