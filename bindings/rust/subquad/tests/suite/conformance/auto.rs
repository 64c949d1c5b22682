//! What cases of method auto and of plans ask for beyond expected values.

use ndarray::{ArrayViewD, Axis, Slice};
use serde_json::{Value, json};
use subquad::{Context, Report, sys};

use super::call::Arrays;
use super::json::{members, number, sizes};
use crate::plan::budget::head_errors;
use crate::problem::Real;

/// The options that method exact has no use for.
const OF_AUTO: [&str; 7] = [
    "method",
    "tol",
    "budget",
    "estimate",
    "parts",
    "strict_causal",
    "seed",
];

/// Parts by their names in a report.
const PARTS: [(&str, i32); 5] = [
    ("heavy", sys::SUBQUAD_PART_HEAVY),
    ("selection", sys::SUBQUAD_PART_SELECTION),
    ("centroids", sys::SUBQUAD_PART_CENTROIDS),
    ("conv", sys::SUBQUAD_PART_CONV),
    ("screened", sys::SUBQUAD_PART_SCREENING),
];
const ALL_PARTS: i32 = 31;

pub fn check<T: Real>(
    case: &Value,
    arrays: &Arrays<T>,
    report: &Report,
    context: &Context,
) -> Result<(), String> {
    if let Some(heads) = case["heads"].as_u64() {
        let options = &case.get("plan").unwrap_or(case)["options"];
        let allowed = options["parts"]
            .as_i64()
            .map_or(ALL_PARTS, |parts| parts as i32);
        check_report(report, heads as usize, allowed)?;
    }
    check_head_errors(case, arrays, context)?;
    match case["prefix"].as_u64() {
        Some(rows) => check_prefix(case, arrays, rows as usize, context),
        None => Ok(()),
    }
}

fn check_report(report: &Report, count: usize, allowed: i32) -> Result<(), String> {
    let heads = report.heads().map_err(|error| error.to_string())?;
    if heads.len() != count {
        return Err(format!("{} heads, not {count}", heads.len()));
    }
    for key in [
        sys::SUBQUAD_REPORT_PAIRS_EXACT,
        sys::SUBQUAD_REPORT_PAIRS_LOW,
        sys::SUBQUAD_REPORT_PAIRS_SCREENED,
        sys::SUBQUAD_REPORT_ERROR,
        sys::SUBQUAD_REPORT_ERROR_LOW,
        sys::SUBQUAD_REPORT_ERROR_HIGH,
        sys::SUBQUAD_REPORT_FALLBACK,
        sys::SUBQUAD_REPORT_WINDOW,
        sys::SUBQUAD_REPORT_HEAVY_COLUMNS,
        sys::SUBQUAD_REPORT_SELECTED_KEYS,
        sys::SUBQUAD_REPORT_CONV_BASES,
        sys::SUBQUAD_REPORT_HEAD_SECONDS_PLAN,
    ] {
        if report.length(key) != Ok(count) {
            return Err(format!("report key {key}: {:?}", report.length(key)));
        }
    }
    for key in [sys::SUBQUAD_REPORT_SEED, sys::SUBQUAD_REPORT_ESTIMATE] {
        if report.length(key) != Ok(1) {
            return Err(format!("report key {key}: {:?}", report.length(key)));
        }
    }
    let mut pairs = 0;
    for head in heads {
        let approximated = head.pairs_low + head.pairs_screened;
        let ordered =
            0.0 <= head.error_low && head.error_low <= head.error && head.error <= head.error_high;
        let explained = head.is_exact() == head.fallback.is_some();
        let all_exact = !head.is_exact() || approximated == 0 && head.error_high == 0.0;
        let allowed = head.parts.split('+').all(|name| {
            let part = PARTS.iter().find(|(part, _)| *part == name);
            part.map_or(name == "exact" || name == "window", |(_, bit)| {
                allowed & bit != 0
            })
        });
        if !(ordered && explained && all_exact && allowed) {
            return Err(format!("{head:?}"));
        }
        pairs += head.pairs_exact + approximated;
    }
    match report.int(sys::SUBQUAD_REPORT_PAIRS) {
        Ok(visible) if pairs > visible => Err(format!("{pairs} pairs of {visible}")),
        _ => Ok(()),
    }
}

/// Outputs with a bound for each head, held against those of method exact.
fn check_head_errors<T: Real>(
    case: &Value,
    arrays: &Arrays<T>,
    context: &Context,
) -> Result<(), String> {
    let bounded = || members(&case["outputs"]).filter(|(_, o)| o.get("head_error").is_some());
    if bounded().next().is_none() {
        return Ok(());
    }
    let mut exact = case.clone();
    exact["function"] = json!("attention");
    exact["options"] = case.get("plan").unwrap_or(case)["options"].clone();
    let options = exact["options"].as_object_mut().expect("options");
    options.retain(|name, _| !OF_AUTO.contains(&name.as_str()));
    let exact = carried_out::<T>(&exact, context)?;
    for (name, expected) in bounded() {
        let (actual, exact) = (arrays.outputs[name].view(), exact.outputs[name].view());
        let errors = head_errors(&actual, &exact);
        let bound = number(&expected["head_error"]);
        if !errors.iter().all(|&error| error <= bound) {
            return Err(format!("{name}: {errors:?} by head, not {bound:e}"));
        }
    }
    Ok(())
}

/// The same call on the first rows gives the same bits.
fn check_prefix<T: Real>(
    case: &Value,
    arrays: &Arrays<T>,
    rows: usize,
    context: &Context,
) -> Result<(), String> {
    let mut shorter = case.clone();
    for name in ["q", "k", "v"] {
        let input = arrays.input(name);
        let first = first_rows(&input, name, rows);
        let values: Vec<f64> = first.iter().map(|&x| x.into()).collect();
        shorter["inputs"][name] = json!({"shape": first.shape(), "values": values});
    }
    for (name, output) in members(&case["outputs"]) {
        let mut shape = sizes(&output["shape"]);
        shape[token_axis(name, output["shape"].as_array().map_or(0, Vec::len))] = rows;
        shorter["outputs"][name] = json!({"shape": shape});
    }
    let shorter = carried_out::<T>(&shorter, context)?;
    for (name, output) in &arrays.outputs {
        let whole = output.view();
        if first_rows(&whole, name, rows) != shorter.outputs[name].view() {
            return Err(format!("{name} is another without the rows from {rows} on"));
        }
    }
    Ok(())
}

fn token_axis(name: &str, ndim: usize) -> usize {
    ndim - if name == "lse" { 1 } else { 2 }
}

fn first_rows<'a, T: Real>(x: &'a ArrayViewD<'_, T>, name: &str, rows: usize) -> ArrayViewD<'a, T> {
    x.slice_axis(Axis(token_axis(name, x.ndim())), Slice::from(..rows))
}

fn carried_out<T: Real>(case: &Value, context: &Context) -> Result<Arrays<T>, String> {
    let arrays = members(&case["inputs"]).chain(members(&case["outputs"]));
    let mut arrays = Arrays::<T>::new(arrays).map_err(|failure| format!("{failure:?}"))?;
    let outcome = arrays.carry_out(case, context);
    outcome.map_err(|failure| format!("to compare with: {failure:?}"))?;
    Ok(arrays)
}
