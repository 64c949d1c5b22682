//! How long attention takes by its methods, beside exact attention and with the error that was made.
//!
//! `cargo bench --bench attention`; `SUBQUAD_NUM_THREADS` sets the threads.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use ndarray::{Array1, Array2};
use subquad::{Attention, ConvBasis, ConvOptions, Output, PlanOptions, fill_uniform};

/// Keys and queries that turn slowly, so that most pairs matter little.
fn problem(n: usize, d: usize) -> (Array2<f32>, Array2<f32>) {
    let turn = |i: usize, l: usize| {
        3.0 * (i as f32 / 300.0 + (l % 2) as f32 * std::f32::consts::FRAC_PI_2).cos()
    };
    let x = Array2::from_shape_fn((n, d), |(i, l)| turn(i, l) / (d as f32 / 16.0).sqrt());
    let mut v = Array2::zeros((n, d));
    fill_uniform(&mut v, 1, 0, 0.0, 1.0).expect("the arguments are right");
    (x, v)
}

/// Relative Frobenius error.
fn error(o: &Array2<f32>, exact: &Array2<f32>) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = (o - exact).into_iter().map(square).sum();
    (difference / exact.iter().copied().map(square).sum::<f64>()).sqrt()
}

fn methods(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("causal attention, d = 64");
    for n in [1024, 4096, 16384] {
        let (x, v) = problem(n, 64);
        let exact = Attention::new().causal(true);
        let near = exact.clone().tol(0.1);
        let run = |attention: &Attention<'_, f32>| -> Output<f32, _> {
            attention.run(&x, &x, &v).expect("the arguments are right")
        };
        let made = error(&run(&near).o, &run(&exact).o);
        println!("n = {n}: tol 0.1 made an error of {made:.1e}");
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("exact", n), |bench| {
            bench.iter(|| black_box(run(&exact)));
        });
        group.bench_function(BenchmarkId::new("tol 0.1", n), |bench| {
            bench.iter(|| black_box(run(&near)));
        });
        let plan = near.plan(&x, &x, None).expect("the arguments are right");
        group.bench_function(BenchmarkId::new("tol 0.1, planned", n), |bench| {
            bench.iter(|| black_box(plan.apply(&v, &PlanOptions::new()).expect("v fits")));
        });
    }
    group.finish();
}

/// Logits that depend on the lag alone: exactly, as a bias of logits that are 0, and by a conv basis.
fn of_the_lag(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention by lag, d_v = 64");
    for n in [1024, 4096, 16384] {
        let (_, v) = problem(n, 64);
        let kernel = Array1::from_shape_fn(n, |lag| -(lag as f32 / 100.0).sqrt());
        let bias = kernel.view().insert_axis(ndarray::Axis(0));
        let x = Array2::<f32>::zeros((n, 1));
        let exact = Attention::new().causal(true).lag_bias(&bias);
        let options = ConvOptions::new();
        let basis = ConvBasis::toeplitz(&kernel, &options).expect("a finite kernel");
        let run = || exact.run(&x, &x, &v).expect("the arguments are right");
        let apply = || basis.apply(&v, &options).expect("v fits the basis");
        let made = error(&apply().o, &run().o);
        println!("n = {n}: the conv basis made an error of {made:.1e}");
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("exact", n), |bench| bench.iter(run));
        group.bench_function(BenchmarkId::new("conv basis", n), |bench| {
            bench.iter(apply);
        });
    }
    group.finish();
}

/// What a call costs before it computes anything: views, options, report.
fn one_token(criterion: &mut Criterion) {
    let x = Array2::<f32>::ones((1, 1));
    let attention = Attention::new();
    criterion.bench_function("one query, one key", |bench| {
        bench.iter(|| attention.run(&x, &x, &x).expect("the arguments are right"));
    });
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    methods(&mut criterion);
    of_the_lag(&mut criterion);
    one_token(&mut criterion);
    criterion.final_summary();
}
