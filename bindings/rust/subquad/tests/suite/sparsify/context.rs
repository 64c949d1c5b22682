//! Threads, sharing, cancelling, and panics of progress callbacks.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use ndarray::{Array2, Dim};
use subquad::{Context, LeverageScores, Sparsifier, SparsifierOptions, Sparsify, sys};

use super::find::{barriers, factor, leverage};
use super::matrices;
use crate::problem::{Real, uniform};

in_both_precisions!(
    same_bits_for_any_number_of_threads,
    same_columns_for_any_number_of_threads,
    threads_share_a_sparsifier,
);

fn same_bits_for_any_number_of_threads<T: Real>() {
    let x = matrices::sparse::<T>(24, 9000);
    let (v, options) = (
        uniform::<T, _>(Dim([24, 7]), 83),
        SparsifierOptions::new().scale(0.1),
    );
    let sparsifier = leverage(300).run(&x).unwrap().sparsifier;
    let run = |threads| {
        let scores = [sys::SUBQUAD_SCORE_EXACT, sys::SUBQUAD_SCORE_SKETCH].map(|method| {
            let scores = LeverageScores::new().scores(method).threads(threads);
            scores.run(&x).unwrap().scores
        });
        let attention = sparsifier
            .attention(&v, &options.clone().threads(threads))
            .unwrap();
        (scores, attention.o, attention.lse)
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == alone, "{threads} threads differ from one");
    }
}

fn same_columns_for_any_number_of_threads<T: Real>() {
    let x = matrices::skewed::<T>(16, 5000);
    for find in [
        leverage(200),
        barriers(100),
        Sparsify::new().eps(0.9).seed(5),
    ] {
        let run = |threads| {
            let sparsifier = find.clone().threads(threads).run(&x).unwrap().sparsifier;
            (sparsifier.indices(), sparsifier.weights(), sparsifier.y())
        };
        let alone = run(1);
        for threads in [2, 5] {
            assert!(run(threads) == alone, "{threads} threads differ from one");
        }
    }
}

fn threads_share_a_sparsifier<T: Real>() {
    let x = matrices::dense::<T>(12, 400);
    let v: Array2<T> = uniform(Dim([12, 4]), 83);
    let sparsifier = barriers(60).run(&x).unwrap().sparsifier;
    let expected = sparsifier
        .attention(&v, &SparsifierOptions::new())
        .unwrap()
        .o;
    thread::scope(|scope| {
        for worker in 0..6 {
            let context = (worker % 2 == 0).then(|| Context::new().unwrap());
            let (sparsifier, v, expected) = (&sparsifier, &v, &expected);
            scope.spawn(move || {
                let mut options = SparsifierOptions::new();
                if let Some(context) = &context {
                    options = options.context(context);
                }
                for _ in 0..20 {
                    assert!(sparsifier.attention(v, &options).unwrap().o == *expected);
                }
            });
        }
    });
    // The last of several owners may be another thread than the one that made it.
    let shared = std::sync::Arc::new(sparsifier);
    let other = std::sync::Arc::clone(&shared);
    drop(shared);
    thread::spawn(move || drop(other)).join().unwrap();
}

fn cancelling() -> Context {
    let mut context = Context::new().unwrap();
    context.set_progress(|_| ControlFlow::Break(())).unwrap();
    context
}

/// How long a call takes depends on the machine: twice the columns until the callback is asked.
fn assert_cancelled(call: impl Fn(&Array2<f32>) -> subquad::Result<()>) {
    let mut columns = 1 << 12;
    loop {
        match call(&uniform(Dim([48, columns]), 84)) {
            Err(error) => return assert_eq!(error.code(), sys::SUBQUAD_ERR_CANCELLED, "{error}"),
            Ok(()) => columns *= 2,
        }
    }
}

#[test]
fn a_callback_can_cancel() {
    let context = cancelling();
    for find in [leverage(100), barriers(200), factor()] {
        let find = find.context(&context);
        assert_cancelled(|x| find.run(x).map(drop));
        assert_cancelled(|x| find.run(&matrices::blocks(x, 0)).map(drop));
    }
    for method in [sys::SUBQUAD_SCORE_EXACT, sys::SUBQUAD_SCORE_SKETCH] {
        let scores = LeverageScores::new().scores(method).context(&context);
        assert_cancelled(|x| scores.run(x).map(drop));
    }
    assert_cancelled(|x| {
        leverage(100)
            .context(&context)
            .run(&matrices::csc::<_, i32>(x))
            .map(drop)
    });
}

#[test]
fn a_panic_in_a_callback_goes_on_from_the_call() {
    let mut context = Context::new().unwrap();
    context
        .set_progress(|fraction| panic!("seen at {fraction}"))
        .unwrap();
    let mut columns = 1 << 12;
    let panic = loop {
        let x: Array2<f32> = uniform(Dim([48, columns]), 84);
        let blocks = matrices::blocks(&x, 0);
        let find = leverage(100).context(&context);
        match catch_unwind(AssertUnwindSafe(|| find.run(&blocks))) {
            Ok(result) => drop(result.unwrap()),
            Err(panic) => break panic,
        }
        columns *= 2;
    };
    let message = panic.downcast::<String>().unwrap();
    assert!(message.starts_with("seen at"), "{message}");
}

#[test]
fn sparsifiers_and_results_move_between_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Sparsifier<f32>>();
    sync::<Sparsifier<f64>>();
    send::<subquad::Sparsified<f32>>();
    sync::<subquad::Sparsified<f32>>();
    send::<subquad::Scores>();
}
