//! Refused calls: the code, and a text that names the argument and the value.

use ndarray::{Array1, Array2};
use subquad::{Context, LeverageScores, Sparsifier, SparsifierOptions, Sparsify, sys};

use super::find::{barriers, factor, leverage};
use super::matrices::{self, for_each_source};
use crate::errors::assert_refused;

fn x() -> Array2<f64> {
    matrices::dense(5, 60)
}

fn sparsifier() -> Sparsifier<f64> {
    leverage(12).run(&x()).unwrap().sparsifier
}

#[test]
fn none_or_both_of_columns_and_eps() {
    let (x, conflict) = (x(), sys::SUBQUAD_ERR_CONFLICT);
    let deterministic = Sparsify::new().method(sys::SUBQUAD_SPARSIFIER_DETERMINISTIC);
    for options in [
        Sparsify::new(),
        leverage(9).eps(0.5),
        deterministic,
        barriers(9).eps(0.5),
    ] {
        assert_refused(options.run(&x), conflict, &["columns", "eps"]);
    }
    assert_refused(factor().columns(9).run(&x), conflict, &["columns", "gram"]);
    assert_refused(factor().eps(0.5).run(&x), conflict, &["eps", "gram"]);
}

#[test]
fn options_out_of_bounds() {
    let x = x();
    let half = || Sparsify::new().eps(0.5);
    for (options, words) in [
        (Sparsify::new().columns(0), ["columns", "0"]),
        (
            Sparsify::new().columns(usize::MAX),
            ["columns", "9223372036854775807"],
        ),
        (Sparsify::new().eps(0.0), ["eps", "0"]),
        (Sparsify::new().eps(1.0), ["eps", "1"]),
        (Sparsify::new().eps(-0.25), ["eps", "-0.25"]),
        (Sparsify::new().eps(f64::NAN), ["eps", "nan"]),
        (half().delta(0.0), ["delta", "0"]),
        (half().delta(0.75), ["delta", "0.75"]),
        (half().delta(f64::NAN), ["delta", "nan"]),
        (half().seed(-1), ["seed", "-1"]),
        (half().method(77), ["method", "77"]),
        (half().certify(9), ["certify", "9"]),
        (half().threads(5000), ["threads", "5000"]),
    ] {
        assert_refused(options.run(&x), sys::SUBQUAD_ERR_VALUE, &words);
    }
    let scores = LeverageScores::new();
    for (options, words) in [
        (scores.clone().scores(0), ["scores", "0"]),
        (scores.clone().delta(1.0), ["delta", "1"]),
        (scores.clone().seed(-5), ["seed", "-5"]),
    ] {
        assert_refused(options.run(&x), sys::SUBQUAD_ERR_VALUE, &words);
    }
    let unknown = scores.set_int(999, 1).run(&x);
    assert_refused(unknown, sys::SUBQUAD_ERR_UNKNOWN, &["999"]);
}

/// The library's names of these options have a prefix, which no user of this crate has seen.
#[test]
fn options_go_by_the_names_of_their_builders() {
    let results = [
        Sparsify::new().run(&x()).map(drop),
        Sparsify::new().columns(0).run(&x()).map(drop),
        barriers(5).run(&x()).map(drop),
        LeverageScores::new().scores(9).run(&x()).map(drop),
    ];
    for error in results.map(Result::unwrap_err) {
        assert!(!error.message().contains("sparsify_"), "{error}");
    }
}

#[test]
fn too_few_columns_for_barriers() {
    for columns in [1, 4, 5] {
        let words = ["columns", &columns.to_string(), "rank", "5"];
        assert_refused(barriers(columns).run(&x()), sys::SUBQUAD_ERR_VALUE, &words);
    }
    assert!(barriers(6).run(&x()).is_ok());
}

#[test]
fn entries_that_are_not_finite() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut x = x();
        x[[3, 7]] = bad;
        x[[4, 50]] = bad;
        for_each_source!(x, |name, source| {
            let results = [
                leverage(9).run(source).map(drop),
                barriers(9).run(source).map(drop),
                factor().run(source).map(drop),
                LeverageScores::new().run(source).map(drop),
            ];
            for result in results {
                let error = result.expect_err(name);
                assert_eq!(error.code(), sys::SUBQUAD_ERR_NONFINITE, "{name}: {error}");
                // Row by row the first is the same one.
                assert!(error.message().contains("3, 7"), "{name}: {error}");
            }
        });
    }
    let (good, mut bad) = (x(), matrices::dense::<f64>(3, 60));
    bad[[1, 20]] = f64::NAN;
    let nonfinite = sys::SUBQUAD_ERR_NONFINITE;
    assert_refused(
        leverage(9).run_pair(&bad, &good),
        nonfinite,
        &["q", "1, 20"],
    );
    assert_refused(
        leverage(9).run_pair(&good, &bad),
        nonfinite,
        &["k", "1, 20"],
    );
}

#[test]
fn rows_that_overflow() {
    let mut x = x();
    x[[2, 9]] = 1e200;
    let overflow = sys::SUBQUAD_ERR_OVERFLOW;
    assert_refused(leverage(9).run(&x), overflow, &["x", "2"]);
    assert_refused(LeverageScores::new().run(&x), overflow, &["x", "2"]);
}

#[test]
fn pairs_that_do_not_fit_together() {
    let (q, k) = (x(), matrices::dense::<f64>(5, 61));
    assert_refused(
        leverage(9).run_pair(&q, &k),
        sys::SUBQUAD_ERR_SHAPE,
        &["k", "61", "60"],
    );
}

#[test]
fn a_workspace_limit_is_kept() {
    let x = matrices::dense::<f64>(30, 2000);
    let mut context = Context::new().unwrap();
    context.set_workspace_limit(1).unwrap();
    for find in [leverage(60), barriers(60), factor()] {
        let result = find.context(&context).run(&x);
        assert_refused(result, sys::SUBQUAD_ERR_WORKSPACE, &["1"]);
    }
    let scores = LeverageScores::new().context(&context);
    assert_refused(scores.run(&x), sys::SUBQUAD_ERR_WORKSPACE, &["1"]);
    context.set_workspace_limit(0).unwrap();
    assert!(leverage(60).context(&context).run(&x).is_ok());
}

#[test]
fn scales_that_are_not_finite() {
    let sparsifier = sparsifier();
    for scale in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_refused(
            sparsifier.ratio_bound(scale),
            sys::SUBQUAD_ERR_VALUE,
            &["scale"],
        );
    }
    let options = SparsifierOptions::new().scale(f64::NAN);
    let result = sparsifier.attention(&Array2::ones((5, 2)), &options);
    assert_refused(result, sys::SUBQUAD_ERR_VALUE, &["scale", "nan"]);
}

#[test]
fn values_and_outputs_that_do_not_fit() {
    let (sparsifier, options, shape) = (
        sparsifier(),
        SparsifierOptions::new(),
        sys::SUBQUAD_ERR_SHAPE,
    );
    let mut v = Array2::<f64>::ones((6, 2));
    assert_refused(sparsifier.attention(&v, &options), shape, &["v", "6", "5"]);
    let mut o = Array2::from_elem((5, 3), 7.0);
    let result = sparsifier.attention_into(&Array2::ones((5, 2)), &mut o, None, &options);
    assert_refused(result, shape, &["o", "3", "2"]);
    assert_refused(sparsifier.y_into(&mut o), shape, &["y", "3", "12"]);
    assert!(o.iter().all(|&entry| entry == 7.0));
    let mut scores = Array1::from_elem(59, 7.0);
    let result = LeverageScores::new().run_into(&x(), &mut scores);
    assert_refused(result, shape, &["scores", "59", "60"]);
    assert!(scores.iter().all(|&tau| tau == 7.0));
    v[[5, 1]] = f64::NAN;
    let v = v.slice(ndarray::s![1.., ..]);
    let result = sparsifier.attention(&v, &options);
    assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["v", "4, 1"]);
    let (q, k) = (matrices::dense::<f64>(2, 60), matrices::dense::<f64>(5, 60));
    let pair = leverage(12).run_pair(&q, &k).unwrap().sparsifier;
    let result = pair.attention(&Array2::ones((5, 2)), &options.clone().causal(true));
    assert_refused(result, sys::SUBQUAD_ERR_CONFLICT, &["causal_offset"]);
    assert_refused(
        pair.attention(&Array2::ones((2, 2)), &options),
        shape,
        &["v", "2", "5"],
    );
}

#[test]
fn matrices_that_were_not_sparsified() {
    let (alone, options) = (sparsifier(), SparsifierOptions::new());
    let (q, k) = (matrices::dense::<f64>(2, 60), matrices::dense::<f64>(3, 60));
    let pair = leverage(12).run_pair(&q, &k).unwrap().sparsifier;
    let (shape, conflict) = (sys::SUBQUAD_ERR_SHAPE, sys::SUBQUAD_ERR_CONFLICT);
    assert_refused(alone.softmax_error(&q, &options), shape, &["x", "2", "5"]);
    assert_refused(
        pair.softmax_error_pair(&k, &q, &options),
        shape,
        &["3", "2"],
    );
    assert_refused(pair.softmax_error(&x(), &options), conflict, &["k"]);
    assert_refused(alone.softmax_error_pair(&q, &k, &options), conflict, &["k"]);
}

/// Without the check, finite input gives the same bits.
#[test]
fn unchecked_input() {
    let x = x();
    let unchecked = leverage(12).check_finite(false).run(&x).unwrap().sparsifier;
    assert_eq!(unchecked.y(), sparsifier().y());
}
