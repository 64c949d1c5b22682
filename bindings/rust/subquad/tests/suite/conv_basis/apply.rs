//! Softmax attention with the logits of a basis.

use ndarray::{Array, Array1, Array2, Array3, Array4, Axis, Dim, array, s};
use subquad::{ConvBasis, ConvOptions, Output, sys};

use super::budget::{method, method_o, roundoff_lse};
use super::dense;
use super::logits::Logits;
use crate::budget::assert_within;
use crate::problem::{Real, uniform};

in_both_precisions!(
    any_number_of_rows,
    any_number_of_bases,
    heads_batch_and_groups,
    any_number_of_columns,
    two_and_three_dimensions,
    every_range_of_logits,
    columns_of_different_magnitude,
    later_values_do_not_matter,
    strictly_causal_outputs,
);

fn assert_right<T: Real>(logits: &Logits<T>, value_heads: usize, columns: usize) {
    let (batch, _, _, n) = logits.kernels.dim();
    let v: Array4<T> = uniform(Dim([batch, value_heads, n, columns]), 31);
    for strict in [false, true] {
        let options = ConvOptions::new().strict_causal(strict);
        let output = logits.basis().apply(&v, &options).unwrap();
        assert_meets(logits, &v, &output);
    }
}

fn assert_meets<T: Real>(logits: &Logits<T>, v: &Array4<T>, output: &Output<T, ndarray::Ix4>) {
    let (p, lse) = dense::softmax(&logits.dense());
    let o = dense::weighted(&p, v);
    assert_within("o", &output.o, &o, &method_o(&o, v));
    let largest = logits
        .kernels
        .fold(0.0_f64, |top, &x| top.max(x.into().abs()));
    let budget = lse.mapv(|lse| roundoff_lse::<T>(logits.n(), lse, largest));
    assert_within("lse", &output.lse, &lse, &budget);
    let (batch, heads, _, n) = logits.kernels.dim();
    let pairs = batch * heads * n * (n + 1) / 2;
    assert_eq!(
        output.report.int(sys::SUBQUAD_REPORT_PAIRS),
        Ok(pairs as i64)
    );
}

fn any_number_of_rows<T: Real>() {
    assert_right(&Logits::<T>::new([1, 1, 0, 0], 0), 1, 2);
    for n in [
        1, 2, 3, 13, 31, 61, 63, 64, 65, 127, 128, 131, 257, 509, 1031,
    ] {
        assert_right(&Logits::<T>::new([1, 1, 1, n], 0), 1, 2);
        assert_right(&Logits::<T>::new([1, 1, n.min(4), n], 0), 1, 2);
    }
}

fn any_number_of_bases<T: Real>() {
    for (bases, first) in [(0, 0), (1, 0), (1, 92), (2, 0), (3, 50), (11, 10), (93, 0)] {
        assert_right(&Logits::<T>::new([1, 1, bases, 93], first), 1, 3);
    }
}

fn heads_batch_and_groups<T: Real>() {
    for (heads, value_heads) in [(1, 1), (3, 1), (4, 2), (4, 4), (0, 1)] {
        let logits = Logits::<T>::new([2, heads, 3, 71], 4);
        assert_right(&logits, value_heads, 5);
        if heads == 4 {
            assert_right(
                &logits.without_bases([1, 1], 1).without_bases([0, 3], 0),
                value_heads,
                5,
            );
        }
    }
    assert_right(&Logits::<T>::new([0, 2, 3, 71], 4), 2, 5);
}

fn any_number_of_columns<T: Real>() {
    for columns in [0, 1, 2, 15, 16, 17, 33, 64, 67] {
        assert_right(&Logits::<T>::new([1, 1, 2, 150], 7), 1, columns);
    }
}

fn two_and_three_dimensions<T: Real>() {
    let logits = Logits::<T>::new([1, 4, 3, 45], 3);
    let v: Array4<T> = uniform(Dim([1, 2, 45, 3]), 31);
    let basis = logits.basis();
    let all = basis.apply(&v, &ConvOptions::new()).unwrap();
    let heads = basis
        .apply(&v.index_axis(Axis(0), 0), &ConvOptions::new())
        .unwrap();
    assert_eq!(heads.o, all.o.index_axis(Axis(0), 0));
    assert_eq!(heads.lse, all.lse.index_axis(Axis(0), 0));
    let one = Logits {
        starts: logits.starts.slice(s![.., 3..4, ..]).to_owned(),
        kernels: logits.kernels.slice(s![.., 3..4, .., ..]).to_owned(),
    };
    let matrix = v.slice(s![0, 1, .., ..]);
    let one = one.basis().apply(&matrix, &ConvOptions::new()).unwrap();
    let largest = matrix.map_axis(Axis(0), |column| {
        column.fold(0.0_f64, |top, &x| top.max(x.into().abs()))
    });
    // Each errs by its own.
    let budget = (largest * (2.0 * method::<T>()))
        .broadcast((45, 3))
        .unwrap()
        .to_owned();
    assert_within(
        "o",
        &one.o,
        &all.o.slice(s![0, 3, .., ..]).mapv(Into::into),
        &budget,
    );
}

/// Smooth, rising, stepping and single large logits, as far as the promise reaches.
fn every_range_of_logits<T: Real>() {
    let n = 700;
    let range = if T::UNIT > f64::UNIT { 80.0 } else { 600.0 };
    let falls = |lag: usize| range - 2.0 * range * lag as f64 / n as f64;
    let rises = move |lag: usize| -falls(lag);
    let steps = move |at: usize, up: f64| move |lag: usize| if lag < at { -up } else { up };
    let spikes = move |at: usize| move |lag: usize| if lag == at { range } else { -range };
    let waves = move |lag: usize| range * (lag as f64 / 40.0).sin();
    let mut kernels: Vec<Box<dyn Fn(usize) -> f64>> =
        vec![Box::new(falls), Box::new(rises), Box::new(waves)];
    for at in [0, 1, 63, 350, 699] {
        kernels.push(Box::new(spikes(at)));
        kernels.push(Box::new(steps(at, range)));
        kernels.push(Box::new(steps(at, -range)));
    }
    for kernel in kernels {
        assert_right(&Logits::<T>::toeplitz(kernel, n), 1, 2);
    }
    assert_right(&Logits::<T>::new([1, 1, 9, n], 20).scaled(range), 1, 2);
}

/// What a column errs is relative to its own values, those of its neighbours whatever they are.
fn columns_of_different_magnitude<T: Real>() {
    let logits = Logits::<T>::new([1, 1, 3, 700], 20).scaled(3.0);
    let (p, _) = dense::softmax(&logits.dense());
    let mut v: Array4<T> = uniform(Dim([1, 1, 700, 35]), 31);
    for (c, mut column) in v.axis_iter_mut(Axis(3)).enumerate() {
        let magnitude = [1.0, 0.0, 1e20, 1e-20, 3.0][c % 5];
        column.mapv_inplace(|x| T::of(magnitude * x.into()));
    }
    let o = dense::weighted(&p, &v);
    let output = logits.basis().apply(&v, &ConvOptions::new()).unwrap();
    assert_within("o", &output.o, &o, &method_o(&o, &v));
}

/// By no more than what the values that share a block with an output may move it: the promise of both calls.
fn later_values_do_not_matter<T: Real>() {
    let logits = Logits::<T>::new([1, 1, 3, 301], 2);
    let basis = logits.basis();
    let mut v: Array4<T> = uniform(Dim([1, 1, 301, 4]), 31);
    let before = basis.apply(&v, &ConvOptions::new()).unwrap().o;
    for changed in [1, 100, 255, 256, 300] {
        v.slice_mut(s![.., .., changed.., ..])
            .mapv_inplace(|x| T::of(-x.into()));
        let after = basis.apply(&v, &ConvOptions::new()).unwrap().o;
        let kept = s![.., .., ..changed, ..];
        let expected: Array4<f64> = before.slice(kept).mapv(Into::into);
        let budget = Array::from_elem(expected.raw_dim(), 2.0 * method::<T>());
        assert_within("o", &after.slice(kept), &expected, &budget);
        v = uniform(Dim([1, 1, 301, 4]), 31);
    }
}

fn strictly_causal_outputs<T: Real>() {
    let logits = Logits::<T>::new([1, 1, 3, 301], 2).scaled(5.0);
    let basis = logits.basis();
    let v: Array4<T> = uniform(Dim([1, 1, 301, 4]), 31);
    let strict = ConvOptions::new().strict_causal(true);
    let before = basis.apply(&v, &strict).unwrap();
    for changed in [1, 100, 255, 256, 300] {
        let mut v = v.clone();
        v.slice_mut(s![.., .., changed.., ..])
            .mapv_inplace(|x| T::of(1e8 * x.into()));
        let after = basis.apply(&v, &strict).unwrap();
        let kept = s![.., .., ..changed, ..];
        assert_eq!(after.o.slice(kept), before.o.slice(kept));
        assert_ne!(after.o, before.o);
        assert_eq!(after.lse, before.lse);
    }
}

#[test]
fn unchecked_input_reaches_the_output() {
    let basis = ConvBasis::toeplitz(&Array1::<f64>::zeros(40), &ConvOptions::new()).unwrap();
    let mut v = Array2::ones((40, 2));
    v[[39, 1]] = f64::NAN;
    let options = ConvOptions::new().check_finite(false);
    let o = basis.apply(&v, &options).unwrap().o;
    assert!(o[[39, 1]].is_nan());
}

#[test]
fn dimensions_that_are_known_at_run_time_only() {
    let starts = array![[0_i64, 4], [0, 9]].into_dyn();
    let kernels = uniform::<f64, _>(Dim([2, 2, 9]), 32);
    let typed = ConvBasis::new(&array![[0_i64, 4], [0, 9]], &kernels, &ConvOptions::new()).unwrap();
    let basis = ConvBasis::new(&starts, &kernels.into_dyn(), &ConvOptions::new()).unwrap();
    let v: Array3<f64> = uniform(Dim([2, 9, 3]), 31);
    let expected = typed.apply(&v, &ConvOptions::new()).unwrap();
    let output = basis.apply(&v.into_dyn(), &ConvOptions::new()).unwrap();
    assert_eq!(output.o, expected.o.into_dyn());
    assert_eq!(output.lse, expected.lse.into_dyn());
}
