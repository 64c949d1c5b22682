//! What the reports of method auto say, in every form.

use ndarray::Array2;
use serde_json::Value;
use subquad::{Attention, PlanOptions, Report, sys};

use super::kinds::{KINDS, LONG, kinds};
use crate::problem::Problem;

const PER_HEAD: [(&str, i32); 6] = [
    ("pairs_exact", sys::SUBQUAD_REPORT_PAIRS_EXACT),
    ("pairs_low", sys::SUBQUAD_REPORT_PAIRS_LOW),
    ("pairs_screened", sys::SUBQUAD_REPORT_PAIRS_SCREENED),
    ("window", sys::SUBQUAD_REPORT_WINDOW),
    ("heavy_columns", sys::SUBQUAD_REPORT_HEAVY_COLUMNS),
    ("conv_bases", sys::SUBQUAD_REPORT_CONV_BASES),
];

fn assert_alike(report: &Report) {
    let heads = report.heads().unwrap();
    assert_eq!(heads.len(), KINDS.len());
    let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    let text = report.to_string();
    let floats = |key| report.floats(key).unwrap();
    let of = |value: fn(&subquad::Head) -> f64| heads.iter().map(value).collect::<Vec<_>>();
    assert_eq!(of(|head| head.error), floats(sys::SUBQUAD_REPORT_ERROR));
    assert_eq!(
        of(|head| head.error_low),
        floats(sys::SUBQUAD_REPORT_ERROR_LOW)
    );
    assert_eq!(
        of(|head| head.error_high),
        floats(sys::SUBQUAD_REPORT_ERROR_HIGH)
    );
    assert_eq!(
        of(|head| head.selected_keys),
        floats(sys::SUBQUAD_REPORT_SELECTED_KEYS)
    );
    assert_eq!(
        of(|head| head.seconds_plan),
        floats(sys::SUBQUAD_REPORT_HEAD_SECONDS_PLAN)
    );
    for (name, key) in PER_HEAD {
        let values = report.ints(key).unwrap();
        assert_eq!(json[name], Value::from(values.clone()), "{name}");
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        let shown = line.expect(name).rsplit("  ").next().unwrap().to_owned();
        let expected: Vec<_> = values.iter().map(i64::to_string).collect();
        assert_eq!(shown, expected.join(", "));
    }
    for (head, parts) in heads.iter().zip(json["parts"].as_array().unwrap()) {
        assert_eq!(*parts, *head.parts);
    }
    for (head, why) in heads.iter().zip(json["fallback"].as_array().unwrap()) {
        assert_eq!(*why, *head.fallback.as_deref().unwrap_or(""));
    }
}

#[test]
fn heads_json_and_text_hold_the_same() {
    let problem = kinds::<f32>(LONG, 0).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let plan = problem.attention().tol(0.1).plan(q, k, Some(v)).unwrap();
    let planned = plan.report().unwrap();
    assert_alike(&planned);
    for head in planned.heads().unwrap() {
        assert_eq!(head.seconds_apply, None);
        assert_eq!(head.missed_mass, None);
        assert_eq!(head.error_backward, None);
    }

    let options = PlanOptions::new();
    let output = plan.apply(v, &options).unwrap();
    assert_alike(&output.report);
    for (before, after) in planned
        .heads()
        .unwrap()
        .iter()
        .zip(output.report.heads().unwrap())
    {
        assert!(after.seconds_apply.is_some());
        assert!(
            after
                .missed_mass
                .is_some_and(|mass| (0.0..=1.0).contains(&mass))
        );
        assert_eq!(after.parts, before.parts);
        assert_eq!(after.error, before.error);
        assert_eq!(after.seconds_plan, before.seconds_plan);
    }

    let gradients = plan
        .backward(v, &output.o, &output.lse, v, &options)
        .unwrap();
    assert_alike(&gradients.report);
    let measured = gradients.report.heads().unwrap();
    assert!(measured.iter().all(|head| head.error_backward.is_some()));
    let sampled = planned.int(sys::SUBQUAD_REPORT_SAMPLED_ROWS).unwrap();
    assert!((1..LONG as i64).contains(&sampled));
}

#[test]
fn one_head_has_one_value_of_each() {
    let x = Array2::<f64>::ones((20, 3));
    let report = Attention::new().tol(0.1).run(&x, &x, &x).unwrap().report;
    let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["parts"], "exact");
    assert_eq!(json["pairs_exact"], 400);
    assert_eq!(report.heads().unwrap()[0].pairs_exact, 400);
    assert_eq!(report.length(sys::SUBQUAD_REPORT_ERROR), Ok(1));
}

#[test]
fn other_methods_say_nothing_of_heads() {
    let x = Array2::<f64>::ones((20, 3));
    let report = Attention::new().run(&x, &x, &x).unwrap().report;
    assert_eq!(report.heads(), Ok(Vec::new()));
}
