//! Heads of the kinds that occur: four that look at few keys each in its own way, and one that looks at all of them.

use ndarray::Array4;
use subquad::Attention;

use crate::problem::{Extents, Problem, Real, uniform};

/// What each of the heads looks at.
pub const KINDS: [&str; 5] = ["near keys", "few keys", "its topic", "a period", "all keys"];
/// Long enough for approximations to pay.
pub const LONG: usize = 2048;
pub const D: usize = 32;

/// A head of each kind, which has its own keys. Seeds differ in noise and values.
pub fn kinds<T: Real>(n: usize, seed: u64) -> Problem<T> {
    let extents = Extents {
        heads: KINDS.len(),
        key_heads: KINDS.len(),
        d: D,
        d_v: 16,
        ..Extents::square(n)
    };
    let mut problem = Problem::new(extents);
    problem.scale = Some(1.0);
    let stream = 100 * (seed + 1);
    let [q_noise, k_noise]: [Array4<f64>; 2] =
        [0, 1].map(|which| uniform(problem.q.raw_dim(), stream + which));
    problem.v = uniform(problem.v.raw_dim(), stream + 2);
    let build = |side: fn(usize, usize, usize) -> f64, noise: &Array4<f64>| {
        Array4::from_shape_fn(noise.raw_dim(), |(b, head, i, l)| {
            T::of(side(head, i, l) + 0.15 * noise[[b, head, i, l]])
        })
    };
    problem.q = build(query, &q_noise);
    problem.k = build(key, &k_noise);
    problem
}

/// Pairs of entries that turn with the position: inner products are sums of cosines of the lag.
fn turning(i: usize, l: usize, turns: [f64; 2], size: f64) -> f64 {
    let pair = (l / 2) as f64 / (D / 2 - 1) as f64;
    let angle = i as f64 * turns[0] * (turns[1] / turns[0]).powf(pair);
    size * if l % 2 == 0 { angle.cos() } else { angle.sin() }
}

fn query(kind: usize, i: usize, l: usize) -> f64 {
    match KINDS[kind] {
        "few keys" => 3.0 * f64::from(l == 0),
        "all keys" => 0.0,
        _ => key(kind, i, l),
    }
}

fn key(kind: usize, j: usize, l: usize) -> f64 {
    match KINDS[kind] {
        "near keys" => turning(j, l, [0.5, 0.005], 0.9),
        "few keys" => 3.5 * f64::from(l == 0 && [0, 1, 290, 611].contains(&j)),
        "its topic" => 3.2 * f64::from(l == j / 48 % 12),
        "a period" => turning(j, l, [0.05, 0.2], 0.8),
        _ => 0.0,
    }
}

/// What the library's exact method computes, which has tests of its own.
pub fn exact<T: Real>(problem: &Problem<T>) -> Array4<T> {
    let attention: Attention<'_, T> = problem.attention();
    let output = attention.run(&problem.q, &problem.k, &problem.v);
    output.unwrap().o
}
