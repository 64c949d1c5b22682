//! What operations with conv bases may err: `method`, which the library promises for attention, and `roundoff` for products.

use ndarray::{Array4, Axis, s};
use subquad::{Report, sys};

use super::logits::Logits;
use crate::budget::unit;
use crate::problem::Real;

/// What a butterfly of a fast Fourier transform adds to the l2 norm, in units of round-off: 4 sqrt(2) for its complex product and sum,
/// and one for its twiddle factor.
const PER_LEVEL: f64 = 7.0;
/// A convolution transforms its kernel, its signal, and their product.
const TRANSFORMS: f64 = 3.0;

/// A convolution of up to n terms by transforms, relative to the product of the norms.
pub fn transform_growth(n: usize) -> f64 {
    TRANSFORMS * PER_LEVEL * (4.0 * n as f64).log2()
}

/// What attention with a conv basis may err, relative to the largest |v|: subquad_conv_basis_apply.
pub fn method<T: Real>() -> f64 {
    if T::UNIT > f64::UNIT { 1e-4 } else { 1e-9 }
}

/// [`method`] per entry of an output: per column of the values.
pub fn method_o<T: Real>(o: &Array4<f64>, v: &Array4<T>) -> Array4<f64> {
    let group = o.dim().1 / v.dim().1.max(1);
    let largest = v.map_axis(Axis(2), |column| {
        column.fold(0.0_f64, |top, &x| top.max(x.into().abs()))
    });
    Array4::from_shape_fn(o.raw_dim(), |(b, head, _, c)| {
        method::<T>() * largest[[b, head / group, c]]
    })
}

/// The log-sum-exp of up to n weights whose logits are given.
pub fn roundoff_lse<T: Real>(n: usize, lse: f64, logit: f64) -> f64 {
    (n as f64 + 8.0 + 2.0 * (lse.abs() + logit.abs())) * unit::<T>()
}

/// A product of a conv basis with x, or of its transpose: the transforms of blocks and the sum over blocks, relative to the norms of
/// what is convolved. A convolution in blocks counts each lag twice.
pub fn roundoff_product<T: Real>(
    logits: &Logits<T>,
    x: &Array4<T>,
    transposed: bool,
    report: &Report,
) -> Array4<f64> {
    let n = logits.n() as f64;
    let growth = match report.int(sys::SUBQUAD_REPORT_BLOCK).unwrap() {
        0 => n + 4.0,
        block => transform_growth(logits.n()) + n / block as f64 + 4.0,
    };
    let squared = |x: T| -> f64 { x.into() * x.into() };
    let mut budget = Array4::zeros(x.raw_dim());
    let (batch, heads, bases, _) = logits.kernels.dim();
    for (b, head, r) in ndarray::indices((batch, heads, bases)) {
        let segment = logits.segment(b, head, r);
        let lags = logits.n() - segment.start;
        let kernel = logits.kernels.slice(s![b, head, r, ..lags]);
        let kernel_norm = kernel.iter().copied().map(squared).sum::<f64>().sqrt();
        let read = if transposed {
            segment.start..logits.n()
        } else {
            segment
        };
        for c in 0..x.dim().3 {
            let signal = x.slice(s![b, head, read.clone(), c]);
            let norm = signal.iter().copied().map(squared).sum::<f64>().sqrt();
            let error = 2.0_f64.sqrt() * growth * unit::<T>() * kernel_norm * norm;
            budget
                .slice_mut(s![b, head, .., c])
                .mapv_inplace(|sum| sum + error);
        }
    }
    budget
}
