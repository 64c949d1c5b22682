//! Sparsifiers by every method: what they are made of, and whether the certificate is true.

use ndarray::{Array2, Axis};
use subquad::{Sparsified, Sparsify, sys};

use super::budget::{
    chance, method_barriers, roundoff_epsilon, roundoff_whitened, roundoff_whitening,
};
use super::matrices;
use super::oracle::{Whitened, gram, whiten};
use crate::budget::unit;
use crate::problem::Real;

in_both_precisions!(
    leverage_with_columns,
    leverage_with_eps,
    leverage_weights_follow_the_scores,
    seeds_choose_different_columns,
    barriers_with_columns,
    barriers_with_eps,
    gram_factors,
    estimates_are_from_below,
    without_a_certificate,
);

pub fn leverage(columns: usize) -> Sparsify<'static> {
    Sparsify::new()
        .columns(columns)
        .certify(sys::SUBQUAD_CERTIFICATE_EXACT)
}

pub fn barriers(columns: usize) -> Sparsify<'static> {
    leverage(columns).method(sys::SUBQUAD_SPARSIFIER_DETERMINISTIC)
}

pub fn factor() -> Sparsify<'static> {
    Sparsify::new()
        .method(sys::SUBQUAD_SPARSIFIER_GRAM)
        .certify(sys::SUBQUAD_CERTIFICATE_EXACT)
}

/// Distinct columns of x in order, with positive weights, that make up y; and a certificate that is what it says.
pub fn assert_sparsifies<T: Real>(
    name: &str,
    found: &Sparsified<T>,
    x: &Array2<T>,
    whitened: &Whitened,
) -> f64 {
    let sparsifier = &found.sparsifier;
    let (indices, weights) = (sparsifier.indices().unwrap(), sparsifier.weights().unwrap());
    assert_eq!(
        (sparsifier.rows(), sparsifier.width()),
        (x.nrows(), indices.len()),
        "{name}"
    );
    assert!(indices.is_sorted_by(|a, b| a < b), "{name}: {indices:?}");
    assert!(
        weights.iter().all(|&w| w > 0.0 && w.is_finite()),
        "{name}: {weights}"
    );
    let y = sparsifier.y().unwrap();
    assert_eq!(y.dim(), (x.nrows(), indices.len()), "{name}");
    for (((i, j), &actual), weight) in y.indexed_iter().zip(weights.iter().cycle()) {
        // A square root, a product, and the result's rounding.
        let expected = weight.sqrt() * x[[i, indices[j]]].into();
        let budget = 3.0 * unit::<T>() * expected.abs();
        assert!(
            (actual.into() - expected).abs() <= budget,
            "{name}: y[{i}, {j}] is {actual}"
        );
    }
    assert_eq!(
        sparsifier.certificate(),
        sys::SUBQUAD_CERTIFICATE_EXACT,
        "{name}"
    );
    let (epsilon, expected) = (
        sparsifier.epsilon().unwrap(),
        whitened.epsilon(&indices, &weights),
    );
    let budget = roundoff_epsilon::<T>(whitened, x.nrows(), expected);
    assert!(
        (epsilon - expected).abs() <= budget,
        "{name}: the certificate is {epsilon}, not {expected} within {budget:e}"
    );
    assert_reported(name, found, whitened);
    epsilon
}

fn assert_reported<T: Real>(name: &str, found: &Sparsified<T>, whitened: &Whitened) {
    let (sparsifier, report) = (&found.sparsifier, &found.report);
    let int = |key| report.int(key).unwrap();
    assert_eq!(
        int(sys::SUBQUAD_REPORT_RANK),
        whitened.rank() as i64,
        "{name}"
    );
    assert_eq!(
        int(sys::SUBQUAD_REPORT_WIDTH),
        sparsifier.width() as i64,
        "{name}"
    );
    let epsilon = report.float(sys::SUBQUAD_REPORT_EPSILON);
    assert_eq!(epsilon.ok(), sparsifier.epsilon(), "{name}");
    let certificate = report.string(sys::SUBQUAD_REPORT_CERTIFICATE).unwrap();
    assert_eq!(certificate.to_lowercase(), "exact", "{name}");
}

fn many<T: Real>() -> Vec<(&'static str, Array2<T>)> {
    vec![
        ("dense", matrices::dense(6, 300)),
        ("one row", matrices::dense(1, 80)),
        ("skewed", matrices::skewed(5, 400)),
        ("sparse", matrices::sparse(7, 350)),
        ("near duplicates", matrices::near_duplicates(4, 200)),
        ("rank-deficient", matrices::deficient(7, 250, 3)),
    ]
}

fn leverage_with_columns<T: Real>() {
    for (name, x) in many::<T>() {
        let whitened = whiten(&x);
        for columns in [1, 2, 20, 61] {
            let found = leverage(columns).run(&x).unwrap();
            let epsilon = assert_sparsifies(name, &found, &x, &whitened);
            assert_eq!(found.sparsifier.width(), columns, "{name}");
            assert_eq!(found.sparsifier.method(), sys::SUBQUAD_SPARSIFIER_LEVERAGE);
            // Fewer columns than the rank miss a direction altogether.
            let roundoff = roundoff_whitened::<T>(&whitened, x.nrows());
            assert!(
                columns >= whitened.rank() || epsilon >= 1.0 - roundoff,
                "{name}: {epsilon}"
            );
        }
    }
}

fn leverage_with_eps<T: Real>() {
    let trials = 10;
    let x = matrices::dense::<T>(2, 20_000);
    let whitened = whiten(&x);
    for seed in 0..trials {
        let found = Sparsify::new()
            .eps(0.5)
            .delta(chance(trials as usize))
            .seed(seed)
            .certify(sys::SUBQUAD_CERTIFICATE_EXACT)
            .run(&x)
            .unwrap();
        let epsilon = assert_sparsifies("eps 0.5", &found, &x, &whitened);
        assert!(epsilon <= 0.5, "seed {seed}: {epsilon}");
        assert!(found.sparsifier.width() < 20_000, "all columns were kept");
        let bound = found
            .report
            .float(sys::SUBQUAD_REPORT_EPSILON_BOUND)
            .unwrap();
        assert!(bound <= 0.5, "{bound} was promised");
    }
}

/// Weights are `1 / (1 - exp(-T tau))` for one T.
fn leverage_weights_follow_the_scores<T: Real>() {
    let x = matrices::skewed::<T>(4, 300);
    let whitened = whiten(&x);
    let scores = whitened.scores();
    let found = leverage(40).run(&x).unwrap();
    let kind = found.report.string(sys::SUBQUAD_REPORT_SCORES).unwrap();
    assert_eq!(
        kind.to_lowercase(),
        "exact",
        "a small matrix is not worth a sketch"
    );
    let (indices, weights) = (
        found.sparsifier.indices().unwrap(),
        found.sparsifier.weights().unwrap(),
    );
    // The T of each column, and how much of its digits 1 / weight has left.
    let of_column = |(&j, &weight): (&usize, &f64)| {
        let probability: f64 = 1.0 / weight;
        let rate = -(-probability).ln_1p();
        let roundoff = 4.0 * f64::UNIT * probability / ((1.0 - probability) * rate);
        (rate / scores[j], roundoff)
    };
    let rates = indices.iter().zip(&weights).map(of_column);
    let rates: Vec<_> = rates
        .filter(|(rate, roundoff)| rate.is_finite() && *roundoff < 1.0)
        .collect();
    assert!(rates.len() > 20, "{weights}");
    let (first, its_own) = rates[0];
    let relative = roundoff_whitened::<T>(&whitened, 4);
    for &(rate, roundoff) in &rates {
        let budget = (2.0 * relative + roundoff + its_own) * first;
        assert!(
            (rate - first).abs() <= budget,
            "{rate} and {first} differ by more than {budget:e}"
        );
    }
}

fn seeds_choose_different_columns<T: Real>() {
    let x = matrices::dense::<T>(5, 500);
    let choose = |seed| {
        let found = leverage(30).seed(seed).run(&x).unwrap();
        (
            found.sparsifier.indices().unwrap(),
            found.sparsifier.weights().unwrap(),
        )
    };
    assert_eq!(choose(1), choose(1));
    assert_ne!(choose(1).0, choose(2).0);
}

fn assert_barriers<T: Real>(name: &str, x: &Array2<T>, columns: usize) {
    let whitened = whiten(x);
    let found = barriers(columns).run(x).unwrap();
    let epsilon = assert_sparsifies(name, &found, x, &whitened);
    assert_eq!(
        found.sparsifier.method(),
        sys::SUBQUAD_SPARSIFIER_DETERMINISTIC
    );
    assert!(found.sparsifier.width() <= columns, "{name}");
    let steps = found.report.int(sys::SUBQUAD_REPORT_STEPS).unwrap() as usize;
    assert!(
        (whitened.rank()..=columns).contains(&steps),
        "{name}: {steps} steps"
    );
    let roundoff = roundoff_epsilon::<T>(&whitened, x.nrows(), epsilon);
    let bound = method_barriers(columns, whitened.rank());
    assert!(
        epsilon <= bound + roundoff,
        "{name}, {columns} columns: {epsilon} above {bound}"
    );
    let promised = found
        .report
        .float(sys::SUBQUAD_REPORT_EPSILON_BOUND)
        .unwrap();
    let own = found
        .report
        .float(sys::SUBQUAD_REPORT_EPSILON_BARRIERS)
        .unwrap();
    assert!(own <= promised + roundoff, "{name}: {own} above {promised}");
    assert!(
        epsilon <= own + roundoff,
        "{name}: {epsilon} was better before, {own}"
    );
}

fn barriers_with_columns<T: Real>() {
    for (name, x) in many::<T>() {
        let rank = whiten(&x).rank();
        for columns in [rank + 1, 2 * rank, 4 * rank, 9 * rank] {
            assert_barriers(name, &x, columns);
        }
    }
}

/// Through the Gram matrix nothing would be left of them.
#[test]
fn barriers_of_ill_conditioned_rows() {
    for condition in [1e6, 1e10] {
        let x = matrices::ill_conditioned(5, 300, condition);
        assert_barriers(&format!("condition {condition:e}"), &x, 45);
    }
}

fn barriers_with_eps<T: Real>() {
    for (name, x) in many::<T>() {
        let whitened = whiten(&x);
        for eps in [0.55, 0.8] {
            let found = Sparsify::new()
                .method(sys::SUBQUAD_SPARSIFIER_DETERMINISTIC)
                .eps(eps)
                .certify(sys::SUBQUAD_CERTIFICATE_EXACT)
                .run(&x)
                .unwrap();
            let epsilon = assert_sparsifies(name, &found, &x, &whitened);
            let roundoff = roundoff_epsilon::<T>(&whitened, x.nrows(), epsilon);
            assert!(epsilon <= eps + roundoff, "{name}: {epsilon} above {eps}");
            // The least c with 2 sqrt(c) / (c + 1) = eps, and a step to make it whole.
            let root = (1.0 + (1.0 - eps * eps).sqrt()) / eps;
            let steps = (root * root * whitened.rank() as f64).ceil() + 1.0;
            assert!(found.sparsifier.width() as f64 <= steps, "{name}");
        }
    }
}

fn gram_factors<T: Real>() {
    for (name, x) in many::<T>() {
        let whitened = whiten(&x);
        let found = factor().run(&x).unwrap();
        let sparsifier = &found.sparsifier;
        assert_eq!(sparsifier.method(), sys::SUBQUAD_SPARSIFIER_GRAM, "{name}");
        assert_eq!(sparsifier.width(), whitened.rank(), "{name}");
        for refused in [sparsifier.indices().err(), sparsifier.weights().err()] {
            assert_eq!(refused.unwrap().code(), sys::SUBQUAD_ERR_UNSET, "{name}");
        }
        assert_reported(name, &found, &whitened);
        let relative = roundoff_epsilon::<T>(&whitened, x.nrows(), 0.0);
        assert!(
            sparsifier.epsilon().unwrap() <= relative,
            "{name}: {:?}",
            sparsifier.epsilon()
        );
        // Row by row its error is the reflections' own, whatever the condition.
        let backward = roundoff_whitening::<T>(&whitened, x.nrows()) / whitened.condition;
        let (exact, own) = (gram(&x), gram(&sparsifier.y().unwrap()));
        for ((i, j), &expected) in exact.indexed_iter() {
            let size = (exact[[i, i]] * exact[[j, j]]).sqrt();
            let budget = (2.0 + backward) * backward * size;
            assert!(
                (own[[i, j]] - expected).abs() <= budget,
                "{name}: [{i}, {j}] is {}, not {expected} within {budget:e}",
                own[[i, j]]
            );
        }
    }
}

/// Sparse storage, where a sketch is cheaper than an exact whitening; the exact value of small matrices costs nothing, and is given instead.
fn estimates_are_from_below<T: Real>() {
    let mut estimated = 0;
    let wide = ("wide", matrices::scattered(16, 6000));
    for (name, x) in many::<T>().into_iter().chain([wide]) {
        let whitened = whiten(&x);
        let found = leverage(150)
            .certify(sys::SUBQUAD_CERTIFICATE_ESTIMATE)
            .run(&x)
            .unwrap();
        let sparsifier = &found.sparsifier;
        let (indices, weights) = (sparsifier.indices().unwrap(), sparsifier.weights().unwrap());
        let exact = whitened.epsilon(&indices, &weights);
        let budget = roundoff_epsilon::<T>(&whitened, x.nrows(), exact);
        let epsilon = sparsifier.epsilon().unwrap();
        assert!(
            (0.0..=exact + budget).contains(&epsilon),
            "{name}: {epsilon} is no lower estimate of {exact}"
        );
        let kind = found.report.string(sys::SUBQUAD_REPORT_CERTIFICATE);
        match sparsifier.certificate() {
            sys::SUBQUAD_CERTIFICATE_ESTIMATE => {
                assert_eq!(kind.unwrap().to_lowercase(), "estimate", "{name}");
                estimated += 1;
            }
            certificate => {
                assert_eq!(certificate, sys::SUBQUAD_CERTIFICATE_EXACT, "{name}");
                assert_eq!(kind.unwrap().to_lowercase(), "exact", "{name}");
                assert!((epsilon - exact).abs() <= budget, "{name}: {epsilon}");
            }
        }
    }
    assert!(estimated > 0, "all were exact");
}

fn without_a_certificate<T: Real>() {
    let x = matrices::dense::<T>(5, 200);
    let found = leverage(30)
        .certify(sys::SUBQUAD_CERTIFICATE_NONE)
        .run(&x)
        .unwrap();
    let sparsifier = &found.sparsifier;
    assert_eq!(sparsifier.certificate(), sys::SUBQUAD_CERTIFICATE_NONE);
    assert_eq!(sparsifier.epsilon(), None);
    assert_eq!(found.report.length(sys::SUBQUAD_REPORT_EPSILON), Ok(0));
    let refused = sparsifier.ratio_bound(1.0).unwrap_err();
    assert_eq!(refused.code(), sys::SUBQUAD_ERR_UNSET);
    // It is known all the same.
    let squares = gram(&x).diag().fold(0.0_f64, |top, &x| top.max(x));
    assert!((sparsifier.radius() - squares).abs() <= 204.0 * unit::<T>() * squares);
}

/// Certificates that can be worked out by hand: unit columns, each with its weight.
#[test]
fn planted_certificates() {
    let x = ndarray::concatenate![Axis(1), Array2::<f64>::eye(4), Array2::eye(4) * 2.0];
    let whitened = whiten(&x);
    // Each unit vector is 1/5 of its direction, each of length 2 is 4/5.
    let scores = ndarray::array![0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8];
    assert!(
        (whitened.scores() - scores)
            .iter()
            .all(|error| error.abs() <= 8.0 * f64::UNIT)
    );
    for seed in 0..20 {
        let found = leverage(5).seed(seed).run(&x).unwrap();
        let epsilon = assert_sparsifies("planted", &found, &x, &whitened);
        let mut kept = [0.0; 4];
        let (indices, weights) = (
            found.sparsifier.indices().unwrap(),
            found.sparsifier.weights().unwrap(),
        );
        for (&j, weight) in indices.iter().zip(&weights) {
            kept[j % 4] += weight * if j < 4 { 0.2 } else { 0.8 };
        }
        let planted = kept
            .iter()
            .map(|kept| (kept - 1.0).abs())
            .fold(0.0, f64::max);
        let budget = roundoff_epsilon::<f64>(&whitened, 4, planted);
        assert!(
            (epsilon - planted).abs() <= budget,
            "{epsilon}, not {planted}"
        );
    }
}
