//! Attention problems with reproducible data, and what their queries see.

use ndarray::{Array, Array2, Array4, Dimension};
use subquad::{Attention, Element, fill_uniform};

/// An element type with what budgets need to know of it.
pub trait Real: Element + Into<f64> + PartialEq + std::fmt::Debug + std::fmt::Display {
    /// Unit round-off: half the distance from 1 to the next number.
    const UNIT: f64;
    /// The least weight that an exponential need tell from zero: twice the smallest normal number.
    const LEAST_WEIGHT: f64;

    fn of(x: f64) -> Self;
}

impl Real for f32 {
    const UNIT: f64 = f32::EPSILON as f64 / 2.0;
    const LEAST_WEIGHT: f64 = 2.0 * f32::MIN_POSITIVE as f64;

    fn of(x: f64) -> Self {
        x as f32
    }
}

impl Real for f64 {
    const UNIT: f64 = f64::EPSILON / 2.0;
    const LEAST_WEIGHT: f64 = 2.0 * f64::MIN_POSITIVE;

    fn of(x: f64) -> Self {
        x
    }
}

/// The extents of a problem.
#[derive(Clone, Copy, Debug)]
pub struct Extents {
    pub batch: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub d: usize,
    pub d_v: usize,
}

impl Extents {
    /// One head, n queries and n keys.
    pub fn square(n: usize) -> Self {
        Self {
            batch: 1,
            heads: 1,
            key_heads: 1,
            queries: n,
            keys: n,
            d: 5,
            d_v: 3,
        }
    }
}

/// The arguments of a forward call. Options that are None are not set.
#[derive(Clone, Debug)]
pub struct Problem<T> {
    pub q: Array4<T>,
    pub k: Array4<T>,
    pub v: Array4<T>,
    pub lag_bias: Option<Array2<T>>,
    pub key_ranges: Option<Array2<i64>>,
    pub causal: bool,
    pub causal_offset: Option<i64>,
    pub scale: Option<f64>,
    pub lag_min: Option<i64>,
    pub key_offset: Option<i64>,
}

/// Numbers in [-1, 1); every stream its own.
pub fn uniform<T: Real, D: Dimension>(shape: D, stream: u64) -> Array<T, D> {
    let mut x = Array::from_elem(shape, T::of(0.0));
    fill_uniform(&mut x, 20_240_505, stream, -1.0, 1.0).expect("test data");
    x
}

impl<T: Real> Problem<T> {
    pub fn new(extents: Extents) -> Self {
        let Extents {
            batch,
            heads,
            key_heads,
            queries,
            keys,
            d,
            d_v,
        } = extents;
        Self {
            q: uniform(ndarray::Dim([batch, heads, queries, d]), 0),
            k: uniform(ndarray::Dim([batch, key_heads, keys, d]), 1),
            v: uniform(ndarray::Dim([batch, key_heads, keys, d_v]), 2),
            lag_bias: None,
            key_ranges: None,
            causal: false,
            causal_offset: None,
            scale: None,
            lag_min: None,
            key_offset: None,
        }
    }

    pub fn causal(mut self, offset: Option<i64>) -> Self {
        self.causal = true;
        self.causal_offset = offset;
        self
    }

    /// A table of random biases for `rows` heads, from the least to the largest lag of any pair.
    pub fn biased(mut self, rows: usize) -> Self {
        let (queries, keys) = (self.q.dim().2 as i64, self.k.dim().2 as i64);
        let first = self.offset() - (keys - 1) - self.key_offset.unwrap_or(0);
        let length = (queries + keys - 1) as usize;
        self.lag_min = Some(first);
        self.lag_bias = Some(uniform(ndarray::Dim([rows, length]), 3));
        self
    }

    pub fn attention(&self) -> Attention<'_, T> {
        let mut attention = Attention::new().causal(self.causal);
        if let Some(offset) = self.causal_offset {
            attention = attention.causal_offset(offset);
        }
        if let Some(scale) = self.scale {
            attention = attention.scale(scale);
        }
        if let Some(bias) = &self.lag_bias {
            attention = attention.lag_bias(bias);
        }
        if let Some(lag_min) = self.lag_min {
            attention = attention.lag_min(lag_min);
        }
        if let Some(ranges) = &self.key_ranges {
            attention = attention.key_ranges(ranges);
        }
        if let Some(offset) = self.key_offset {
            attention = attention.key_offset(offset);
        }
        attention
    }

    pub fn scale(&self) -> f64 {
        self.scale
            .unwrap_or_else(|| 1.0 / (self.q.dim().3 as f64).sqrt())
    }

    /// The key/value head that a query head reads.
    pub fn key_head(&self, head: usize) -> usize {
        head / (self.q.dim().1 / self.k.dim().1)
    }

    pub fn lag(&self, query: usize, key: usize) -> i64 {
        query as i64 + self.offset() - key as i64 - self.key_offset.unwrap_or(0)
    }

    /// Row and column of the bias of a pair.
    pub fn bias_index(&self, head: usize, query: usize, key: usize) -> Option<[usize; 2]> {
        let bias = self.lag_bias.as_ref()?;
        let row = if bias.nrows() == 1 { 0 } else { head };
        let column = self.lag(query, key) - self.lag_min.unwrap_or(0);
        Some([row, usize::try_from(column).expect("a covered lag")])
    }

    pub fn visible_keys(&self, batch: usize, query: usize) -> Vec<usize> {
        let in_range = |key: usize| match &self.key_ranges {
            Some(ranges) => {
                let row = ranges.row(if ranges.nrows() == 1 { 0 } else { batch });
                let position = key as i64 + self.key_offset.unwrap_or(0);
                row[0] <= position && position < row[1]
            }
            None => true,
        };
        let seen = |&key: &usize| in_range(key) && !(self.causal && self.lag(query, key) < 0);
        (0..self.k.dim().2).filter(seen).collect()
    }

    fn offset(&self) -> i64 {
        self.causal_offset.unwrap_or(0)
    }
}
