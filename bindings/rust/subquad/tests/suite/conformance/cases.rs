//! The good calls.

use serde_json::Value;
use subquad::{Context, Report, sys};

use super::auto;
use super::call::Arrays;
use super::json::{list, members, number, text};
use super::master;
use crate::problem::Real;

#[test]
fn good_calls_give_what_is_expected() {
    let master = master("cases.json");
    let context = Context::new().unwrap();
    let mut failures = Vec::new();
    assert!(!list(&master["cases"]).is_empty());
    for case in list(&master["cases"]) {
        let result = match text(&case["dtype"]) {
            "float32" => run::<f32>(case, &context),
            "float64" => run::<f64>(case, &context),
            other => panic!("no dtype {other}"),
        };
        failures.extend(
            result
                .err()
                .map(|reason| format!("{}: {reason}", case["name"])),
        );
    }
    assert!(
        failures.is_empty(),
        "{} cases fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn run<T: Real>(case: &Value, context: &Context) -> Result<(), String> {
    let arrays = members(&case["inputs"]).chain(members(&case["outputs"]));
    let mut arrays = Arrays::<T>::new(arrays).map_err(|failure| format!("{failure:?}"))?;
    let report = arrays
        .carry_out(case, context)
        .map_err(|failure| format!("{failure:?}"))?;
    for (name, expected) in members(&case["outputs"]) {
        let output = &arrays.outputs[name];
        let compared = match (expected.get("values"), arrays.made.get(name)) {
            (None, _) => Ok(()),
            (_, Some(made)) => compare(&made.view(), expected),
            (_, None) => compare(&output.view(), expected),
        };
        compared.map_err(|difference| format!("{name}{difference}"))?;
        if !output.gaps_are_untouched() {
            return Err(format!("{name}: its gaps were written"));
        }
    }
    for (name, key) in [
        ("pairs", sys::SUBQUAD_REPORT_PAIRS),
        ("rank", sys::SUBQUAD_REPORT_RANK),
    ] {
        if let (Some(expected), Some(report)) = (case.get(name), &report) {
            let reported = report.int(key).map_err(|error| error.to_string())?;
            if Some(reported) != expected.as_i64() {
                return Err(format!("{name}: {reported}, not {expected}"));
            }
        }
    }
    let Some(report) = &report else {
        return Ok(());
    };
    check_texts(case, report)?;
    auto::check(case, &arrays, report, context)
}

/// How scores and errors were computed, and no error where none was.
fn check_texts(case: &Value, report: &Report) -> Result<(), String> {
    for (name, key) in [
        ("scores", sys::SUBQUAD_REPORT_SCORES),
        ("certificate", sys::SUBQUAD_REPORT_CERTIFICATE),
    ] {
        if let Some(expected) = case[name].as_str() {
            let found = report.strings(key).map_err(|error| error.to_string())?;
            if found.first().map_or("none", String::as_str) != expected {
                return Err(format!("{name}: {found:?}, not {expected}"));
            }
        }
    }
    match report.length(sys::SUBQUAD_REPORT_EPSILON) {
        Ok(count) if count > 0 && case["certificate"] == "none" => {
            Err("epsilon: there is one".into())
        }
        _ => Ok(()),
    }
}

fn compare<T: Real>(actual: &ndarray::ArrayViewD<'_, T>, expected: &Value) -> Result<(), String> {
    let (values, budget) = (list(&expected["values"]), number(&expected["budget"]));
    if values.len() != actual.len() {
        return Err(format!(
            " has {} elements, not {}",
            actual.len(),
            values.len()
        ));
    }
    for ((index, &actual), expected) in actual.indexed_iter().zip(values) {
        let (actual, expected): (f64, f64) = (actual.into(), number(expected));
        let within = match expected == f64::NEG_INFINITY {
            true => actual == expected,
            false => (actual - expected).abs() <= budget,
        };
        if !within {
            return Err(format!(
                "{index:?} is {actual:e}, not {expected:e} within {budget:e}"
            ));
        }
    }
    Ok(())
}
