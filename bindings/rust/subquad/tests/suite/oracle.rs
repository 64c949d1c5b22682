//! Attention row by row in double-double arithmetic, with what the budgets need to know.

use ndarray::{Array3, Array4};

use crate::budget::{roundoff_lse, roundoff_o};
use crate::double_double::DoubleDouble;
use crate::problem::{Problem, Real};

/// One query of one head.
#[derive(Debug)]
pub struct Row {
    /// The keys that it sees, in order, and its weights for them, which add up to 1.
    pub keys: Vec<usize>,
    pub weights: Vec<f64>,
    pub o: Vec<f64>,
    pub lse: f64,
    /// Largest |scale| <|q|, |k|> + |bias|.
    pub logit_magnitude: f64,
    pub logit_spread: f64,
    /// Per column, sum of weight * |value|.
    pub value_magnitude: Vec<f64>,
    pub largest_value: f64,
}

pub fn row<T: Real>(problem: &Problem<T>, batch: usize, head: usize, query: usize) -> Row {
    let keys = problem.visible_keys(batch, query);
    let d_v = problem.v.dim().3;
    let key_head = problem.key_head(head);
    let value = |key: usize, column: usize| problem.v[[batch, key_head, key, column]].into();
    let (logits, magnitudes): (Vec<_>, Vec<_>) = keys
        .iter()
        .map(|&key| logit(problem, [batch, head, query], key))
        .unzip();

    let top = logits
        .iter()
        .map(|s| s.high)
        .fold(f64::NEG_INFINITY, f64::max);
    let bottom = logits.iter().map(|s| s.high).fold(f64::INFINITY, f64::min);
    let below_top = |s: &DoubleDouble| (*s + DoubleDouble::from(-top)).exp();
    let exponentials: Vec<f64> = logits.iter().map(below_top).collect();
    let total = exponentials
        .iter()
        .fold(DoubleDouble::ZERO, |sum, &x| sum + x.into());

    let mean = |column: usize, of: fn(f64) -> f64| {
        let add = |sum, (&key, &x)| sum + DoubleDouble::product(x, of(value(key, column)));
        let sum: DoubleDouble = keys.iter().zip(&exponentials).fold(DoubleDouble::ZERO, add);
        if keys.is_empty() {
            0.0
        } else {
            sum.high / total.high
        }
    };
    let all_values = keys
        .iter()
        .flat_map(|&key| (0..d_v).map(move |column| (key, column)));
    Row {
        weights: exponentials.iter().map(|x| x / total.high).collect(),
        o: (0..d_v).map(|column| mean(column, |x| x)).collect(),
        lse: if keys.is_empty() {
            f64::NEG_INFINITY
        } else {
            top + total.high.ln()
        },
        logit_magnitude: magnitudes.into_iter().fold(0.0, f64::max),
        logit_spread: if keys.is_empty() { 0.0 } else { top - bottom },
        value_magnitude: (0..d_v).map(|column| mean(column, f64::abs)).collect(),
        largest_value: all_values
            .map(|(key, column)| value(key, column).abs())
            .fold(0.0, f64::max),
        keys,
    }
}

/// A logit, and the magnitude of what it is made of.
fn logit<T: Real>(
    problem: &Problem<T>,
    [batch, head, query]: [usize; 3],
    key: usize,
) -> (DoubleDouble, f64) {
    let key_head = problem.key_head(head);
    let (mut inner, mut magnitude) = (DoubleDouble::ZERO, 0.0);
    for l in 0..problem.q.dim().3 {
        let (q, k): (f64, f64) = (
            problem.q[[batch, head, query, l]].into(),
            problem.k[[batch, key_head, key, l]].into(),
        );
        inner = inner + DoubleDouble::product(q, k);
        magnitude += (q * k).abs();
    }
    let bias: f64 = match (&problem.lag_bias, problem.bias_index(head, query, key)) {
        (Some(table), Some(index)) => table[index].into(),
        _ => 0.0,
    };
    let logit = inner * problem.scale() + DoubleDouble::from(bias);
    (logit, magnitude * problem.scale().abs() + bias.abs())
}

/// All of a problem's results, each with its budget.
#[derive(Debug)]
pub struct Expected {
    pub o: Array4<f64>,
    pub o_budget: Array4<f64>,
    pub lse: Array3<f64>,
    pub lse_budget: Array3<f64>,
    pub pairs: i64,
}

pub fn forward<T: Real>(problem: &Problem<T>) -> Expected {
    let (batch, heads, queries, d) = problem.q.dim();
    let d_v = problem.v.dim().3;
    let o = Array4::zeros((batch, heads, queries, d_v));
    let lse = Array3::zeros((batch, heads, queries));
    let mut expected = Expected {
        o_budget: o.clone(),
        o,
        lse_budget: lse.clone(),
        lse,
        pairs: 0,
    };
    for ((b, h, i), lse) in expected.lse.indexed_iter_mut() {
        let row = row(problem, b, h, i);
        *lse = row.lse;
        expected.lse_budget[[b, h, i]] = roundoff_lse::<T>(&row, d);
        for column in 0..d_v {
            expected.o[[b, h, i, column]] = row.o[column];
            expected.o_budget[[b, h, i, column]] = roundoff_o::<T>(&row, d, column);
        }
        expected.pairs += row.keys.len() as i64;
    }
    expected
}
