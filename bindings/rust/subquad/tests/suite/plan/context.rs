//! One plan, many threads: sharing, the same bits, and calls that are cancelled.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use ndarray::{Array2, Dim};
use subquad::{Attention, Context, PlanOptions, sys};

use super::kinds::{LONG, kinds};
use crate::problem::{Problem, Real, uniform};

in_both_precisions!(same_bits_for_any_number_of_threads);

fn same_bits_for_any_number_of_threads<T: Real>() {
    let problem = kinds::<T>(LONG, 0).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let d_o = uniform(v.raw_dim(), 9);
    let run = |threads| {
        let attention = problem.attention().tol(0.05).threads(threads);
        let plan = attention.plan(q, k, Some(v)).unwrap();
        let options = PlanOptions::new().threads(threads);
        let output = plan.apply(v, &options).unwrap();
        let used = output.report.int(sys::SUBQUAD_REPORT_THREADS);
        assert_eq!(used, Ok(threads as i64));
        let gradients = plan
            .backward(v, &output.o, &output.lse, &d_o, &options)
            .unwrap();
        let decided = plan.report().unwrap().strings(sys::SUBQUAD_REPORT_PARTS);
        let errors = plan.report().unwrap().floats(sys::SUBQUAD_REPORT_ERROR);
        (
            decided,
            errors,
            (output.o, output.lse),
            (gradients.dq, gradients.dk, gradients.dv),
        )
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == alone, "{threads} threads differ from one");
    }
}

#[test]
fn threads_share_a_plan_that_outlives_its_arrays() {
    let problem = kinds::<f32>(LONG, 1).causal(None);
    let attention = problem.attention().tol(0.1);
    let plan = attention.plan(&problem.q, &problem.k, None).unwrap();
    let v = problem.v.clone();
    let expected = plan.apply(&v, &PlanOptions::new()).unwrap().o;
    drop(problem);
    thread::scope(|scope| {
        for worker in 0..4 {
            let context = (worker % 2 == 0).then(|| Context::new().unwrap());
            let (plan, v, expected) = (&plan, &v, &expected);
            scope.spawn(move || {
                let mut options = PlanOptions::new();
                if let Some(context) = &context {
                    options = options.context(context);
                }
                for _ in 0..3 {
                    assert!(plan.apply(v, &options).unwrap().o == *expected);
                }
                assert!(plan.report().unwrap().heads().is_ok());
            });
        }
    });
    // The last of several owners may be another thread than the one that made it.
    let shared = Arc::new(plan);
    let other = Arc::clone(&shared);
    drop(shared);
    thread::spawn(move || drop(other)).join().unwrap();
}

/// How long a call takes depends on the machine: twice the size until the callback is asked.
fn until_asked<R>(mut call: impl FnMut(&Array2<f32>) -> Option<R>) -> R {
    let mut n = 1 << 12;
    loop {
        if let Some(result) = call(&uniform(Dim([n, 64]), 0)) {
            return result;
        }
        n *= 2;
    }
}

#[test]
fn a_callback_can_cancel() {
    let mut context = Context::new().unwrap();
    context.set_progress(|_| ControlFlow::Break(())).unwrap();
    let watched = Attention::new().tol(0.1).context(&context);
    let planned = Attention::new().tol(0.1);
    let options = PlanOptions::new().context(&context);
    let errors = [
        until_asked(|x| watched.run(x, x, x).err()),
        until_asked(|x| watched.plan(x, x, None).err()),
        until_asked(|x| {
            let plan = planned.plan(x, x, None).unwrap();
            plan.apply(x, &options).err()
        }),
        until_asked(|x| {
            let plan = planned.plan(x, x, None).unwrap();
            let output = plan.apply(x, &PlanOptions::new()).unwrap();
            plan.backward(x, &output.o, &output.lse, x, &options).err()
        }),
    ];
    for error in errors {
        assert_eq!(error.code(), sys::SUBQUAD_ERR_CANCELLED, "{error}");
    }
}

#[test]
fn a_panic_in_a_callback_goes_on_from_the_call() {
    let mut context = Context::new().unwrap();
    context
        .set_progress(|fraction| panic!("seen at {fraction}"))
        .unwrap();
    let attention = Attention::new().tol(0.1).context(&context);
    let panic = until_asked(|x| {
        let plan = AssertUnwindSafe(|| attention.plan(x, x, None).map(drop));
        catch_unwind(plan).err()
    });
    let message = panic.downcast::<String>().unwrap();
    assert!(message.starts_with("seen at "), "{message}");
}
