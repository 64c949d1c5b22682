//! Dense matrices of any strides, sparse ones and blocks: all are the same matrix.

use subquad::{Sparsified, Sparsify, sys};

use super::budget::roundoff_whitened;
use super::find::{assert_sparsifies, barriers, factor, leverage};
use super::matrices::{self, for_each_source};
use super::oracle::{gram, whiten};
use crate::problem::Real;

in_both_precisions!(
    leverage_of_any_storage,
    barriers_of_any_storage,
    gram_of_any_storage,
    eps_of_any_storage,
    y_as_a_sparse_matrix,
    y_into_a_strided_array,
);

/// The same columns, and weights within round-off, as from the row-major matrix.
fn assert_alike<T: Real>(
    name: &str,
    found: &Sparsified<T>,
    expected: &Sparsified<T>,
    relative: f64,
) {
    let (ours, theirs) = (&found.sparsifier, &expected.sparsifier);
    assert_eq!(ours.indices(), theirs.indices(), "{name}");
    let (ours, theirs) = (ours.weights().unwrap(), theirs.weights().unwrap());
    for (own, other) in ours.iter().zip(&theirs) {
        assert!(
            (own - other).abs() <= relative * other,
            "{name}: {own}, not {other}"
        );
    }
}

fn leverage_of_any_storage<T: Real>() {
    let x = matrices::sparse::<T>(5, 120);
    let whitened = whiten(&x);
    let expected = leverage(25).run(&x).unwrap();
    // 1 / (1 - exp(-T tau)) moves by less than tau does, and T is found from all scores.
    let relative = 2.0 * roundoff_whitened::<T>(&whitened, 5);
    for_each_source!(x, |name, source| {
        let found = leverage(25).run(source).unwrap();
        assert_sparsifies(name, &found, &x, &whitened);
        let route = |found: &Sparsified<T>| found.report.string(sys::SUBQUAD_REPORT_SCORES);
        assert_eq!(route(&found), route(&expected), "{name}");
        assert_alike(name, &found, &expected, relative);
    });
}

fn barriers_of_any_storage<T: Real>() {
    let x = matrices::sparse::<T>(5, 120);
    let whitened = whiten(&x);
    for_each_source!(x, |name, source| {
        let found = barriers(40).run(source).unwrap();
        let epsilon = assert_sparsifies(name, &found, &x, &whitened);
        assert!(
            epsilon <= super::budget::method_barriers(40, 5),
            "{name}: {epsilon}"
        );
    });
}

fn gram_of_any_storage<T: Real>() {
    let x = matrices::sparse::<T>(6, 90);
    let whitened = whiten(&x);
    let relative = roundoff_whitened::<T>(&whitened, 6) / whitened.condition;
    let exact = gram(&x);
    for_each_source!(x, |name, source| {
        let sparsifier = factor().run(source).unwrap().sparsifier;
        let own = gram(&sparsifier.y().unwrap());
        for ((i, j), &expected) in exact.indexed_iter() {
            let budget = relative * (exact[[i, i]] * exact[[j, j]]).sqrt();
            let error = (own[[i, j]] - expected).abs();
            assert!(
                error <= budget,
                "{name}: [{i}, {j}] errs by {error:e}, not {budget:e}"
            );
        }
        assert!(
            sparsifier.epsilon().unwrap() <= roundoff_whitened::<T>(&whitened, 6),
            "{name}"
        );
    });
}

fn eps_of_any_storage<T: Real>() {
    let x = matrices::sparse::<T>(3, 400);
    let whitened = whiten(&x);
    for_each_source!(x, |name, source| {
        let found = Sparsify::new()
            .method(sys::SUBQUAD_SPARSIFIER_DETERMINISTIC)
            .eps(0.6)
            .certify(sys::SUBQUAD_CERTIFICATE_EXACT)
            .run(source)
            .unwrap();
        let epsilon = assert_sparsifies(name, &found, &x, &whitened);
        assert!(epsilon <= 0.6, "{name}: {epsilon}");
        assert!(found.sparsifier.width() <= 28, "{name}"); // c = 9, and a step more
    });
}

fn y_as_a_sparse_matrix<T: Real>() {
    let x = matrices::sparse::<T>(7, 150);
    let sparsifier = leverage(30)
        .run(&matrices::csc::<T, usize>(&x))
        .unwrap()
        .sparsifier;
    let (y, sparse) = (sparsifier.y().unwrap(), sparsifier.y_sparse().unwrap());
    assert!(sparse.is_csc());
    assert_eq!((sparse.rows(), sparse.cols()), y.dim());
    assert_eq!(
        sparse.nnz(),
        y.iter().filter(|&&entry| entry != T::of(0.0)).count()
    );
    for ((i, j), &entry) in y.indexed_iter() {
        assert_eq!(sparse.get(i, j).copied().unwrap_or(T::of(0.0)), entry);
    }
}

fn y_into_a_strided_array<T: Real>() {
    let x = matrices::dense::<T>(4, 60);
    let sparsifier = leverage(9).run(&x).unwrap().sparsifier;
    let gap = T::of(-77.0);
    let mut wide = ndarray::Array2::from_elem((19, 4), gap);
    let mut y = wide.view_mut().reversed_axes();
    let mut y = y.slice_mut(ndarray::s![..;-1, 1..;2]);
    sparsifier.y_into(&mut y).unwrap();
    assert_eq!(y, sparsifier.y().unwrap());
    assert!(
        wide.slice(ndarray::s![..;2, ..])
            .iter()
            .all(|&entry| entry == gap)
    );
}

/// What `slice_outer` cuts out of a sparse matrix has offsets that do not begin at 0.
#[test]
fn slices_of_sparse_matrices() {
    let x = matrices::sparse::<f64>(6, 200);
    let middle = x.slice(ndarray::s![.., 50..150]).to_owned();
    let expected = leverage(20).run(&middle).unwrap();
    let whole = matrices::csc::<f64, i32>(&x);
    let sliced = whole.slice_outer(50..150);
    let found = leverage(20).run(&sliced.view()).unwrap();
    assert_sparsifies("columns", &found, &middle, &whiten(&middle));
    assert_eq!(found.sparsifier.indices(), expected.sparsifier.indices());

    let rows = x.slice(ndarray::s![2..5, ..]).to_owned();
    let whole = matrices::csr::<f64, i64>(&x);
    let found = leverage(20).run(&whole.slice_outer(2..5).view()).unwrap();
    assert_sparsifies("rows", &found, &rows, &whiten(&rows));
}

/// A broadcast view has columns without end, and all alike.
#[test]
fn broadcast_columns() {
    let column = ndarray::array![[1.0_f32], [2.0], [-0.5]];
    let x = column.broadcast((3, 5000)).unwrap();
    let (owned, found) = (x.to_owned(), barriers(9).run(&x).unwrap());
    let epsilon = assert_sparsifies("broadcast", &found, &owned, &whiten(&owned));
    assert!(epsilon <= super::budget::method_barriers(9, 1), "{epsilon}");
}
