//! Leverage scores.

use ndarray::{Array1, Array2, s};
use subquad::{LeverageScores, sys};

use super::budget::{chance, roundoff_whitened};
use super::matrices::{self, for_each_source};
use super::oracle::{Whitened, whiten};
use crate::problem::Real;

in_both_precisions!(
    exact_scores,
    scores_of_any_storage,
    sketched_scores_are_within_their_factor,
    the_same_seed_gives_the_same_sketch,
    scores_into_a_strided_array,
);

fn exact() -> LeverageScores<'static> {
    LeverageScores::new().scores(sys::SUBQUAD_SCORE_EXACT)
}

fn assert_exact<T: Real>(name: &str, actual: &Array1<f64>, whitened: &Whitened, rows: usize) {
    let relative = roundoff_whitened::<T>(whitened, rows);
    assert!(relative < 1.0, "{name}: the budget says nothing");
    for (j, (actual, expected)) in actual.iter().zip(whitened.scores()).enumerate() {
        // Next to a column's own error, that of the columns of norm 1 in whitened space: rounding to zero is relative to those.
        let budget = relative * (expected + crate::budget::unit::<T>());
        assert!(
            (actual - expected).abs() <= budget,
            "{name}: score {j} is {actual:e}, not {expected:e} within {budget:e}"
        );
    }
    assert_eq!(actual.len(), whitened.basis.ncols(), "{name}");
    let (sum, rank) = (actual.sum(), whitened.rank() as f64);
    assert!(
        (sum - rank).abs() <= relative * rank,
        "{name}: {sum} of rank {rank}"
    );
}

fn exact_scores<T: Real>() {
    for (name, x) in [
        ("dense", matrices::dense::<T>(7, 90)),
        ("one row", matrices::dense(1, 50)),
        ("one column", matrices::dense(6, 1)),
        ("narrow", matrices::dense(9, 4)),
        ("square", matrices::dense(5, 5)),
        ("skewed", matrices::skewed(6, 200)),
        ("sparse", matrices::sparse(8, 150)),
        ("near duplicates", matrices::near_duplicates(5, 60)),
        ("rank-deficient", matrices::deficient(8, 70, 3)),
        ("wide", matrices::dense(3, 5000)),
    ] {
        let whitened = whiten(&x);
        let found = exact().run(&x).unwrap();
        assert_exact::<T>(name, &found.scores, &whitened, x.nrows());
        let report = &found.report;
        let rank = report.int(sys::SUBQUAD_REPORT_RANK);
        assert_eq!(rank, Ok(whitened.rank() as i64), "{name}");
        let kind = report.string(sys::SUBQUAD_REPORT_SCORES).unwrap();
        assert_eq!(kind.to_lowercase(), "exact", "{name}");
    }
}

fn scores_of_any_storage<T: Real>() {
    let x = matrices::sparse::<T>(6, 83);
    let whitened = whiten(&x);
    for_each_source!(x, |name, source| {
        let found = exact().run(source).unwrap();
        assert_exact::<T>(name, &found.scores, &whitened, 6);
    });
}

fn sketched_scores_are_within_their_factor<T: Real>() {
    let trials = 8;
    let x = matrices::skewed::<T>(5, 3000);
    let expected = whiten(&x).scores();
    for seed in 0..trials {
        let sketched = LeverageScores::new()
            .scores(sys::SUBQUAD_SCORE_SKETCH)
            .delta(chance(trials as usize))
            .seed(seed)
            .run(&x)
            .unwrap();
        let report = &sketched.report;
        let kind = report.string(sys::SUBQUAD_REPORT_SCORES).unwrap();
        assert_eq!(kind.to_lowercase(), "sketch");
        let factor = report.float(sys::SUBQUAD_REPORT_SCORE_FACTOR).unwrap();
        assert!(factor >= 1.0 && factor.is_finite(), "{factor}");
        for (j, (score, expected)) in sketched.scores.iter().zip(&expected).enumerate() {
            let within = *score <= factor * expected && *expected <= factor * score;
            assert!(
                within,
                "score {j} is {score}, not {expected} within a factor {factor}"
            );
        }
    }
}

fn the_same_seed_gives_the_same_sketch<T: Real>() {
    let x = matrices::dense::<T>(6, 4000);
    let sketch = |seed| {
        let scores = LeverageScores::new()
            .scores(sys::SUBQUAD_SCORE_SKETCH)
            .seed(seed);
        scores.run(&x).unwrap().scores
    };
    assert_eq!(sketch(3), sketch(3));
    assert_ne!(sketch(3), sketch(4));
}

fn scores_into_a_strided_array<T: Real>() {
    let x: Array2<T> = matrices::dense(4, 30);
    let expected = exact().run(&x).unwrap().scores;
    let mut wide = Array1::from_elem(61, -7.0);
    let report = exact().run_into(&x, &mut wide.slice_mut(s![1..;2]).slice_mut(s![..;-1]));
    assert_eq!(report.unwrap().int(sys::SUBQUAD_REPORT_RANK), Ok(4));
    assert_eq!(wide.slice(s![1..;2]).slice(s![..;-1]), expected);
    assert!(wide.slice(s![..;2]).iter().all(|&gap| gap == -7.0));
}

/// Scores do not see how rows are combined, so a condition of 1e10 costs ten digits, not twenty.
#[test]
fn scores_of_ill_conditioned_rows() {
    let x = matrices::ill_conditioned(6, 80, 1e10);
    let whitened = whiten(&x);
    assert_eq!(whitened.rank(), 6);
    assert!(whitened.condition > 1e9);
    let found = exact().run(&x).unwrap();
    assert_exact::<f64>("condition 1e10", &found.scores, &whitened, 6);
    let condition = found.report.float(sys::SUBQUAD_REPORT_CONDITION).unwrap();
    // The norms that are easily had are within a factor n of the spectral one.
    let ratio = condition / whitened.condition;
    assert!(
        (1.0 / 6.0..=6.0).contains(&ratio),
        "{condition:e} is off by {ratio}"
    );
}
