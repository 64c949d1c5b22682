//! Queries and keys whose logits have a conv basis: queries that are all alike, keys that change at few places.

use ndarray::{Array3, Array4, Axis};

use crate::problem::{Extents, Problem, Real, uniform};

/// An attention problem whose causal logits are within `eps` of a matrix with known starts.
pub struct Structured<T> {
    pub problem: Problem<T>,
    /// The first key of each piece.
    pub starts: Vec<usize>,
    /// Least distance of two logits of different pieces, and of a logit from zero.
    pub step: f64,
    /// Largest deviation from the structure.
    pub eps: f64,
}

/// Deviations leave room for the rounding of queries, keys and logits.
const ROOM: f64 = 1.25;

impl<T: Real> Structured<T> {
    /// The keys of `extents` in `pieces` even pieces, the first of them at `first`; earlier keys have logit 0.
    pub fn new(extents: Extents, pieces: usize, first: usize, noise: f64) -> Self {
        assert!(extents.d >= 3 && extents.queries == extents.keys);
        let n = extents.keys;
        let starts: Vec<_> = (0..pieces)
            .map(|piece| first + piece * (n - first) / pieces)
            .collect();
        // Signs alternate, so that neighbours are far apart and no two pieces alike.
        let level = |key: usize| match starts.iter().filter(|&&start| start <= key).count() {
            0 => 0.0,
            piece => piece as f64 * if piece % 2 == 0 { -1.0 } else { 1.0 },
        };
        let mut problem = Problem::new(extents).causal(None);
        let scale = problem.scale();
        let error = noise / (2.0 * scale);
        // Three columns make logits: the level, a noise of keys, a noise of queries.
        problem.q.fill(T::of(0.0));
        problem.k.fill(T::of(0.0));
        for (head, mut q) in problem.q.axis_iter_mut(Axis(1)).enumerate() {
            q.index_axis_mut(Axis(2), 0)
                .fill(T::of(1.0 + 0.25 * head as f64));
        }
        disturb(&mut problem.q, &mut problem.k, 1, error);
        disturb(&mut problem.k, &mut problem.q, 2, error);
        for (key, mut row) in problem.k.axis_iter_mut(Axis(2)).enumerate() {
            row.index_axis_mut(Axis(2), 0).fill(T::of(level(key)));
        }
        let largest = 1.0 + 0.25 * extents.heads as f64;
        let rounding = 8.0 * T::UNIT * scale * largest * (pieces + 1) as f64;
        Self {
            problem,
            starts,
            step: scale,
            eps: ROOM * noise + rounding,
        }
    }
}

/// Let a column add noise of `noisy` to the logits.
fn disturb<T: Real>(one: &mut Array4<T>, noisy: &mut Array4<T>, column: usize, error: f64) {
    one.index_axis_mut(Axis(3), column).fill(T::of(1.0));
    let mut noisy = noisy.index_axis_mut(Axis(3), column);
    let numbers: Array3<T> = uniform(noisy.raw_dim(), 40 + column as u64);
    noisy.assign(&numbers.mapv(|x| T::of(error * x.into())));
}
