//! The oracle: everything that is done with a conv basis, done to its dense matrix in f64.

use ndarray::{Array3, Array4, ArrayView2, Axis, Dim, s};

use crate::problem::Real;

/// The head of `of` that head `head` of `heads` reads.
fn shared(head: usize, heads: usize, of: usize) -> usize {
    head / (heads / of)
}

/// `h x` per head, or `h' x`.
pub fn product<T: Real>(h: &Array4<f64>, x: &Array4<T>, transposed: bool) -> Array4<f64> {
    let mut y = Array4::zeros(x.raw_dim());
    for (b, head) in ndarray::indices((h.dim().0, h.dim().1)) {
        let matrix = h.slice(s![b, head, .., ..]);
        let matrix = if transposed { matrix.t() } else { matrix };
        let x = x.slice(s![b, head, .., ..]).mapv(Into::<f64>::into);
        y.slice_mut(s![b, head, .., ..]).assign(&matrix.dot(&x));
    }
    y
}

/// Causal softmax of logits: the weights, and their log-sum-exps.
pub fn softmax(h: &Array4<f64>) -> (Array4<f64>, Array3<f64>) {
    let (batch, heads, n, _) = h.dim();
    let (mut p, mut lse) = (Array4::zeros(h.raw_dim()), Array3::zeros((batch, heads, n)));
    for ((b, head, i), lse) in lse.indexed_iter_mut() {
        let seen = h.slice(s![b, head, i, ..=i]);
        let top = seen.fold(f64::NEG_INFINITY, |top, &x| top.max(x));
        let weights = seen.mapv(|x| (x - top).exp());
        let total = weights.sum();
        *lse = top + total.ln();
        p.slice_mut(s![b, head, i, ..=i]).assign(&(weights / total));
    }
    (p, lse)
}

/// Weights times values, whose heads may be shared.
pub fn weighted<T: Real>(p: &Array4<f64>, v: &Array4<T>) -> Array4<f64> {
    let (batch, heads, n, _) = p.dim();
    let mut o = Array4::zeros((batch, heads, n, v.dim().3));
    for (b, head) in ndarray::indices((batch, heads)) {
        let v = values(v, b, shared(head, heads, v.dim().1));
        o.slice_mut(s![b, head, .., ..])
            .assign(&p.slice(s![b, head, .., ..]).dot(&v));
    }
    o
}

fn values<T: Real>(x: &Array4<T>, batch: usize, head: usize) -> ndarray::Array2<f64> {
    x.slice(s![batch, head, .., ..]).mapv(Into::into)
}

/// What gradients are made from: the inputs of attention, and the derivative of the loss in its output.
pub struct Layer<'a, T> {
    pub q: &'a Array4<T>,
    pub k: &'a Array4<T>,
    pub v: &'a Array4<T>,
    pub d_o: &'a Array4<T>,
    pub scale: f64,
}

/// dq, dk, dv.
pub type Gradients = [Array4<f64>; 3];

/// The gradients of attention with the weights p, each with what it errs where every sum of values over weights errs by at most `method`
/// times the largest value, and every sum over rows by at most `method` times the sum of magnitudes.
pub fn gradients<T: Real>(
    p: &Array4<f64>,
    layer: &Layer<'_, T>,
    method: f64,
) -> (Gradients, Gradients) {
    let zeros = || [layer.q, layer.k, layer.v].map(|x| Array4::<f64>::zeros(x.raw_dim()));
    let (mut gradients, mut budgets) = (zeros(), zeros());
    let heads = p.dim().1;
    for (b, head) in ndarray::indices((p.dim().0, heads)) {
        let key_head = shared(head, heads, layer.k.dim().1);
        let [q, d_o] = [layer.q, layer.d_o].map(|x| values(x, b, head));
        let [k, v] = [layer.k, layer.v].map(|x| values(x, b, key_head));
        let p = p.slice(s![b, head, .., ..]);
        let ds = logit_gradients(p, &v, &d_o);
        let parts = [
            ds.dot(&k) * layer.scale,
            ds.t().dot(&q) * layer.scale,
            p.t().dot(&d_o),
        ];

        // The output of a row, in rowsum(d_o * o), errs by `method` times the largest values too: three terms of one size.
        let largest = |x: &ndarray::Array2<f64>| {
            x.map_axis(Axis(0), |column| {
                column.fold(0.0_f64, |top, x| top.max(x.abs()))
            })
        };
        let (d_o, q) = (d_o.mapv(f64::abs), q.mapv(f64::abs));
        let sizes = d_o.dot(&largest(&v));
        let rows = &sizes.view().insert_axis(Axis(1)) * &largest(&k);
        let by_rows = sizes.dot(&q).insert_axis(Axis(0));
        let by_columns = d_o.sum_axis(Axis(0)).insert_axis(Axis(0));
        let size = method * layer.scale.abs() * 3.0;
        let errors = [rows * size, by_rows * size, by_columns * method];

        let heads = [head, key_head, key_head];
        let sums = gradients.iter_mut().zip(&mut budgets);
        for (((sum, budget), head), (part, error)) in
            sums.zip(heads).zip(parts.into_iter().zip(errors))
        {
            let (mut sum, mut budget) = (
                sum.slice_mut(s![b, head, .., ..]),
                budget.slice_mut(s![b, head, .., ..]),
            );
            sum += &part;
            budget += &error;
        }
    }
    (gradients, budgets)
}

fn logit_gradients(
    p: ArrayView2<'_, f64>,
    v: &ndarray::Array2<f64>,
    d_o: &ndarray::Array2<f64>,
) -> ndarray::Array2<f64> {
    let o = p.dot(v);
    let own = (d_o * &o).sum_axis(Axis(1)).insert_axis(Axis(1));
    &p * &(d_o.dot(&v.t()) - own)
}

/// Causal logits `scale q k'`, zero above the diagonal.
pub fn logits<T: Real>(q: &Array4<T>, k: &Array4<T>, scale: f64) -> Array4<f64> {
    let (batch, heads, n, _) = q.dim();
    let mut h = Array4::zeros(Dim([batch, heads, n, n]));
    for (b, head) in ndarray::indices((batch, heads)) {
        let (q, k) = (
            values(q, b, head),
            values(k, b, shared(head, heads, k.dim().1)),
        );
        let all = q.dot(&k.t()) * scale;
        let mut h = h.slice_mut(s![b, head, .., ..]);
        for ((i, j), logit) in all.indexed_iter().filter(|((i, j), _)| j <= i) {
            h[[i, j]] = *logit;
        }
    }
    h
}
