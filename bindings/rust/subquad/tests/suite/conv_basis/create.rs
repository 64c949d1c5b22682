//! Bases from kernels and from dense matrices, what they give back, and the exp transform.

use ndarray::{Array2, Array3, Array4, Axis, array};
use subquad::{ConvBasis, ConvOptions};

use super::logits::Logits;
use crate::budget::{assert_within, unit};
use crate::problem::{Real, uniform};

in_both_precisions!(
    kernels_come_back_as_they_were_given,
    increments_add_up,
    increments_are_differences,
    dense_matrices,
    the_fewest_bases_of_a_dense_matrix,
    any_lower_triangular_matrix,
    toeplitz_columns,
    exp_transforms,
);

/// Sizes, numbers of bases, and first starts, with heads that lack bases among them.
fn all<T: Real>() -> Vec<Logits<T>> {
    let mut all = Vec::new();
    for n in [1, 2, 3, 13, 64, 101] {
        for bases in [0, 1, 2, 7] {
            for first in [0, n / 3] {
                if bases <= n - first {
                    let several = Logits::new([2, 3, bases, n], first);
                    all.push(Logits::new([1, 1, bases, n], first));
                    all.push(several.clone().without_bases([1, 2], bases / 2));
                    all.push(several.without_bases([0, 0], 0));
                }
            }
        }
    }
    all.push(Logits::new([1, 2, 0, 0], 0));
    all
}

fn kernels_come_back_as_they_were_given<T: Real>() {
    for logits in all::<T>() {
        let basis = logits.basis();
        let (batch, heads, _, n) = logits.kernels.dim();
        assert_eq!((basis.batch(), basis.heads(), basis.n()), (batch, heads, n));
        // Where no head has a basis more, there is no place for it.
        let bases = basis.bases();
        let used = |starts: &ndarray::ArrayView1<'_, i64>| {
            starts.iter().filter(|&&start| start < n as i64).count()
        };
        let most = logits
            .starts
            .lanes(Axis(2))
            .into_iter()
            .map(|lane| used(&lane))
            .max();
        assert_eq!(Some(bases), most);
        let kept = ndarray::s![.., .., ..bases];
        assert_eq!(basis.starts().unwrap(), logits.starts.slice(kept));
        let cumulative = ConvOptions::new().cumulative(true);
        let kernels = logits.kernels_given_back();
        let kept = ndarray::s![.., .., ..bases, ..];
        assert_eq!(basis.kernels(&cumulative).unwrap(), kernels.slice(kept));
    }
}

fn increments_add_up<T: Real>() {
    for increments in all::<T>() {
        let Logits { starts, kernels } = &increments;
        let basis = ConvBasis::new(starts, kernels, &ConvOptions::new()).unwrap();
        let h = basis.to_dense(&ConvOptions::new()).unwrap();
        let (mut sums, mut budget) = (Array4::zeros(h.raw_dim()), Array4::zeros(h.raw_dim()));
        for ((b, head, i, j), sum) in sums.indexed_iter_mut() {
            let opened = starts.slice(ndarray::s![b, head, ..]);
            let opened = opened
                .iter()
                .filter(|&&start| start <= j as i64 && j <= i)
                .count();
            let terms = (0..opened).map(|r| -> f64 { kernels[[b, head, r, i - j]].into() });
            *sum = terms.clone().sum();
            let size: f64 = terms.map(f64::abs).sum();
            budget[[b, head, i, j]] = opened as f64 * unit::<T>() * size;
        }
        assert_within("h", &h, &sums, &budget);
    }
}

fn increments_are_differences<T: Real>() {
    let logits = Logits::<T>::new([1, 2, 4, 37], 5);
    let increments = logits.basis().kernels(&ConvOptions::new()).unwrap();
    let kernels = logits.kernels_given_back();
    for ((b, head, r, lag), &increment) in increments.indexed_iter() {
        let entry = |r: usize| -> f64 { kernels[[b, head, r, lag]].into() };
        let means_something = lag as i64 + logits.starts[[b, head, r]] < 37;
        let before = if r > 0 { entry(r - 1) } else { 0.0 };
        let expected = if means_something {
            entry(r) - before
        } else {
            0.0
        };
        assert_eq!(increment, T::of(expected));
    }
}

fn dense_matrices<T: Real>() {
    for logits in all::<T>() {
        let h = logits.basis().to_dense(&ConvOptions::new()).unwrap();
        assert_eq!(h.mapv(Into::<f64>::into), logits.dense());
    }
    let one = Logits::<T>::new([1, 1, 3, 11], 1);
    let mut h = Array2::from_elem((11, 11), T::of(f64::NAN));
    one.basis()
        .to_dense_into(&mut h, &ConvOptions::new())
        .unwrap();
    assert_eq!(
        h.mapv(Into::<f64>::into),
        one.dense().index_axis(Axis(0), 0).index_axis(Axis(0), 0)
    );
}

fn the_fewest_bases_of_a_dense_matrix<T: Real>() {
    for logits in all::<T>() {
        let h = logits.dense().mapv(T::of);
        let basis = ConvBasis::from_dense(&h, &ConvOptions::new()).unwrap();
        assert_eq!(basis.to_dense(&ConvOptions::new()).unwrap(), h);
        assert!(basis.bases() <= logits.kernels.dim().2);
    }
}

fn any_lower_triangular_matrix<T: Real>() {
    let mut h: Array3<T> = uniform(ndarray::Dim([2, 23, 23]), 12);
    for ((_, i, j), entry) in h.indexed_iter_mut() {
        if j > i {
            *entry = T::of(0.0);
        }
    }
    let basis = ConvBasis::from_dense(&h, &ConvOptions::new()).unwrap();
    assert_eq!((basis.batch(), basis.heads(), basis.bases()), (1, 2, 23));
    let mut again = h.clone();
    basis
        .to_dense_into(&mut again, &ConvOptions::new())
        .unwrap();
    assert_eq!(again, h);
}

fn toeplitz_columns<T: Real>() {
    let column: Array2<T> = uniform(ndarray::Dim([3, 17]), 13);
    let basis = ConvBasis::toeplitz(&column, &ConvOptions::new()).unwrap();
    assert_eq!(
        (basis.batch(), basis.heads(), basis.bases(), basis.n()),
        (1, 3, 1, 17)
    );
    let h = basis.to_dense(&ConvOptions::new()).unwrap();
    for ((_, head, i, j), &entry) in h.indexed_iter() {
        let expected = if j <= i {
            column[[head, i - j]]
        } else {
            T::of(0.0)
        };
        assert_eq!(entry, expected);
    }
    let one = ConvBasis::toeplitz(&column.index_axis(Axis(0), 1), &ConvOptions::new()).unwrap();
    assert_eq!(
        one.kernels(&ConvOptions::new()).unwrap(),
        basis
            .kernels(&ConvOptions::new())
            .unwrap()
            .slice(ndarray::s![.., 1..2, .., ..])
    );
}

/// exp errs by a few units of round-off, and by as many of its argument's magnitude where it is computed in another base.
fn exp_transforms<T: Real>() {
    for logits in all::<T>().into_iter().map(|logits| logits.scaled(8.0)) {
        let weights = logits.basis().exp(&ConvOptions::new()).unwrap();
        let h = logits.dense();
        let mut expected = h.mapv(f64::exp);
        for ((.., i, j), weight) in expected.indexed_iter_mut() {
            if j > i {
                *weight = 0.0;
            }
        }
        let mut budget = expected.clone();
        budget.zip_mut_with(&h, |weight, logit| {
            *weight *= (4.0 + 2.0 * logit.abs()) * unit::<T>();
        });
        let actual = weights.to_dense(&ConvOptions::new()).unwrap();
        assert_within("exp", &actual, &expected, &budget);
    }
}

#[test]
fn columns_before_the_first_start_are_worth_one_after_exp() {
    let options = ConvOptions::new().cumulative(true);
    let basis = ConvBasis::new(&array![2_i64], &array![[0.0, 0.0, 0.0]], &options).unwrap();
    let weights = basis.exp(&options).unwrap();
    assert_eq!(
        weights.starts().unwrap().index_axis(Axis(2), 0),
        array![[0]]
    );
    assert_eq!(
        weights.to_dense(&options).unwrap(),
        array![[[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]]]
    );
}

#[test]
fn what_lies_beyond_a_kernel_is_never_read() {
    let kernels = array![[1.0, 2.0, f64::NAN], [f64::INFINITY, f64::NAN, f64::NAN]];
    let basis = ConvBasis::new(&array![1_i64, 3], &kernels, &ConvOptions::new()).unwrap();
    assert_eq!(basis.bases(), 1);
    assert_eq!(
        basis.kernels(&ConvOptions::new()).unwrap(),
        array![[[[1.0, 2.0, 0.0]]]]
    );
}
