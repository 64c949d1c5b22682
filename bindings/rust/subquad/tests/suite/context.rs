//! Contexts: threads, cancelling, panics, and several of them at once.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;

use ndarray::{Array2, Array3};
use subquad::{Attention, Context, sys};

use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(same_bits_for_any_number_of_threads);

/// More work than a progress interval takes on any machine; to be cancelled.
fn long_problem() -> Array3<f32> {
    uniform(ndarray::Dim([8, 1 << 15, 64]), 0)
}

fn same_bits_for_any_number_of_threads<T: Real>() {
    let extents = Extents {
        batch: 2,
        heads: 6,
        key_heads: 3,
        d: 24,
        d_v: 18,
        ..Extents::square(157)
    };
    let problem = Problem::<T>::new(extents).causal(None).biased(6);
    let Problem { q, k, v, .. } = &problem;
    let run = |threads| {
        let attention = problem.attention().threads(threads);
        let output = attention.run(q, k, v).unwrap();
        assert_eq!(
            output.report.int(sys::SUBQUAD_REPORT_THREADS),
            Ok(threads as i64)
        );
        let gradients = attention
            .backward(q, k, v, &output.o, &output.lse, &output.o)
            .unwrap();
        (
            output.o,
            output.lse,
            gradients.dq,
            gradients.dk,
            gradients.dv,
            gradients.d_lag_bias,
        )
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == alone, "{threads} threads differ from one");
    }
}

#[test]
fn threads_of_a_call_leave_the_context_as_it_was() {
    let x = Array2::<f32>::ones((4, 2));
    let mut context = Context::new().unwrap();
    context.set_threads(3).unwrap();
    let threads = |attention: Attention<'_, f32>| {
        let output = attention.context(&context).run(&x, &x, &x).unwrap();
        output.report.int(sys::SUBQUAD_REPORT_THREADS).unwrap()
    };
    assert_eq!(threads(Attention::new()), 3);
    assert_eq!(threads(Attention::new().threads(2)), 2);
    assert_eq!(threads(Attention::new()), 3);
}

#[test]
fn a_context_describes_itself_whatever_the_threads_of_its_last_call() {
    let x = Array2::<f32>::ones((4, 2));
    let mut context = Context::new().unwrap();
    context.set_threads(3).unwrap();
    let attention = Attention::new().context(&context).threads(2);
    attention.run(&x, &x, &x).unwrap();
    let info = context.info().unwrap();
    assert_eq!(info.int(sys::SUBQUAD_REPORT_THREADS), Ok(3));
}

#[test]
fn progress_rises_to_the_end_and_results_stay_the_same() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut context = Context::new().unwrap();
    let recorder = Arc::clone(&seen);
    context
        .set_progress(move |fraction| {
            recorder.lock().unwrap().push(fraction);
            ControlFlow::Continue(())
        })
        .unwrap();
    // How long a call takes depends on the machine: grow until it asks at least twice.
    let mut n = 1 << 11;
    while seen.lock().unwrap().len() < 2 {
        seen.lock().unwrap().clear();
        n *= 2;
        let x = uniform::<f32, _>(ndarray::Dim([n, 16]), 0);
        let watched = Attention::new().context(&context).run(&x, &x, &x).unwrap();
        let alone = Attention::new().run(&x, &x, &x).unwrap();
        assert!(watched.o == alone.o);
    }
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted());
    assert!(seen.iter().all(|fraction| (0.0..=1.0).contains(fraction)));
}

#[test]
fn a_callback_can_cancel() {
    let x = long_problem();
    let mut context = Context::new().unwrap();
    let caller = thread::current().id();
    context
        .set_progress(move |_| {
            assert_eq!(thread::current().id(), caller);
            ControlFlow::Break(())
        })
        .unwrap();
    let error = Attention::new()
        .context(&context)
        .run(&x, &x, &x)
        .unwrap_err();
    assert_eq!(error.code(), sys::SUBQUAD_ERR_CANCELLED);
    // Nothing of it stays behind.
    context.clear_progress().unwrap();
    let small = Array2::<f32>::ones((3, 2));
    assert!(
        Attention::new()
            .context(&context)
            .run(&small, &small, &small)
            .is_ok()
    );
}

#[test]
fn a_panic_in_a_callback_goes_on_from_the_call() {
    let x = long_problem();
    let mut context = Context::new().unwrap();
    context
        .set_progress(|fraction| panic!("seen at {fraction}"))
        .unwrap();
    let attention = Attention::new().context(&context);
    for _ in 0..2 {
        let call = catch_unwind(AssertUnwindSafe(|| attention.run(&x, &x, &x)));
        let panic = call.expect_err("the panic goes on");
        let message = panic.downcast::<String>().unwrap();
        assert!(message.starts_with("seen at 0"), "{message}");
    }
}

#[test]
fn a_callback_may_compute_elsewhere() {
    let x = long_problem();
    let mut context = Context::new().unwrap();
    context
        .set_progress(|_| {
            let small = Array2::<f32>::ones((3, 2));
            assert!(Attention::new().run(&small, &small, &small).is_ok());
            ControlFlow::Break(())
        })
        .unwrap();
    let error = Attention::new()
        .context(&context)
        .run(&x, &x, &x)
        .unwrap_err();
    assert_eq!(error.code(), sys::SUBQUAD_ERR_CANCELLED);
}

#[test]
fn threads_compute_at_once_each_with_its_context() {
    let problem = Problem::<f64>::new(Extents {
        heads: 2,
        ..Extents::square(101)
    })
    .causal(None);
    let expected = problem
        .attention()
        .run(&problem.q, &problem.k, &problem.v)
        .unwrap()
        .o;
    // Contexts are made here and move there; half of the threads use their own.
    thread::scope(|scope| {
        for worker in 0..6 {
            let context = (worker % 2 == 0).then(|| Context::new().unwrap());
            let (problem, expected) = (&problem, &expected);
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut attention = problem.attention();
                    if let Some(context) = &context {
                        attention = attention.context(context);
                    }
                    let output = attention.run(&problem.q, &problem.k, &problem.v).unwrap();
                    assert!(output.o == *expected);
                    let error = attention
                        .clone()
                        .tol(1.5)
                        .run(&problem.q, &problem.k, &problem.v);
                    assert_eq!(error.unwrap_err().code(), sys::SUBQUAD_ERR_VALUE);
                }
            });
        }
    });
}

#[test]
fn contexts_and_results_move_between_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Context>();
    send::<subquad::Output<f32, ndarray::Ix4>>();
    sync::<subquad::Output<f32, ndarray::Ix4>>();
    send::<subquad::Gradients<f64, ndarray::Ix2>>();
    sync::<subquad::Gradients<f64, ndarray::Ix2>>();
    send::<subquad::Plan<f32, ndarray::IxDyn>>();
    sync::<subquad::Plan<f32, ndarray::IxDyn>>();
    send::<subquad::Error>();
    sync::<subquad::Error>();
}
