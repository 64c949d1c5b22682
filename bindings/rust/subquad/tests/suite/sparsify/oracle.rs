//! What a matrix is made of, by a one-sided Jacobi decomposition in f64, which keeps small singular values accurate.

use ndarray::{Array1, Array2, Axis, s};

use crate::problem::Real;

/// `D X = U S W` on the range of X, with D scaling its rows to norm 1.
#[derive(Debug)]
pub struct Whitened {
    /// W, rank x d: orthonormal rows that span those of X. The whitened columns of X are its columns.
    pub basis: Array2<f64>,
    /// Ratio of the largest singular value of D X to the least on its range.
    pub condition: f64,
}

pub fn whiten<T: Real>(x: &Array2<T>) -> Whitened {
    let mut rows: Array2<f64> = x.mapv(Into::into);
    for mut row in rows.rows_mut() {
        let norm = norm(&row.to_owned());
        if norm > 0.0 {
            row.mapv_inplace(|x| x / norm);
        }
    }
    orthogonalise(&mut rows);
    let values: Vec<f64> = rows
        .rows()
        .into_iter()
        .map(|row| norm(&row.to_owned()))
        .collect();
    let largest = values.iter().copied().fold(0.0, f64::max);
    // What rounding leaves of a singular value that is 0.
    let least = largest * f64::UNIT * (4 * x.len()) as f64;
    let kept: Vec<usize> = (0..values.len()).filter(|&i| values[i] > least).collect();
    let mut basis = rows.select(Axis(0), &kept);
    for (mut row, &i) in basis.rows_mut().into_iter().zip(&kept) {
        row.mapv_inplace(|x| x / values[i]);
    }
    let smallest = kept.iter().map(|&i| values[i]).fold(largest, f64::min);
    Whitened {
        basis,
        condition: if kept.is_empty() {
            1.0
        } else {
            largest / smallest
        },
    }
}

impl Whitened {
    pub fn rank(&self) -> usize {
        self.basis.nrows()
    }

    /// `tau[j] = x_j' (X X')^+ x_j`.
    pub fn scores(&self) -> Array1<f64> {
        self.basis.map_axis(Axis(0), |column| column.dot(&column))
    }

    /// The least e with `(1 - e) X X' <= Y Y' <= (1 + e) X X'` on the range of X, for chosen and weighted columns.
    pub fn epsilon(&self, indices: &[usize], weights: &Array1<f64>) -> f64 {
        self.distance(self.basis.select(Axis(1), indices) * weights.mapv(f64::sqrt))
    }

    /// The same for a y of which every column is a combination of those of x.
    fn distance(&self, mut whitened: Array2<f64>) -> f64 {
        orthogonalise(&mut whitened);
        let squares = whitened
            .rows()
            .into_iter()
            .map(|row| row.dot(&row))
            .collect::<Vec<_>>();
        squares
            .into_iter()
            .map(|square| (square - 1.0).abs())
            .fold(0.0, f64::max)
    }
}

/// Rotate pairs of rows until all are orthogonal to roundoff.
fn orthogonalise(rows: &mut Array2<f64>) {
    let n = rows.nrows();
    for _sweep in 0..60 {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let (mut upper, mut lower) = rows.multi_slice_mut((s![p, ..], s![q, ..]));
                let (alpha, beta) = (upper.dot(&upper), lower.dot(&lower));
                let gamma = upper.dot(&lower);
                if gamma.abs() <= f64::UNIT * (alpha * beta).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (beta - alpha) / (2.0 * gamma);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                for (x, y) in upper.iter_mut().zip(&mut lower) {
                    (*x, *y) = (cosine * (*x - tangent * *y), cosine * (*y + tangent * *x));
                }
            }
        }
        if !rotated {
            return;
        }
    }
}

fn norm(row: &Array1<f64>) -> f64 {
    row.dot(row).sqrt()
}

/// X X', entry by entry.
pub fn gram<T: Real>(x: &Array2<T>) -> Array2<f64> {
    let x: Array2<f64> = x.mapv(Into::into);
    x.dot(&x.t())
}

#[test]
fn finds_what_was_planted() {
    // Rows of norm 1 at an angle of 60 degrees: singular values sqrt(1 +- 1/2).
    let x = ndarray::array![
        [1.0, 0.0, 0.0],
        [0.5, 0.75_f64.sqrt(), 0.0],
        [0.0, 0.0, 0.0]
    ];
    let whitened = whiten(&x);
    assert_eq!(whitened.rank(), 2);
    assert!((whitened.condition - 3.0_f64.sqrt()).abs() < 8.0 * f64::UNIT);
    let scores = whitened.scores();
    assert!(
        (scores - ndarray::array![1.0, 1.0, 0.0])
            .iter()
            .all(|x| x.abs() < 8.0 * f64::UNIT)
    );
    let e = whitened.epsilon(&[0, 1], &ndarray::array![1.5, 0.75]);
    assert!((e - 0.5).abs() < 16.0 * f64::UNIT);
    assert_eq!(whitened.epsilon(&[0, 2], &ndarray::array![1.0, 1.0]), 1.0);
}
