//! A baseline for half-hourly demand, and the readings that stray from it: attention without a language model.
//!
//! The baseline of a reading is the weighted mean of those before it. A weight depends on the lag: it fades over weeks, and is larger
//! at whole days and whole weeks. Halfway the meter was replaced, and what the old one read counts for little from then on. The
//! logits are two kernels by lag, so a conv basis holds them exactly, and all baselines take one near-linear apply in place of a sum
//! over every pair of readings.
//!
//! Strictly causal, as a service must be that reports while readings come in: a later reading changes no earlier baseline by a bit.

use std::error::Error;
use std::f64::consts::TAU;
use std::time::Instant;

use ndarray::{Array1, Axis, array, s};
use subquad::{ConvBasis, ConvOptions, fill_uniform, sys};

/// Readings of 80 weeks, and of a day.
const READINGS: usize = 80 * 7 * DAY;
const DAY: usize = 48;
/// When the meter was replaced.
const REPLACED: usize = READINGS / 2 + 17;
/// The old meter's readings weigh exp(-3) of what they would.
const OLD_METER: f64 = -3.0;
/// A reading is odd when it is this far from its baseline.
const THRESHOLD: f64 = 15.0;

/// The logit of a reading that lies `lag` behind the one that is looked at.
fn logit(lag: usize) -> f64 {
    let fades = -(lag as f64) / (21 * DAY) as f64;
    let same_hour = 4.0 * (TAU * lag as f64 / DAY as f64).cos();
    let same_weekday = 1.5 * (TAU * lag as f64 / (7 * DAY) as f64).cos();
    fades + same_hour + same_weekday
}

/// Demand with a daily and a weekly course, noise, and some readings that are wrong.
fn readings(wrong: &[usize]) -> Result<Array1<f64>, subquad::Error> {
    let mut noise = Array1::<f64>::zeros(READINGS);
    fill_uniform(&mut noise, 2024, 0, -3.0, 3.0)?;
    let mut demand = Array1::from_shape_fn(READINGS, |i| {
        let day = (TAU * i as f64 / DAY as f64).sin();
        let week = (TAU * i as f64 / (7 * DAY) as f64).cos();
        60.0 + 20.0 * day + 6.0 * week + noise[i]
    });
    for &reading in wrong {
        demand[reading] += 30.0;
    }
    Ok(demand)
}

/// Baseline i is of the readings before i: attention of row i - 1, moved on by one step in the lag.
fn baselines(demand: &Array1<f64>) -> Result<Array1<f64>, subquad::Error> {
    let new_meter = Array1::from_shape_fn(READINGS, |lag| logit(lag + 1));
    let old_meter = &new_meter + OLD_METER;
    let kernels = ndarray::stack(Axis(0), &[old_meter.view(), new_meter.view()])
        .expect("kernels of one length");
    let starts = array![0, REPLACED as i64];
    let logits = ConvBasis::new(&starts, &kernels, &ConvOptions::new().cumulative(true))?;

    let began = Instant::now();
    let options = ConvOptions::new().strict_causal(true);
    let seen = demand.view().insert_axis(Axis(1));
    let output = logits.apply(&seen, &options)?;
    println!(
        "{READINGS} baselines in {:.0} ms, in blocks of {}, with {} layers",
        began.elapsed().as_secs_f64() * 1e3,
        output.report.int(sys::SUBQUAD_REPORT_BLOCK)?,
        output.report.int(sys::SUBQUAD_REPORT_LAYERS)?,
    );
    let mut baselines = Array1::from_elem(READINGS, demand[0]);
    let moved_on = output.o.slice(s![..READINGS - 1, 0]);
    baselines.slice_mut(s![1..]).assign(&moved_on);
    Ok(baselines)
}

/// The same for one reading, by its definition.
fn baseline(demand: &Array1<f64>, reading: usize) -> f64 {
    let weight = |j: usize| {
        let meter = if j < REPLACED { OLD_METER } else { 0.0 };
        (logit(reading - j) + meter).exp()
    };
    let total: f64 = (0..reading).map(weight).sum();
    let weighted: f64 = (0..reading).map(|j| weight(j) * demand[j]).sum();
    weighted / total
}

fn main() -> Result<(), Box<dyn Error>> {
    let wrong = [5_000, 12_345, 20_002, 26_000];
    let demand = readings(&wrong)?;
    let baselines = baselines(&demand)?;

    let off = |reading: usize| (baselines[reading] - baseline(&demand, reading)).abs();
    let error = (1..READINGS).step_by(997).map(off).fold(0.0, f64::max);
    let largest = demand.fold(0.0_f64, |top, &x| top.max(x.abs()));
    println!("largest error against direct sums: {error:.1e}");
    // What the library promises of float64: 1e-9 of the largest value.
    if error > 1e-9 * largest {
        return Err(format!("the error is above {:.1e}", 1e-9 * largest).into());
    }

    // The first weeks have too little before them.
    let odd: Vec<_> = (4 * 7 * DAY..READINGS)
        .filter(|&reading| (demand[reading] - baselines[reading]).abs() > THRESHOLD)
        .collect();
    println!("odd readings: {odd:?}");
    if odd != wrong {
        return Err(format!("should be {wrong:?}").into());
    }
    Ok(())
}

#[test]
fn finds_the_wrong_readings() {
    main().unwrap();
}
