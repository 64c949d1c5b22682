//! One basis, many threads: sharing, the same bits, and calls that are cancelled.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use ndarray::{Array2, Array4, Dim};
use subquad::{Attention, Context, ConvBasis, ConvOptions, FitOptions, RecoverOptions, sys};

use super::logits::Logits;
use super::structured::Structured;
use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(
    same_bits_for_any_number_of_threads,
    same_bits_of_found_bases,
    threads_share_a_basis,
);

fn same_bits_for_any_number_of_threads<T: Real>() {
    let extents = Extents {
        batch: 2,
        heads: 4,
        key_heads: 2,
        d: 6,
        d_v: 18,
        ..Extents::square(331)
    };
    let problem = Problem::<T>::new(extents);
    let Problem { q, k, v, .. } = &problem;
    let basis = Logits::<T>::new([2, 4, 5, 331], 9).scaled(12.0).basis();
    let x: Array4<T> = uniform(Dim([2, 4, 331, 18]), 71);
    let run = |threads| {
        let options = ConvOptions::new()
            .threads(threads)
            .backward_method(sys::SUBQUAD_METHOD_CONV_BASIS);
        let strict = options.clone().strict_causal(true);
        let output = basis.apply(v, &options).unwrap();
        let gradients = basis.backward(q, k, v, &x, &options).unwrap();
        let products = [
            basis.apply(v, &strict).unwrap().o,
            basis.multiply(&x, &options).unwrap().y,
            basis.multiply(&x, &strict).unwrap().y,
            basis.multiply_transposed(&x, &options).unwrap().y,
            basis.apply_transposed(&x, &options).unwrap().y,
            basis.exp(&options).unwrap().kernels(&options).unwrap(),
            basis.to_dense(&options).unwrap(),
            gradients.dq,
            gradients.dk,
            gradients.dv,
        ];
        (output.o, output.lse, products)
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == alone, "{threads} threads differ from one");
    }
}

fn same_bits_of_found_bases<T: Real>() {
    let extents = Extents {
        heads: 4,
        key_heads: 2,
        ..Extents::square(300)
    };
    let structured = Structured::<T>::new(extents, 5, 9, 0.01);
    let Problem { q, k, .. } = &structured.problem;
    let run = |threads| {
        let recovering = RecoverOptions::new(5, 4, 4.0 * structured.step)
            .eps(structured.eps)
            .threads(threads);
        let fitting = FitOptions::new().bases(7).threads(threads);
        [
            ConvBasis::recover(q, k, &recovering).unwrap(),
            ConvBasis::fit(q, k, &fitting).unwrap(),
        ]
        .map(|found| {
            let kernels = found
                .basis
                .kernels(&ConvOptions::new().cumulative(true))
                .unwrap();
            (
                found.basis.starts().unwrap(),
                kernels,
                found.report.floats(sys::SUBQUAD_REPORT_ERROR_MEAN),
            )
        })
    };
    assert!(run(2) == run(1));
}

fn threads_share_a_basis<T: Real>() {
    let basis = Logits::<T>::new([1, 2, 4, 257], 9).basis();
    let v: Array4<T> = uniform(Dim([1, 2, 257, 7]), 71);
    let expected = basis.apply(&v, &ConvOptions::new()).unwrap().o;
    thread::scope(|scope| {
        for worker in 0..6 {
            let context = (worker % 2 == 0).then(|| Context::new().unwrap());
            let (basis, v, expected) = (&basis, &v, &expected);
            scope.spawn(move || {
                let mut options = ConvOptions::new();
                if let Some(context) = &context {
                    options = options.context(context);
                }
                for _ in 0..20 {
                    assert!(basis.apply(v, &options).unwrap().o == *expected);
                }
            });
        }
    });
    // The last of several owners may be another thread than the one that made it.
    let shared = std::sync::Arc::new(basis);
    let other = std::sync::Arc::clone(&shared);
    drop(shared);
    thread::spawn(move || drop(other)).join().unwrap();
}

fn cancelling() -> Context {
    let mut context = Context::new().unwrap();
    context.set_progress(|_| ControlFlow::Break(())).unwrap();
    context
}

/// How long a call takes depends on the machine: twice the size until the callback is asked.
fn assert_cancelled(call: impl Fn(usize) -> subquad::Result<()>) {
    let mut n = 1 << 12;
    loop {
        match call(n) {
            Err(error) => return assert_eq!(error.code(), sys::SUBQUAD_ERR_CANCELLED, "{error}"),
            Ok(()) => n *= 2,
        }
    }
}

#[test]
fn a_callback_can_cancel() {
    let context = cancelling();
    let options = ConvOptions::new().context(&context);
    let by_basis = options
        .clone()
        .backward_method(sys::SUBQUAD_METHOD_CONV_BASIS);
    let problem = |n: usize| {
        let v: Array2<f32> = uniform(Dim([n, 32]), 71);
        let column = ndarray::Array1::linspace(0.0, -4.0, n);
        (
            ConvBasis::toeplitz(&column, &ConvOptions::new()).unwrap(),
            v,
        )
    };
    assert_cancelled(|n| {
        let (basis, v) = problem(n);
        basis.apply(&v, &options).map(drop)
    });
    assert_cancelled(|n| {
        let (basis, v) = problem(n);
        basis.multiply(&v, &options).map(drop)
    });
    assert_cancelled(|n| {
        let (basis, v) = problem(n);
        basis.backward(&v, &v, &v, &v, &by_basis).map(drop)
    });
    assert_cancelled(|n| {
        let (_, v) = problem(n);
        ConvBasis::fit(&v, &v, &FitOptions::new().bases(16).context(&context)).map(drop)
    });
    assert_cancelled(|n| {
        let (_, v) = problem(n);
        let attention = Attention::new()
            .context(&context)
            .causal(true)
            .method(sys::SUBQUAD_METHOD_CONV_BASIS)
            .bases(16);
        attention.run(&v, &v, &v).map(drop)
    });
}

#[test]
fn a_panic_in_a_callback_goes_on_from_the_call() {
    let mut context = Context::new().unwrap();
    context
        .set_progress(|fraction| panic!("seen at {fraction}"))
        .unwrap();
    let options = ConvOptions::new()
        .context(&context)
        .backward_method(sys::SUBQUAD_METHOD_CONV_BASIS);
    let mut n = 1 << 12;
    let panic = loop {
        let x: Array2<f32> = uniform(Dim([n, 32]), 71);
        let basis = Logits::<f32>::toeplitz(|lag| -1.0 / (lag + 1) as f64, n).basis();
        match catch_unwind(AssertUnwindSafe(|| {
            basis.backward(&x, &x, &x, &x, &options)
        })) {
            Ok(result) => drop(result.unwrap()),
            Err(panic) => break panic,
        }
        n *= 2;
    };
    let message = panic.downcast::<String>().unwrap();
    assert!(message.starts_with("seen at"), "{message}");
}

#[test]
fn bases_and_results_move_between_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<ConvBasis<f32>>();
    sync::<ConvBasis<f64>>();
    send::<subquad::Found<f32>>();
    send::<subquad::Product<f64, ndarray::Ix4>>();
    send::<subquad::Loss<f64>>();
}
