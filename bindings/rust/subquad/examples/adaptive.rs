//! Forecasts from days like today: attention to a tolerance, planned once and applied to whatever is to be forecast.
//!
//! The weather of the next days is forecast as the mean of what followed on earlier days, weighted by how much these were like today: day j weighs
//! exp(sharpness * r), with r the correlation of its pattern with today's. That is softmax attention, with patterns of unit length for queries
//! and keys. Each sharpness is a query head, and all heads share the keys.
//!
//! Days like today come in the same season of other years, so that most pairs matter little; how many matter depends on the sharpness. A
//! tolerance leaves it to the library to find out, head by head. What it decides depends on the days alone, so that one plan serves
//! temperature and rain.

use std::error::Error;
use std::f32::consts::TAU;
use std::time::Instant;

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, Ix3, s, stack};
use subquad::{Attention, Head, Output, Plan, PlanOptions, fill_uniform};

/// Forty years of days, of which those of the last year are forecast and compared.
const DAYS: usize = 40 * 365;
const COMPARED: usize = 365;
/// The pattern of a day holds the pressure of so many days, each with this much less weight than the next.
const MEMORY: usize = 30;
const FADING: f32 = 0.8;
/// Days to forecast: of the temperature, and of the rain.
const HORIZON: usize = 16;
const HORIZON_OF_RAIN: usize = 3;
/// Pairs of a day and another at least the horizon before it.
const VISIBLE: f64 = ((DAYS - HORIZON) * (DAYS - HORIZON + 1) / 2) as f64;
const SHARPNESSES: [f32; 4] = [2.0, 10.0, 30.0, 60.0];
/// What a head may err: relative Frobenius error.
const TOL: f64 = 0.1;

struct Weather {
    pressure: Array1<f32>,
    temperature: Array1<f32>,
    rain: Array1<f32>,
}

/// Highs and lows that pass in a week or so, and what they bring in summer and in winter.
fn weather() -> Result<Weather, subquad::Error> {
    let mut noise = Array2::<f32>::zeros((DAYS, 3));
    fill_uniform(&mut noise, 2026, 0, -1.0, 1.0)?;
    let mut pressure = Array1::<f32>::zeros(DAYS);
    for day in 2..DAYS {
        pressure[day] = 1.3 * pressure[day - 1] - 0.55 * pressure[day - 2] + noise[[day, 0]];
    }
    let temperature = Array1::from_shape_fn(DAYS, |day| {
        let before = pressure[day.saturating_sub(1)];
        8.0 * summer(day) + 1.5 * before * summer(day) + noise[[day, 1]]
    });
    let rain = Array1::from_shape_fn(DAYS, |day| {
        (noise[[day, 2]] - 0.6_f32 - pressure[day.saturating_sub(1)]).max(0.0)
    });
    Ok(Weather {
        pressure,
        temperature,
        rain,
    })
}

/// 1 in the middle of summer, -1 in the middle of winter.
fn summer(day: usize) -> f32 {
    -(TAU * (day % 365) as f32 / 365.0).cos()
}

/// The pressure of the last days, and the season as a point on a circle, scaled to unit length.
fn patterns(weather: &Weather) -> Array2<f32> {
    let deviation = weather.pressure.std(0.0);
    let mut patterns = Array2::from_shape_fn((DAYS, MEMORY + 2), |(day, entry)| {
        let angle = TAU * (day % 365) as f32 / 365.0;
        match entry.checked_sub(MEMORY) {
            None => {
                FADING.powi(entry as i32) * weather.pressure[day.saturating_sub(entry)] / deviation
            }
            Some(0) => 2.0 * angle.cos(),
            Some(_) => 2.0 * angle.sin(),
        }
    });
    for mut pattern in patterns.rows_mut() {
        pattern /= pattern.dot(&pattern).sqrt();
    }
    patterns
}

/// What followed on each day, about its mean.
fn next_days(series: &Array1<f32>, days: usize) -> Array3<f32> {
    let mean = series.mean().unwrap_or(0.0);
    Array3::from_shape_fn((1, DAYS, days), |(_, day, ahead)| {
        series[(day + 1 + ahead).min(DAYS - 1)] - mean
    })
}

fn norm(x: ArrayView2<f32>) -> f64 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

fn show(head: &Head, sharpness: f32) {
    let why = head.fallback.as_ref();
    println!(
        "  sharpness {sharpness}: {}, error {:.3} ({:.3} to {:.3}){}",
        head.parts,
        head.error,
        head.error_low,
        head.error_high,
        why.map_or(String::new(), |why| format!(": {why}")),
    );
}

/// Forecasts as planned and exactly, and how far they are from each other and from what came. The largest error of a head.
fn forecast(
    plan: &Plan<f32, Ix3>,
    exactly: impl Fn(&Array3<f32>) -> Result<Array3<f32>, subquad::Error>,
    values: &Array3<f32>,
) -> Result<f64, subquad::Error> {
    let began = Instant::now();
    let Output {
        o: planned, report, ..
    } = plan.apply(values, &PlanOptions::new())?;
    let planned_seconds = began.elapsed().as_secs_f64();
    let exact = exactly(values)?;
    let exact_seconds = began.elapsed().as_secs_f64() - planned_seconds;
    println!(
        "  {:.0} ms as planned, {:.0} ms exactly",
        1e3 * planned_seconds,
        1e3 * exact_seconds
    );
    let last_year = s![DAYS - HORIZON - COMPARED..DAYS - HORIZON, ..];
    let truth = values.index_axis(Axis(0), 0);
    let mut largest = 0.0_f64;
    for (h, (head, sharpness)) in report.heads()?.iter().zip(SHARPNESSES).enumerate() {
        let [planned, exact] = [&planned, &exact].map(|o| o.index_axis(Axis(0), h));
        let error = norm((&planned - &exact).view()) / norm(exact);
        let missed = norm((&planned - &truth).slice(last_year));
        let skill = 1.0 - (missed / norm(truth.slice(last_year))).powi(2);
        println!(
            "  sharpness {sharpness}: {:.0} % of the pairs, error {error:.3}, {:.0} % of the variance forecast",
            100.0 * (head.pairs_exact + head.pairs_low) as f64 / VISIBLE,
            100.0 * skill
        );
        largest = largest.max(error);
    }
    Ok(largest)
}

fn main() -> Result<(), Box<dyn Error>> {
    let weather = weather()?;
    let patterns = patterns(&weather);
    let heads = SHARPNESSES.map(|sharpness| &patterns * sharpness);
    let q = stack(Axis(0), &heads.each_ref().map(|head| head.view()))?;
    let k = patterns.insert_axis(Axis(0));
    let (temperature, rain) = (
        next_days(&weather.temperature, HORIZON),
        next_days(&weather.rain, HORIZON_OF_RAIN),
    );

    // What follows on a day is not known yet on that day: each query sees the days before it by the horizon.
    let attention = Attention::new()
        .causal(true)
        .causal_offset(-(HORIZON as i64))
        .scale(1.0);
    let to_tolerance = attention.clone().tol(TOL);
    let exactly = |values: &Array3<f32>| Ok(attention.run(&q, &k, values)?.o);
    // An error is that of given values: rain, which hardly follows the patterns, needs more pairs than temperature does.
    for (name, values) in [("temperature", &temperature), ("rain", &rain)] {
        let began = Instant::now();
        let plan = to_tolerance.plan(&q, &k, Some(values))?;
        println!(
            "{name}, planned in {:.0} ms:",
            began.elapsed().as_secs_f64() * 1e3
        );
        for (head, sharpness) in plan.report()?.heads()?.iter().zip(SHARPNESSES) {
            show(head, sharpness);
        }
        let error = forecast(&plan, exactly, values)?;
        // What is promised of nearly all heads.
        if error > 1.25 * TOL {
            return Err(format!("the error is above {:.4}", 1.25 * TOL).into());
        }
    }
    Ok(())
}

#[test]
fn forecasts_within_the_tolerance() {
    main().unwrap();
}
