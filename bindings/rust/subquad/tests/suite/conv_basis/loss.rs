//! The training problem of one layer, exact and by conv basis.

use ndarray::{Array2, Axis, Dim, s};
use subquad::{Attention, sys};

use super::budget::method;
use crate::budget::{assert_within, unit};
use crate::problem::{Real, uniform};

in_both_precisions!(exact, by_recovery, by_fit);

/// A layer whose logits change at two keys, and what it is to give.
struct Layer<T> {
    a: [Array2<T>; 3],
    x: Array2<T>,
    y: Array2<T>,
    e: Array2<T>,
    scale: f64,
}

const N: usize = 60;
const WINDOW: usize = 4;

impl<T: Real> Layer<T> {
    fn new() -> Self {
        let [mut a1, mut a2, a3] = [51, 52, 53].map(|stream| uniform::<T, _>(Dim([N, 3]), stream));
        let row = a1.row(0).to_owned();
        a1.rows_mut()
            .into_iter()
            .for_each(|mut other| other.assign(&row));
        // Three pieces, of which two differ from zero and from each other by their sign.
        let piece = a2.row(0).to_owned();
        for (j, mut row) in a2.rows_mut().into_iter().enumerate() {
            let factor = [1.0, -2.0, 3.0][j / 20];
            row.assign(&piece.mapv(|x| T::of(factor * x.into())));
        }
        Self {
            a: [a1, a2, a3],
            x: uniform(Dim([3, 3]), 54),
            y: uniform(Dim([3, 2]), 55),
            e: uniform(Dim([N, 2]), 56),
            scale: 4.0,
        }
    }

    /// The logit of a key of the first piece.
    fn step(&self) -> f64 {
        let [a1, a2, x] = [&self.a[0], &self.a[1], &self.x].map(wide);
        let logit = a1.row(0).dot(&x.dot(&a2.row(0)));
        (logit * self.scale).abs()
    }

    /// Loss and gradient in f64, and what each errs: weights and values err relatively by `error` and as much again by round-off, and
    /// the output by both times the largest value.
    fn expected(&self, error: f64) -> ((f64, Array2<f64>), (f64, Array2<f64>)) {
        let [a1, a2, a3] = self.a.each_ref().map(wide);
        let [x, y, e] = [&self.x, &self.y, &self.e].map(wide);
        let h = a1.dot(&x).dot(&a2.t()) * self.scale;
        let sizes = |m: &Array2<f64>| m.mapv(f64::abs);
        let h_size = sizes(&a1).dot(&sizes(&x)).dot(&sizes(&a2).t()) * self.scale.abs();
        let values = a3.dot(&y);
        let largest = sizes(&a3)
            .dot(&sizes(&y))
            .fold(0.0_f64, |top, &v| top.max(v));
        let roundoff = (2.0 * 12.0 * unit::<T>() * h_size.fold(0.0_f64, |top, &x| top.max(x)))
            .exp_m1()
            + (N as f64 + 12.0) * unit::<T>();
        let error = error + roundoff;

        let mut p = h.mapv(f64::exp);
        p.indexed_iter_mut()
            .filter(|((i, j), _)| j > i)
            .for_each(|(_, p)| *p = 0.0);
        let totals = p.sum_axis(Axis(1)).insert_axis(Axis(1));
        let p = p / totals;
        let o = p.dot(&values);
        let d_o = &o - &e;
        let loss = 0.5 * d_o.mapv(|x| x * x).sum();
        let own = (&d_o * &o).sum_axis(Axis(1)).insert_axis(Axis(1));
        let ds = &p * &(d_o.dot(&values.t()) - own);
        let gradient = a1.t().dot(&ds.dot(&a2)) * self.scale;

        let moved = error * largest;
        let loss_error = sizes(&d_o).sum() * moved + 0.5 * d_o.len() as f64 * moved * moved;
        // A row of dS, three sums over values, and d_o that is off by `moved`.
        let rows = sizes(&d_o)
            .sum_axis(Axis(1))
            .mapv(|d_o| 3.0 * error * d_o * largest + 2.0 * 2.0 * moved * largest);
        let key_size = a2.map_axis(Axis(0), |column| {
            column.fold(0.0_f64, |top, x| top.max(x.abs()))
        });
        let by_row = &rows.insert_axis(Axis(1)) * &key_size;
        let gradient_error = sizes(&a1).t().dot(&by_row) * self.scale.abs();
        let final_sum = (N as f64 + 4.0) * unit::<T>();
        let gradient_error = gradient_error
            + sizes(&a1).t().dot(&sizes(&ds).dot(&sizes(&a2))) * self.scale * final_sum;
        ((loss, gradient), (loss_error, gradient_error))
    }

    fn assert_right(&self, attention: &Attention<'_, T>, method: &str, error: f64) {
        let Self {
            a: [a1, a2, a3],
            x,
            y,
            e,
            ..
        } = self;
        let result = attention.loss(a1, a2, a3, x, y, e).unwrap();
        let ((loss, gradient), (loss_budget, budget)) = self.expected(error);
        assert!(
            (result.loss - loss).abs() <= loss_budget,
            "{} is not {loss} within {loss_budget:e}",
            result.loss
        );
        assert_within("grad_x", &result.grad_x, &gradient, &budget);

        let mut reversed = Array2::from_elem((3, 3), T::of(0.0));
        let mut grad_x = reversed.slice_mut(s![..;-1, ..;-1]);
        let (again, _) = attention
            .loss_into(a1, a2, a3, x, y, e, Some(&mut grad_x))
            .unwrap();
        assert!(again == result.loss && grad_x == result.grad_x);
        let (alone, report) = attention.loss_into(a1, a2, a3, x, y, e, None).unwrap();
        assert_eq!(alone, result.loss);
        let ran = report.string(sys::SUBQUAD_REPORT_METHOD).unwrap();
        assert_eq!(ran.to_lowercase(), method);
    }
}

fn wide<T: Real>(x: &Array2<T>) -> Array2<f64> {
    x.mapv(Into::into)
}

fn exact<T: Real>() {
    let layer = Layer::<T>::new();
    layer.assert_right(&Attention::new().scale(layer.scale), "exact", 0.0);
    let unscaled = Layer {
        scale: 1.0,
        ..layer
    };
    unscaled.assert_right(&Attention::new(), "exact", 0.0);
}

fn by_recovery<T: Real>() {
    let layer = Layer::<T>::new();
    let attention = Attention::new()
        .method(sys::SUBQUAD_METHOD_CONV_BASIS)
        .scale(layer.scale)
        .bases(3)
        .window(WINDOW)
        .delta(WINDOW as f64 * layer.step());
    for backward_method in [sys::SUBQUAD_METHOD_CONV_BASIS, sys::SUBQUAD_METHOD_EXACT] {
        let attention = attention.clone().backward_method(backward_method);
        layer.assert_right(&attention, "conv_basis", 2.0 * method::<T>());
    }
    layer.assert_right(&attention, "conv_basis", 2.0 * method::<T>());
}

fn by_fit<T: Real>() {
    let layer = Layer::<T>::new();
    let attention = Attention::new()
        .method(sys::SUBQUAD_METHOD_CONV_BASIS)
        .scale(layer.scale)
        .bases(3)
        .backward_method(sys::SUBQUAD_METHOD_CONV_BASIS);
    layer.assert_right(&attention, "conv_basis", 2.0 * method::<T>());
}

/// Gradient descent with gradients by conv basis goes where exact gradients go.
#[test]
fn training_reaches_what_exact_gradients_reach() {
    let layer = Layer::<f64>::new();
    let Layer {
        a: [a1, a2, a3],
        y,
        e,
        ..
    } = &layer;
    let train = |attention: Attention<'_, f64>| {
        let mut x = layer.x.clone();
        let mut losses = Vec::new();
        for _ in 0..30 {
            let result = attention.loss(a1, a2, a3, &x, y, e).unwrap();
            losses.push(result.loss);
            x.scaled_add(-0.002, &result.grad_x);
        }
        losses
    };
    let exact = train(Attention::new());
    let fitted = train(
        Attention::new()
            .method(sys::SUBQUAD_METHOD_CONV_BASIS)
            .bases(3)
            .backward_method(sys::SUBQUAD_METHOD_CONV_BASIS),
    );
    assert!(exact.windows(2).all(|pair| pair[1] < pair[0]), "{exact:?}");
    // Steps this short do not part what starts together: each adds the error of its gradient at most, and a loss has one of its own.
    let (_, (loss_error, gradient_error)) = layer.expected(2.0 * method::<f64>());
    let budget = 30.0 * (loss_error + gradient_error.sum());
    for (exact, fitted) in exact.iter().zip(&fitted) {
        assert!(
            (exact - fitted).abs() <= budget,
            "{fitted} is not {exact} within {budget:e}"
        );
    }
}
