//! The bad calls, each beside the good call that it was made from.

use std::io::{Write, stderr};

use serde_json::Value;
use subquad::{ColumnBlocks, Context, Error, LeverageScores, sys};

use super::arrays::Buffer;
use super::call::{Arrays, Failure, Outcome};
use super::json::{list, members, merge_patch, text};
use super::master;
use crate::problem::Real;

/// What became of a bad call.
enum Verdict {
    Right,
    NotApplicable(String),
    Wrong(String),
}

#[test]
fn bad_calls_are_refused_with_their_code_and_words() {
    let master = master("bad_calls.json");
    let mut failures = Vec::new();
    assert!(!list(&master["calls"]).is_empty());
    for bad in list(&master["calls"]) {
        let base = &master["bases"][text(&bad["base"])];
        let mut call = base.clone();
        merge_patch(&mut call, &bad["patch"]);
        let verdict = match (bad["na"]["rust"].as_str(), text(&base["dtype"])) {
            (Some(reason), _) => Verdict::NotApplicable(reason.into()),
            (None, "float32") => judge::<f32>(bad, &call, base),
            (None, "float64") => judge::<f64>(bad, &call, base),
            (None, other) => panic!("no dtype {other}"),
        };
        match verdict {
            Verdict::Right => {}
            // Straight to the stream, past the capture of a passing test's output.
            Verdict::NotApplicable(reason) => {
                writeln!(stderr(), "n/a: {}: {reason}", text(&bad["name"])).unwrap();
            }
            Verdict::Wrong(reason) => failures.push(format!("{}: {reason}", text(&bad["name"]))),
        }
    }
    assert!(
        failures.is_empty(),
        "{} calls:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn judge<T: Real>(bad: &Value, call: &Value, base: &Value) -> Verdict {
    let mut context = Context::new().unwrap();
    let verdict = match attempt::<T>(call, &mut context) {
        Err(Failure::Inexpressible(reason)) => Err(format!("should say that it is n/a: {reason}")),
        Err(Failure::Refused(error)) => fits(bad, &error),
        Err(Failure::LeftTraces(what)) => Err(format!("was refused, but {what}")),
        Ok(()) => Err("was not refused".into()),
    };
    // The same context must serve the base call.
    context.set_workspace_limit(0).unwrap();
    match (verdict, attempt::<T>(base, &mut context)) {
        (Err(reason), _) => Verdict::Wrong(reason),
        (Ok(()), Err(failure)) => Verdict::Wrong(format!("its base fails: {failure:?}")),
        (Ok(()), Ok(())) => Verdict::Right,
    }
}

fn attempt<T: Real>(call: &Value, context: &mut Context) -> Result<(), Failure> {
    apply(&call["context"], context)?;
    let mut arrays = Arrays::<T>::new(members(&call["arrays"]))?;
    let result = match call["context"]["state"].is_string() {
        true => inside_another_call(&mut arrays, call, context),
        false => arrays.carry_out(call, context),
    };
    if let Err(Failure::Refused(error)) = &result {
        // An overflow is found while computing.
        let untouched = arrays.outputs.values().all(Buffer::is_untouched);
        if !untouched && error.code() != sys::SUBQUAD_ERR_OVERFLOW {
            return Err(Failure::LeftTraces("outputs were written"));
        }
        let before = Arrays::<T>::new(members(&call["arrays"]))?;
        let mut inputs = arrays.inputs.values().zip(before.inputs.values());
        if !inputs.all(|(after, before)| after.is_same(before)) {
            return Err(Failure::LeftTraces("inputs were written"));
        }
    }
    result.map(drop)
}

/// A call on a context that is in use: by one that reads the columns of a matrix, made by the function that writes them.
fn inside_another_call<T: Real>(
    arrays: &mut Arrays<T>,
    call: &Value,
    context: &Context,
) -> Outcome {
    let blocks = ColumnBlocks::<f64, Failure>::new(1, 2, |_columns, block| {
        arrays.carry_out(call, context)?;
        block.fill(1.0);
        Ok(())
    });
    let found = LeverageScores::new().context(context).run(&blocks)?;
    Ok(Some(found.report))
}

fn apply(settings: &Value, context: &mut Context) -> Result<(), Failure> {
    for (setting, value) in members(settings) {
        let unsigned = || {
            value
                .as_u64()
                .ok_or(Failure::Inexpressible("the number is unsigned"))
        };
        match setting.as_str() {
            "threads" => context.set_threads(unsigned()? as usize)?,
            "workspace_limit" => context.set_workspace_limit(unsigned()?)?,
            "simd_target" => context.set_simd_target(value.as_str())?,
            // What other states there are has a reason to be n/a.
            "state" => assert_eq!(value, "busy"),
            other => panic!("no setting {other}"),
        }
    }
    Ok(())
}

/// The code, the words and the index that the row asks for.
fn fits(bad: &Value, error: &Error) -> Result<(), String> {
    let words = bad["message_in"].get("rust").unwrap_or(&bad["message"]);
    let words = list(words).iter().map(|word| text(word).to_owned());
    let index = bad
        .get("index")
        .map_or(&[][..], |index| list(index))
        .iter()
        .map(Value::to_string);
    if error.name() != text(&bad["code"]) {
        return Err(format!("gives {error}, not {}", bad["code"]));
    }
    match words
        .chain(index)
        .find(|word| !contains_word(error.message(), word))
    {
        Some(word) => Err(format!("`{word}` is not in: {error}")),
        None => Ok(()),
    }
}

/// Whether a word occurs, in any case, with neither neighbour a letter, a digit or an underscore.
fn contains_word(message: &str, word: &str) -> bool {
    let (message, word) = (message.to_lowercase(), word.to_lowercase());
    let joins =
        |neighbour: Option<char>| neighbour.is_some_and(|c| c.is_alphanumeric() || c == '_');
    message.match_indices(&word).any(|(start, _)| {
        let (before, after) = (&message[..start], &message[start + word.len()..]);
        !joins(before.chars().next_back()) && !joins(after.chars().next())
    })
}

#[test]
fn words_are_whole() {
    assert!(contains_word("k has 7 columns", "7"));
    assert!(contains_word("LSE: NaN at [1, 4]", "nan"));
    assert!(!contains_word("77 columns, k_7", "7"));
    assert!(!contains_word("lag_bias", "lag"));
}
