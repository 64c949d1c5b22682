//! Forty rain gauges, a year of five-minute readings, and the few hundred readings that tell which gauges are alike.
//!
//! The matrix has a row for each gauge and a column for each reading. It rains seldom and here and there, so nearly all entries are zero:
//! a sparse matrix. In attention between gauges, with logits by how much rain they had together, each gauge's row of weights says which
//! others to trust where it has failed. A sparsifier keeps some readings as they were measured, each with a weight, in place of the whole
//! year: columns that can be looked at, stored, and sent elsewhere. Its certificate bounds what that does to any weight.

use std::error::Error;
use std::time::Instant;

use ndarray::{Array2, ArrayView1};
use subquad::sprs::{CsMat, TriMat};
use subquad::{SparsifierOptions, Sparsify, fill_uniform, sys};

const GAUGES: usize = 40;
/// Gauges stand on a grid, so many to a row, 1 apart.
const GRID: usize = 8;
/// Readings of a year, and how often it rains somewhere.
const READINGS: usize = 365 * 288;
const WET: f64 = 0.15;
/// Most readings to keep: 25 for each gauge, which bounds the certificate by 2 sqrt(25) / (25 + 1).
const KEPT: usize = 25 * GAUGES;
/// What a gauge cannot measure, in mm.
const LEAST: f64 = 0.1;

fn place(gauge: usize) -> [f64; 2] {
    [(gauge % GRID) as f64, (gauge / GRID) as f64]
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// A shower in each wet reading, strongest where it passes and soon gone beside it.
fn readings() -> Result<CsMat<f32>, subquad::Error> {
    let mut chance = Array2::<f64>::zeros((READINGS, 5));
    fill_uniform(&mut chance, 2025, 0, 0.0, 1.0)?;
    let mut rain = TriMat::new((GAUGES, READINGS));
    for (reading, chance) in chance.rows().into_iter().enumerate() {
        if chance[0] > WET {
            continue;
        }
        let center = [GRID as f64 * chance[1], (GAUGES / GRID) as f64 * chance[2]];
        let (reach, strength) = (0.5 + 1.5 * chance[3], 8.0 * chance[4].powi(3));
        for gauge in 0..GAUGES {
            let depth = strength * (-(distance(place(gauge), center) / reach).powi(2)).exp();
            if depth >= LEAST {
                rain.add_triplet(gauge, reading, depth as f32);
            }
        }
    }
    Ok(rain.to_csc())
}

/// The gauge, other than this one, that has the largest weight.
fn most_like(gauge: usize, weights: ArrayView1<f32>) -> Option<usize> {
    let others = (0..GAUGES).filter(|&other| other != gauge);
    others.max_by(|&a, &b| weights[a].total_cmp(&weights[b]))
}

fn main() -> Result<(), Box<dyn Error>> {
    let rain = readings()?;
    let share = rain.nnz() as f64 / (GAUGES * READINGS) as f64;
    println!(
        "{GAUGES} gauges, {READINGS} readings, {:.1} % of the entries rain",
        100.0 * share
    );

    let began = Instant::now();
    let found = Sparsify::new()
        .method(sys::SUBQUAD_SPARSIFIER_DETERMINISTIC)
        .columns(KEPT)
        .certify(sys::SUBQUAD_CERTIFICATE_EXACT)
        .run(&rain)?;
    let kept = found.sparsifier;
    let epsilon = kept.epsilon().ok_or("there is no certificate")?;
    println!(
        "{} readings, {} numbers, stand for {}: to within 1 +- {epsilon:.3}, in {:.0} ms",
        kept.width(),
        kept.y_sparse()?.nnz(),
        rain.nnz(),
        began.elapsed().as_secs_f64() * 1e3,
    );
    let weights = kept.weights()?;
    let weightiest = (0..kept.width()).max_by(|&a, &b| weights[a].total_cmp(&weights[b]));
    let reading = kept.indices()?[weightiest.ok_or("no reading was kept")?];
    println!(
        "the one that stands for most others is of day {}",
        reading / 288
    );

    // Logits of up to 2, for the gauge that had the most rain.
    let scale = 2.0 / kept.radius();
    let options = SparsifierOptions::new().scale(scale);
    let (bound, true_error) = (
        kept.ratio_bound(scale)?,
        kept.softmax_error(&rain, &options)?,
    );
    println!(
        "attention weights are off by a factor {:.3} at most; certified was {bound:.3}",
        true_error.ratio
    );
    if epsilon > 10.0 / 26.0 || true_error.ratio > bound {
        return Err("a bound does not hold".into());
    }

    // Attention to values 1, for each gauge in turn, is the weights themselves.
    let attention = kept.attention(&Array2::eye(GAUGES), &options)?.o;
    for (gauge, weights) in attention.rows().into_iter().enumerate() {
        let other = most_like(gauge, weights).ok_or("there is one gauge only")?;
        if gauge % 9 == 4 {
            println!("where gauge {gauge} has failed, ask gauge {other}");
        }
        if distance(place(gauge), place(other)) > 1.5 {
            return Err(format!("gauge {other} is far from gauge {gauge}").into());
        }
    }
    Ok(())
}

#[test]
fn keeps_few_readings_and_what_they_tell() {
    main().unwrap();
}
