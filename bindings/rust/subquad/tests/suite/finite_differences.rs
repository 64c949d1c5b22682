//! The gradients against central differences of the oracle's loss, sum of d_o * o, in f64.
//!
//! When one parameter moves, a row's logits move at rates of at most r. The third derivative of its outputs is then a joint
//! cumulant of three logits and a value, at most 64 r^3 max|v|, so the differences err by h^2 / 6 times that; what the oracle rounds
//! is divided by h. Both are the budget, with the round-off of the gradient itself, which is far below.

use ndarray::{Array4, array};
use subquad::Attention;

use crate::oracle::{Row, row};
use crate::problem::{Extents, Problem, uniform};

const STEP: f64 = 1.0 / (1 << 17) as f64;
/// Roundings of an output of the oracle, relative to the largest value; one more for those of the gradient under test.
const ROUNDINGS: f64 = 16.0 + 1.0;

/// A parameter to move: which array, and which of its elements.
#[derive(Clone, Copy, Debug)]
enum Parameter {
    Q([usize; 4]),
    K([usize; 4]),
    V([usize; 4]),
    Bias([usize; 2]),
}

fn moved(problem: &Problem<f64>, parameter: Parameter, by: f64) -> Problem<f64> {
    let mut problem = problem.clone();
    *match parameter {
        Parameter::Q(index) => &mut problem.q[index],
        Parameter::K(index) => &mut problem.k[index],
        Parameter::V(index) => &mut problem.v[index],
        Parameter::Bias(index) => &mut problem.lag_bias.as_mut().unwrap()[index],
    } += by;
    problem
}

fn rows(problem: &Problem<f64>) -> Vec<Row> {
    let (batch, heads, queries, _) = problem.q.dim();
    let indices = ndarray::indices((batch, heads, queries));
    indices
        .into_iter()
        .map(|(b, h, i)| row(problem, b, h, i))
        .collect()
}

/// The derivative of the loss, and what it may err.
fn derivative(problem: &Problem<f64>, d_o: &Array4<f64>, parameter: Parameter) -> (f64, f64) {
    // Data in [-1, 1) is a multiple of 2^-24, so the steps are exact.
    let (ahead, behind) = (
        rows(&moved(problem, parameter, STEP)),
        rows(&moved(problem, parameter, -STEP)),
    );
    let largest = |array: &Array4<f64>| array.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let rate = match parameter {
        Parameter::Q(_) => problem.scale().abs() * largest(&problem.k),
        Parameter::K(_) => problem.scale().abs() * largest(&problem.q),
        Parameter::V(_) => 0.0,
        Parameter::Bias(_) => 1.0,
    };
    let (mut difference, mut budget) = (0.0, 0.0);
    for ((ahead, behind), d_o) in ahead.iter().zip(&behind).zip(d_o.rows()) {
        let terms = ahead.o.iter().zip(&behind.o).zip(d_o);
        let change: f64 = terms
            .map(|((ahead, behind), d_o)| d_o * (ahead - behind))
            .sum();
        let size: f64 = d_o.iter().map(|d_o| d_o.abs()).sum::<f64>() * (largest(&problem.v) + STEP);
        difference += change / (2.0 * STEP);
        let truncation = STEP * STEP / 6.0 * 64.0 * rate.powi(3) * size;
        let rounding = ROUNDINGS * f64::EPSILON * size / STEP;
        budget += truncation + rounding;
    }
    (difference, budget)
}

fn assert_gradient(problem: &Problem<f64>) {
    assert_gradients(problem, &problem.attention(), 0.0);
}

/// `method` is what a gradient may err beyond round-off.
pub fn assert_gradients(problem: &Problem<f64>, attention: &Attention<'_, f64>, method: f64) {
    let Problem { q, k, v, .. } = problem;
    let output = attention.run(q, k, v).unwrap();
    let d_o = uniform(output.o.raw_dim(), 9);
    let gradients = attention
        .backward(q, k, v, &output.o, &output.lse, &d_o)
        .unwrap();
    let check = |parameter, gradient: f64| {
        let (expected, roundoff) = derivative(problem, &d_o, parameter);
        let budget = roundoff + method;
        let difference = (gradient - expected).abs();
        assert!(
            difference <= budget,
            "{parameter:?}: {gradient:e}, not {expected:e} within {budget:e}"
        );
    };
    let place = |(a, b, c, d)| [a, b, c, d];
    for (index, &dq) in gradients.dq.indexed_iter() {
        check(Parameter::Q(place(index)), dq);
    }
    for (index, &dk) in gradients.dk.indexed_iter() {
        check(Parameter::K(place(index)), dk);
    }
    for (index, &dv) in gradients.dv.indexed_iter() {
        check(Parameter::V(place(index)), dv);
    }
    for ((row, column), &d_bias) in gradients
        .d_lag_bias
        .iter()
        .flat_map(|bias| bias.indexed_iter())
    {
        check(Parameter::Bias([row, column]), d_bias);
    }
}

const EXTENTS: Extents = Extents {
    batch: 2,
    heads: 2,
    key_heads: 1,
    queries: 4,
    keys: 5,
    d: 3,
    d_v: 2,
};

#[test]
fn every_pair() {
    assert_gradient(&Problem::new(EXTENTS));
}

#[test]
fn causal_with_an_offset_and_a_scale() {
    let mut problem = Problem::new(EXTENTS).causal(Some(1));
    problem.scale = Some(-1.25);
    assert_gradient(&problem);
}

#[test]
fn a_bias_for_all_heads_and_one_for_each() {
    for rows in [1, 2] {
        assert_gradient(&Problem::new(EXTENTS).causal(Some(0)).biased(rows));
    }
}

#[test]
fn key_ranges_and_a_key_offset() {
    let mut problem = Problem::new(EXTENTS);
    problem.key_offset = Some(2);
    problem.key_ranges = Some(array![[3, 6], [0, 4]]);
    assert_gradient(&problem);
}
