//! Heads that are long enough to be approximated, held against exact attention.

use std::cell::RefCell;

use ndarray::{Array4, Axis, Ix4, s};
use subquad::{Attention, Head, Output, PlanOptions, sys};

use super::budget::{MISSES, chance_of_share, head_errors, method, method_worst};
use super::kinds::{D, KINDS, LONG, exact, kinds};
use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(
    errors_are_what_was_asked_for,
    a_plan_and_a_call_are_alike,
    other_values,
    budgets_are_kept,
    parts_are_those_allowed,
    grouped_heads_in_batches,
    weights_that_vanish_beside_later_ones,
);

fn run<T: Real>(problem: &Problem<T>, attention: &Attention<'_, T>) -> Output<T, Ix4> {
    attention.run(&problem.q, &problem.k, &problem.v).unwrap()
}

/// Counts heads whose errors are beyond the calibrated bound.
#[derive(Default)]
struct Calibration {
    heads: RefCell<Vec<bool>>,
}

impl Calibration {
    fn hold(&self, what: &str, errors: &[f64], tol: f64) {
        for (head, &error) in errors.iter().enumerate() {
            assert!(
                error <= method_worst(tol),
                "{what}, {}: {error}, not {tol}",
                KINDS[head % KINDS.len()]
            );
            self.heads.borrow_mut().push(error > method(tol));
        }
    }

    fn conclude(&self) {
        let heads = self.heads.borrow();
        let missed = heads.iter().filter(|&&missed| missed).count();
        let most = (MISSES * heads.len() as f64) as usize;
        assert!(missed <= most, "{missed} of {} heads", heads.len());
    }
}

fn assert_sound(head: &Head, tol: f64) {
    assert!(head.error <= tol, "{head:?}");
    assert!(head.error_low <= head.error && head.error <= head.error_high);
    assert_eq!(head.is_exact(), head.fallback.is_some(), "{head:?}");
    assert_eq!(
        head.window > 0,
        head.parts.starts_with("window"),
        "{head:?}"
    );
    assert_eq!(head.conv_bases > 0, head.parts.contains("conv"), "{head:?}");
    assert!(head.seconds_plan >= 0.0);
    assert!(head.seconds_apply.is_some_and(|seconds| seconds > 0.0));
}

fn errors_are_what_was_asked_for<T: Real>() {
    let calibration = Calibration::default();
    for seed in 0..3 {
        for causal in [true, false] {
            let mut problem = kinds::<T>(LONG, seed);
            problem.causal = causal;
            let exact = exact(&problem);
            for tol in [0.1, 0.05, 0.02] {
                let attention = problem.attention().tol(tol).seed(seed as i64);
                let output = run(&problem, &attention);
                calibration.hold(
                    &format!("causal {causal}"),
                    &head_errors(&output.o, &exact),
                    tol,
                );
                let heads = output.report.heads().unwrap();
                assert_eq!(heads.len(), KINDS.len());
                heads.iter().for_each(|head| assert_sound(head, tol));
                assert!(heads.iter().any(|head| !head.is_exact()), "{heads:?}");
            }
        }
    }
    calibration.conclude();
}

fn a_plan_and_a_call_are_alike<T: Real>() {
    let problem = kinds::<T>(LONG, 1).causal(None);
    let Problem { q, k, v, .. } = &problem;
    for estimate in [
        sys::SUBQUAD_ESTIMATE_SCREENED,
        sys::SUBQUAD_ESTIMATE_SAMPLED,
    ] {
        let attention = problem.attention().tol(0.1).estimate(estimate);
        let call = attention.run(q, k, v).unwrap();
        let plan = attention.plan(q, k, Some(v)).unwrap();
        let output = plan.apply(v, &PlanOptions::new()).unwrap();
        assert!(output.o == call.o && output.lse == call.lse);
        let named = attention.clone().method(sys::SUBQUAD_METHOD_AUTO);
        assert!(run(&problem, &named).o == call.o);
        let parts = |report: &subquad::Report| report.strings(sys::SUBQUAD_REPORT_PARTS).unwrap();
        assert_eq!(parts(&plan.report().unwrap()), parts(&call.report));
        let method = call.report.string(sys::SUBQUAD_REPORT_METHOD).unwrap();
        assert_eq!(method.to_lowercase(), "auto");
    }
}

/// A plan that was made for no values in particular serves all of them.
fn other_values<T: Real>() {
    let problem = kinds::<T>(LONG, 2).causal(None);
    let plan = problem
        .attention()
        .tol(0.1)
        .plan(&problem.q, &problem.k, None)
        .unwrap();
    let calibration = Calibration::default();
    for (stream, d_v) in [(70, 3), (71, 40), (72, 16), (73, 1)] {
        let mut problem = problem.clone();
        problem.v = uniform(ndarray::Dim([1, KINDS.len(), LONG, d_v]), stream);
        let output = plan.apply(&problem.v, &PlanOptions::new()).unwrap();
        calibration.hold("values", &head_errors(&output.o, &exact(&problem)), 0.1);
    }
    calibration.conclude();
}

/// How many pairs a choice computes is estimated on the sampled rows, as its error is.
fn budgets_are_kept<T: Real>() {
    let problem = kinds::<T>(LONG, 3).causal(None);
    let visible = (LONG * (LONG + 1) / 2) as f64;
    for (budget, share) in [
        (0.1, 0.1),
        (0.4, 0.4),
        (256.0, 256.0 * LONG as f64 / visible),
    ] {
        let output = run(&problem, &problem.attention().budget(budget));
        let sampled = output.report.int(sys::SUBQUAD_REPORT_SAMPLED_ROWS).unwrap();
        let most = visible * (share + chance_of_share(sampled as usize));
        for head in output.report.heads().unwrap() {
            let computed = (head.pairs_exact + head.pairs_low) as f64;
            assert!(head.is_exact() || computed <= most, "{budget}: {head:?}");
        }
    }
}

fn parts_are_those_allowed<T: Real>() {
    let problem = kinds::<T>(LONG, 4).causal(None);
    let all = [
        (sys::SUBQUAD_PART_HEAVY, "heavy"),
        (sys::SUBQUAD_PART_SELECTION, "selection"),
        (sys::SUBQUAD_PART_CENTROIDS, "centroids"),
        (sys::SUBQUAD_PART_CONV, "conv"),
        (sys::SUBQUAD_PART_SCREENING, "screened"),
    ];
    for allowed in [0, 1, 3, 5, 9, 15, 16, 31] {
        let output = run(&problem, &problem.attention().tol(0.1).parts(allowed));
        for head in output.report.heads().unwrap() {
            for part in head.parts.split('+') {
                let known = all.iter().find(|(_, name)| *name == part);
                let may = known.is_none_or(|(bit, _)| allowed & bit != 0);
                assert!(may, "{allowed}: {}", head.parts);
                let named = known.is_some() || ["window", "exact"].contains(&part);
                assert!(named, "{}", head.parts);
            }
        }
    }
}

/// Two batch elements, of which the second has padding; two query heads of a kind share each head of keys.
fn grouped_heads_in_batches<T: Real>() {
    let [one, two, other] = [5, 6, 7].map(|seed| kinds::<T>(LONG, seed));
    let batch = |a: &Array4<T>, b: &Array4<T>| {
        ndarray::concatenate(Axis(0), &[a.view(), b.view()]).unwrap()
    };
    let mut problem = one.clone();
    let shared = [batch(&one.q, &two.q), batch(&other.q, &one.q)];
    problem.q = ndarray::stack(Axis(2), &[shared[0].view(), shared[1].view()])
        .unwrap()
        .as_standard_layout()
        .into_owned()
        .into_shape_with_order((2, 2 * KINDS.len(), LONG, D))
        .unwrap();
    problem.k = batch(&one.k, &two.k);
    problem.v = batch(&one.v, &two.v);
    problem.key_ranges = Some(ndarray::array![[0, LONG as i64], [100, LONG as i64 - 77]]);
    let output = run(&problem, &problem.attention().tol(0.1));
    let calibration = Calibration::default();
    calibration.hold("batches", &head_errors(&output.o, &exact(&problem)), 0.1);
    calibration.conclude();
    assert_eq!(output.report.heads().unwrap().len(), 4 * KINDS.len());
}

/// The first keys' logits are so far below those of the others that exp cannot reach from one to the other.
fn weights_that_vanish_beside_later_ones<T: Real>() {
    let mut problem = Problem::<T>::new(Extents {
        d: D,
        d_v: 16,
        ..Extents::square(LONG)
    });
    problem.scale = Some(1.0);
    let small = |x: &Array4<T>| x.mapv(|x| T::of(0.1 * x.into()));
    (problem.q, problem.k) = (small(&problem.q), small(&problem.k));
    problem.q.slice_mut(s![.., .., .., 0]).fill(T::of(1.0));
    problem.k.slice_mut(s![.., .., 70.., 0]).fill(T::of(200.0));
    problem.v.mapv_inplace(|v| T::of(v.into() + 1.0));
    problem.v.slice_mut(s![.., .., ..70, ..]).fill(T::of(-9.0));
    for causal in [true, false] {
        problem.causal = causal;
        let output = run(&problem, &problem.attention().tol(0.1));
        let errors = head_errors(&output.o, &exact(&problem));
        assert!(errors[0] <= method(0.1), "{errors:?}");
        assert!(!output.report.heads().unwrap()[0].is_exact());
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_the_report_has_it() {
    let problem = kinds::<f32>(LONG, 7).causal(None);
    let of_seed = |seed| run(&problem, &problem.attention().tol(0.1).seed(seed));
    let seed = (1_i64 << 40) + 1;
    let (first, second) = (of_seed(seed), of_seed(seed));
    assert!(first.o == second.o);
    assert_eq!(first.report.int(sys::SUBQUAD_REPORT_SEED), Ok(seed));
}
