//! Conv bases as data: what the library is given, and what it must hold.

use ndarray::{Array, Array3, Array4, Dim};
use subquad::{ConvBasis, ConvOptions};

use crate::problem::{Real, uniform};

/// Starts and cumulative kernels of every head.
#[derive(Clone, Debug)]
pub struct Logits<T> {
    /// `[batch, heads, k]`; n for bases that a head lacks.
    pub starts: Array3<i64>,
    /// `[batch, heads, k, n]`.
    pub kernels: Array4<T>,
}

impl<T: Real> Logits<T> {
    /// Kernels in [-1, 1) whose segments begin at `first` and divide the columns from there on evenly.
    pub fn new([batch, heads, bases, n]: [usize; 4], first: usize) -> Self {
        let start = |r: usize| (first + r * (n - first) / bases) as i64;
        Self {
            starts: Array::from_shape_fn((batch, heads, bases), |(.., r)| start(r)),
            kernels: uniform(Dim([batch, heads, bases, n]), 11),
        }
    }

    /// One head of one basis.
    pub fn toeplitz(column: impl Fn(usize) -> f64, n: usize) -> Self {
        Self {
            starts: Array::zeros((1, 1, 1)),
            kernels: Array::from_shape_fn((1, 1, 1, n), |(.., lag)| T::of(column(lag))),
        }
    }

    /// The bases from `kept` on are taken from one head.
    pub fn without_bases(mut self, [batch, head]: [usize; 2], kept: usize) -> Self {
        let n = self.n() as i64;
        let mut starts = self.starts.slice_mut(ndarray::s![batch, head, kept..]);
        starts.fill(n);
        self
    }

    pub fn scaled(mut self, factor: f64) -> Self {
        self.kernels.mapv_inplace(|x| T::of(factor * x.into()));
        self
    }

    pub fn n(&self) -> usize {
        self.kernels.dim().3
    }

    pub fn basis(&self) -> ConvBasis<T> {
        let cumulative = ConvOptions::new().cumulative(true);
        ConvBasis::new(&self.starts, &self.kernels, &cumulative)
            .unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The columns of basis r: from its start to that of the next one.
    pub fn segment(&self, batch: usize, head: usize, r: usize) -> std::ops::Range<usize> {
        let starts = self.starts.slice(ndarray::s![batch, head, ..]);
        let end = starts.get(r + 1).map_or(self.n(), |&end| end as usize);
        starts[r] as usize..end
    }

    /// The matrices, by their definition.
    pub fn dense(&self) -> Array4<f64> {
        let (batch, heads, bases, n) = self.kernels.dim();
        let mut h = Array4::zeros((batch, heads, n, n));
        for (b, head, r) in ndarray::indices((batch, heads, bases)) {
            for j in self.segment(b, head, r) {
                for i in j..n {
                    h[[b, head, i, j]] = self.kernels[[b, head, r, i - j]].into();
                }
            }
        }
        h
    }

    /// Entries of kernels that mean something, as they are given back: the others 0.
    pub fn kernels_given_back(&self) -> Array4<T> {
        let mut kernels = self.kernels.clone();
        for ((b, head, r, lag), entry) in kernels.indexed_iter_mut() {
            if lag as i64 >= self.n() as i64 - self.starts[[b, head, r]] {
                *entry = T::of(0.0);
            }
        }
        kernels
    }
}
