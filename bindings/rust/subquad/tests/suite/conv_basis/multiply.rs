//! Products with a basis and with its transpose.

use ndarray::{Array4, Axis, Dim};
use subquad::ConvOptions;

use super::budget::{method, method_o, roundoff_product};
use super::dense;
use super::logits::Logits;
use crate::budget::assert_within;
use crate::problem::{Real, uniform};

in_both_precisions!(
    any_number_of_rows,
    any_number_of_bases,
    heads_and_batch,
    any_number_of_columns,
    strictly_causal_products,
    the_transpose_is_adjoint,
    transposed_attention,
);

fn assert_right<T: Real>(logits: &Logits<T>, columns: usize) {
    let (batch, heads, _, n) = logits.kernels.dim();
    let x: Array4<T> = uniform(Dim([batch, heads, n, columns]), 21);
    let basis = logits.basis();
    let h = logits.dense();
    for strict in [false, true] {
        let options = ConvOptions::new().strict_causal(strict);
        let product = basis.multiply(&x, &options).unwrap();
        let budget = roundoff_product(logits, &x, false, &product.report);
        assert_within("h x", &product.y, &dense::product(&h, &x, false), &budget);
    }
    let product = basis.multiply_transposed(&x, &ConvOptions::new()).unwrap();
    let budget = roundoff_product(logits, &x, true, &product.report);
    assert_within("h' x", &product.y, &dense::product(&h, &x, true), &budget);
}

fn any_number_of_rows<T: Real>() {
    assert_right(&Logits::<T>::new([1, 1, 0, 0], 0), 2);
    for n in [
        1, 2, 3, 13, 31, 61, 63, 64, 65, 127, 128, 131, 257, 509, 1031,
    ] {
        assert_right(&Logits::<T>::new([1, 1, 1, n], 0), 2);
        assert_right(&Logits::<T>::new([1, 1, n.min(4), n], 0), 2);
    }
}

fn any_number_of_bases<T: Real>() {
    for (bases, first) in [(0, 0), (1, 0), (1, 92), (2, 0), (3, 50), (11, 10), (93, 0)] {
        assert_right(&Logits::<T>::new([1, 1, bases, 93], first), 3);
    }
}

fn heads_and_batch<T: Real>() {
    for (batch, heads) in [(0, 2), (1, 0), (1, 4), (3, 2)] {
        let logits = Logits::<T>::new([batch, heads, 3, 71], 4);
        assert_right(&logits, 5);
        if batch == 3 {
            assert_right(&logits.without_bases([1, 1], 1).without_bases([2, 0], 0), 5);
        }
    }
}

fn any_number_of_columns<T: Real>() {
    for columns in [0, 1, 2, 15, 16, 17, 33, 64, 67] {
        assert_right(&Logits::<T>::new([1, 1, 2, 150], 7), columns);
    }
}

fn strictly_causal_products<T: Real>() {
    let logits = Logits::<T>::new([1, 1, 3, 301], 2);
    let basis = logits.basis();
    let x: Array4<T> = uniform(Dim([1, 1, 301, 4]), 21);
    let strict = ConvOptions::new().strict_causal(true);
    let before = basis.multiply(&x, &strict).unwrap().y;
    for changed in [1, 100, 255, 256, 300] {
        let mut x = x.clone();
        x.slice_mut(ndarray::s![.., .., changed.., ..])
            .mapv_inplace(|x| T::of(-1e4 * x.into()));
        let after = basis.multiply(&x, &strict).unwrap().y;
        let kept = ndarray::s![.., .., ..changed, ..];
        assert_eq!(after.slice(kept), before.slice(kept));
        assert_ne!(after, before);
    }
}

/// <h x, z> = <x, h' z>, of which each side errs by what its product errs.
fn the_transpose_is_adjoint<T: Real>() {
    let logits = Logits::<T>::new([2, 2, 5, 613], 9);
    let basis = logits.basis();
    let [x, z] = [21, 22].map(|stream| uniform::<T, _>(Dim([2, 2, 613, 3]), stream));
    let forward = basis.multiply(&x, &ConvOptions::new()).unwrap();
    let transposed = basis.multiply_transposed(&z, &ConvOptions::new()).unwrap();
    let inner = |a: &Array4<T>, b: &Array4<T>| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| a.into() * b.into()).sum()
    };
    let weighted = |budget: Array4<f64>, with: &Array4<T>| -> f64 {
        budget
            .iter()
            .zip(with)
            .map(|(budget, &x)| budget * x.into().abs())
            .sum()
    };
    let budget = weighted(roundoff_product(&logits, &x, false, &forward.report), &z)
        + weighted(roundoff_product(&logits, &z, true, &transposed.report), &x);
    let difference = inner(&forward.y, &z) - inner(&x, &transposed.y);
    assert!(
        difference.abs() <= budget,
        "{difference:e} above {budget:e}"
    );
}

fn transposed_attention<T: Real>() {
    for (bases, n) in [(1, 1), (0, 9), (1, 130), (4, 257), (7, 600)] {
        let logits = Logits::<T>::new([1, 2, bases, n], n / 5).scaled(6.0);
        let x: Array4<T> = uniform(Dim([1, 2, n, 3]), 21);
        let (p, _) = dense::softmax(&logits.dense());
        let expected = dense::product(&p, &x, true);
        // The sum over blocks of the largest magnitude is at most that over rows.
        let sums = x
            .mapv(|x| x.into().abs())
            .sum_axis(Axis(2))
            .insert_axis(Axis(2));
        let budget = (sums * method::<T>())
            .broadcast(x.raw_dim())
            .unwrap()
            .to_owned();
        let product = logits
            .basis()
            .apply_transposed(&x, &ConvOptions::new())
            .unwrap();
        assert_within("transposed", &product.y, &expected, &budget);

        // <x, o(v)> = <y, v>: what attention and its transpose may err.
        let v: Array4<T> = uniform(Dim([1, 2, n, 3]), 23);
        let o = logits.basis().apply(&v, &ConvOptions::new()).unwrap().o;
        let inner = |a: &Array4<T>, b: &Array4<T>| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| a.into() * b.into()).sum()
        };
        let weighted = |budget: &Array4<f64>, with: &Array4<T>| -> f64 {
            budget
                .iter()
                .zip(with)
                .map(|(budget, &x)| budget * x.into().abs())
                .sum()
        };
        let allowed = weighted(&budget, &v) + weighted(&method_o(&expected, &v), &x);
        let difference = inner(&x, &o) - inner(&product.y, &v);
        assert!(
            difference.abs() <= allowed,
            "{difference:e} above {allowed:e}"
        );
    }
}
