//! Views of every kind of strides, of kernels, values and results.

use ndarray::{Array2, Array3, Array4, Axis, Dim, s};
use subquad::{ConvBasis, ConvOptions, FitOptions, RecoverOptions};

use super::logits::Logits;
use super::structured::Structured;
use crate::problem::{Extents, Problem, Real, uniform};
use crate::views::{LAYOUTS, relaid};

in_both_precisions!(
    kernels_and_starts,
    dense_matrices,
    queries_and_keys,
    values,
    broadcast_values,
    results,
);

fn logits<T: Real>() -> Logits<T> {
    Logits::new([2, 4, 3, 75], 6)
}

fn kernels_and_starts<T: Real>() {
    let logits = logits::<T>();
    let cumulative = ConvOptions::new().cumulative(true);
    let expected = logits.basis().kernels(&cumulative).unwrap();
    for kind in LAYOUTS {
        let kernels = relaid(&logits.kernels, kind);
        assert_ne!(kernels.strides(), logits.kernels.strides());
        let basis = ConvBasis::new(&logits.starts, &kernels, &cumulative).unwrap();
        assert_eq!(basis.kernels(&cumulative).unwrap(), expected, "{kind}");
    }
    // Every head has the same starts: one row of them serves all.
    let one_row = logits.starts.slice(s![..1, ..1, ..]);
    let starts = one_row.broadcast(logits.starts.raw_dim()).unwrap();
    let basis = ConvBasis::new(&starts, &logits.kernels, &cumulative).unwrap();
    assert_eq!(basis.starts().unwrap(), logits.starts);
    let reversed = logits
        .starts
        .slice(s![.., .., ..;-1])
        .as_standard_layout()
        .into_owned();
    let starts = reversed.slice(s![.., .., ..;-1]);
    let basis = ConvBasis::new(&starts, &logits.kernels, &cumulative).unwrap();
    assert_eq!(basis.starts().unwrap(), logits.starts);
}

fn dense_matrices<T: Real>() {
    let h = logits::<T>().dense().mapv(T::of);
    for kind in LAYOUTS {
        let basis = ConvBasis::from_dense(&relaid(&h, kind), &ConvOptions::new()).unwrap();
        assert_eq!(basis.to_dense(&ConvOptions::new()).unwrap(), h, "{kind}");
        let mut written = relaid(&h, kind);
        written.fill(T::of(7.0));
        basis
            .to_dense_into(&mut written, &ConvOptions::new())
            .unwrap();
        assert_eq!(written, h, "{kind}");
    }
}

fn queries_and_keys<T: Real>() {
    let extents = Extents {
        batch: 2,
        heads: 4,
        key_heads: 2,
        ..Extents::square(40)
    };
    let structured = Structured::<T>::new(extents, 3, 0, 0.0);
    let Problem { q, k, .. } = &structured.problem;
    let recovering = RecoverOptions::new(3, 4, 4.0 * structured.step).eps(structured.eps);
    let kernels = |basis: &ConvBasis<T>| basis.kernels(&ConvOptions::new()).unwrap();
    let recovered = kernels(&ConvBasis::recover(q, k, &recovering).unwrap().basis);
    let fitted = kernels(
        &ConvBasis::fit(q, k, &FitOptions::new().bases(3))
            .unwrap()
            .basis,
    );
    for kind in LAYOUTS {
        let (q, k) = (&relaid(q, kind), &relaid(k, kind));
        let again = ConvBasis::recover(q, k, &recovering).unwrap().basis;
        assert_eq!(kernels(&again), recovered, "{kind}");
        let again = ConvBasis::fit(q, k, &FitOptions::new().bases(3))
            .unwrap()
            .basis;
        assert_eq!(kernels(&again), fitted, "{kind}");
    }
}

fn values<T: Real>() {
    let basis = logits::<T>().basis();
    let v: Array4<T> = uniform(Dim([2, 4, 75, 5]), 61);
    let options = ConvOptions::new();
    let expected = (
        basis.apply(&v, &options).unwrap().o,
        basis.multiply(&v, &options).unwrap().y,
        basis.multiply_transposed(&v, &options).unwrap().y,
        basis.apply_transposed(&v, &options).unwrap().y,
    );
    for kind in LAYOUTS {
        let v = relaid(&v, kind);
        let again = (
            basis.apply(&v, &options).unwrap().o,
            basis.multiply(&v, &options).unwrap().y,
            basis.multiply_transposed(&v, &options).unwrap().y,
            basis.apply_transposed(&v, &options).unwrap().y,
        );
        assert!(again == expected, "{kind}");
    }
}

fn broadcast_values<T: Real>() {
    let basis = logits::<T>().basis();
    let row: Array3<T> = uniform(Dim([1, 75, 1]), 62);
    let v = row.broadcast((2, 4, 75, 3)).unwrap();
    let expected = basis.apply(&v.to_owned(), &ConvOptions::new()).unwrap();
    let output = basis.apply(&v, &ConvOptions::new()).unwrap();
    assert!(output.o == expected.o && output.lse == expected.lse);
}

fn results<T: Real>() {
    let basis = logits::<T>().basis();
    let v: Array4<T> = uniform(Dim([2, 4, 75, 5]), 61);
    let options = ConvOptions::new();
    let expected = basis.apply(&v, &options).unwrap();
    let gap = T::of(-77.0);
    let mut wide = Array4::from_elem((2, 75, 4, 11), gap);
    let mut lse = Array3::from_elem((75, 4, 2), gap);
    {
        let mut o = wide.view_mut().permuted_axes([0, 2, 1, 3]);
        let mut o = o.slice_mut(s![.., ..;-1, ..;-1, 1..;2]);
        let mut lse = lse.view_mut().reversed_axes();
        basis
            .apply_into(&v, &mut o, Some(&mut lse), &options)
            .unwrap();
        assert_eq!(o, expected.o);
        assert_eq!(lse, expected.lse);
        basis.multiply_into(&v, &mut o, &options).unwrap();
        assert_eq!(o, basis.multiply(&v, &options).unwrap().y);
        basis
            .multiply_transposed_into(&v, &mut o, &options)
            .unwrap();
        assert_eq!(o, basis.multiply_transposed(&v, &options).unwrap().y);
        basis.apply_transposed_into(&v, &mut o, &options).unwrap();
        assert_eq!(o, basis.apply_transposed(&v, &options).unwrap().y);
        basis.apply_into(&v, &mut o, None, &options).unwrap();
        assert_eq!(o, expected.o);
    }
    let between = wide.slice(s![.., .., .., ..;2]);
    assert!(between.iter().all(|&x| x == gap));
}

#[test]
fn a_basis_keeps_its_own_copy() {
    let mut column = ndarray::Array1::<f64>::linspace(0.0, -1.0, 20);
    let basis = ConvBasis::toeplitz(&column, &ConvOptions::new()).unwrap();
    let before = basis.to_dense(&ConvOptions::new()).unwrap();
    column.fill(5.0);
    drop(column);
    assert_eq!(basis.to_dense(&ConvOptions::new()).unwrap(), before);
    let v = Array2::<f64>::ones((20, 1));
    let weights = basis.exp(&ConvOptions::new()).unwrap();
    drop(basis);
    let sums = weights.multiply(&v, &ConvOptions::new()).unwrap().y;
    assert!(sums.index_axis(Axis(1), 0).iter().all(|&sum| sum > 0.0));
}
