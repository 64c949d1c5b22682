//! Matrices at the edge: empty, zero, narrow, and sparsifiers that are the matrix itself.

use ndarray::{Array2, Array4, Axis, array, concatenate, s};
use subquad::{LeverageScores, Sparsified, SparsifierOptions, Sparsify, sys};

use super::find::{assert_sparsifies, barriers, factor, leverage};
use super::matrices::{self, for_each_source};
use super::oracle::whiten;
use crate::problem::Real;

in_both_precisions!(
    as_many_columns_as_there_are,
    fewer_columns_than_rows,
    no_rows,
    no_columns,
    nothing_but_zeros,
    zero_columns_are_never_chosen,
    duplicate_columns,
    rows_of_any_size,
);

fn assert_is_x<T: Real>(name: &str, found: &Sparsified<T>, x: &Array2<T>) {
    let sparsifier = &found.sparsifier;
    assert_eq!(sparsifier.indices(), Ok((0..x.ncols()).collect()), "{name}");
    assert!(
        sparsifier.weights().unwrap().iter().all(|&w| w == 1.0),
        "{name}"
    );
    assert_eq!(sparsifier.y().unwrap(), x, "{name}");
    assert_eq!(sparsifier.epsilon(), Some(0.0), "{name}");
    assert_eq!(sparsifier.ratio_bound(3.0), Ok(1.0), "{name}");
}

fn as_many_columns_as_there_are<T: Real>() {
    let x = matrices::sparse::<T>(4, 23);
    for columns in [23, 24, 1000, usize::MAX >> 8] {
        for find in [leverage(columns), barriers(columns)] {
            for_each_source!(x, |name, source| assert_is_x(
                name,
                &find.run(source).unwrap(),
                &x
            ));
        }
    }
}

fn fewer_columns_than_rows<T: Real>() {
    let x = matrices::dense::<T>(7, 4);
    let whitened = whiten(&x);
    let found = leverage(3).run(&x).unwrap();
    assert_eq!(found.sparsifier.width(), 3);
    let epsilon = assert_sparsifies("narrow", &found, &x, &whitened);
    let roundoff = super::budget::roundoff_whitened::<T>(&whitened, 7);
    assert!(epsilon >= 1.0 - roundoff, "{epsilon}");
    assert_is_x("barriers", &barriers(4).run(&x).unwrap(), &x);
    // A factor of no fewer columns is X itself.
    assert_is_x("gram", &factor().run(&x).unwrap(), &x);
}

fn no_rows<T: Real>() {
    let x = Array2::<T>::from_elem((0, 5), T::of(0.0));
    assert!(
        LeverageScores::new()
            .run(&x)
            .unwrap()
            .scores
            .iter()
            .all(|&tau| tau == 0.0)
    );
    for find in [leverage(3), barriers(3), factor()] {
        for_each_source!(x, |name, source| {
            let sparsifier = find.run(source).unwrap().sparsifier;
            assert_eq!(sparsifier.epsilon(), Some(0.0), "{name}");
            assert_eq!(
                sparsifier.y().unwrap().dim(),
                (0, sparsifier.width()),
                "{name}"
            );
            assert!(sparsifier.width() <= 5, "{name}");
        });
    }
    let sparsifier = leverage(3).run(&x).unwrap().sparsifier;
    let v = Array2::from_elem((0, 2), T::of(0.0));
    let o = sparsifier
        .attention(&v, &SparsifierOptions::new())
        .unwrap()
        .o;
    assert_eq!(o.dim(), (0, 2));
}

fn no_columns<T: Real>() {
    let x = Array2::<T>::from_elem((4, 0), T::of(0.0));
    assert_eq!(LeverageScores::new().run(&x).unwrap().scores.len(), 0);
    for find in [leverage(3), barriers(3), factor()] {
        for_each_source!(x, |name, source| assert_is_x(
            name,
            &find.run(source).unwrap(),
            &x
        ));
    }
}

fn nothing_but_zeros<T: Real>() {
    let x = Array2::<T>::from_elem((4, 30), T::of(0.0));
    assert!(
        LeverageScores::new()
            .run(&x)
            .unwrap()
            .scores
            .iter()
            .all(|&tau| tau == 0.0)
    );
    let v = Array2::from_shape_fn((4, 1), |(i, _)| T::of(i as f64));
    for find in [leverage(6), barriers(6), factor()] {
        for_each_source!(x, |name, source| {
            let found = find.run(source).unwrap();
            assert_eq!(found.sparsifier.width(), 0, "{name}");
            assert_eq!(found.sparsifier.epsilon(), Some(0.0), "{name}");
            assert_eq!(found.report.int(sys::SUBQUAD_REPORT_RANK), Ok(0), "{name}");
            // Logits of 0: every row is the mean of 0, 1, 2, 3, exactly.
            let attention = found.sparsifier.attention(&v, &SparsifierOptions::new());
            let o = attention
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .o;
            assert!(o.iter().all(|&o| o == T::of(1.5)), "{name}: {o}");
        });
    }
    assert_is_x("all", &leverage(30).run(&x).unwrap(), &x);
}

fn zero_columns_are_never_chosen<T: Real>() {
    let mut x = Array2::from_elem((4, 400), T::of(0.0));
    let nonzero = matrices::dense::<T>(4, 10);
    x.slice_mut(s![.., 3..;40]).assign(&nonzero);
    for (columns, width) in [(8, 8), (10, 10), (11, 10), (100, 10)] {
        let found = leverage(columns).run(&x).unwrap();
        assert_sparsifies("leverage", &found, &x, &whiten(&x));
        let indices = found.sparsifier.indices().unwrap();
        assert_eq!(indices.len(), width, "{columns} columns");
        assert!(indices.iter().all(|j| j % 40 == 3), "{indices:?}");
    }
    let found = barriers(60).run(&x).unwrap();
    assert_sparsifies("barriers", &found, &x, &whiten(&x));
    assert!(
        found
            .sparsifier
            .indices()
            .unwrap()
            .iter()
            .all(|j| j % 40 == 3)
    );
}

fn duplicate_columns<T: Real>() {
    let once = matrices::dense::<T>(4, 12);
    let x = concatenate![Axis(1), once, once, once, once];
    let (whitened, scores) = (whiten(&x), LeverageScores::new().run(&x).unwrap().scores);
    let relative = super::budget::roundoff_whitened::<T>(&whitened, 4);
    for j in 12..48 {
        let difference = (scores[j] - scores[j % 12]).abs();
        assert!(
            difference <= 2.0 * relative * scores[j],
            "{j}: {difference:e}"
        );
    }
    for find in [leverage(20), barriers(24)] {
        assert_sparsifies("duplicates", &find.run(&x).unwrap(), &x, &whitened);
    }
}

/// Rows may be as large and as small as their squared norms can be told; a power of two changes nothing.
fn rows_of_any_size<T: Real>() {
    let x = matrices::dense::<T>(4, 90);
    let exponent = if T::UNIT > f64::UNIT { 55 } else { 480 };
    let mut scaled = x.clone();
    for (i, power) in [exponent, -exponent, 3, 0].into_iter().enumerate() {
        let factor = 2.0_f64.powi(power);
        scaled
            .row_mut(i)
            .mapv_inplace(|entry| T::of(factor * entry.into()));
    }
    let whitened = whiten(&x);
    let relative = super::budget::roundoff_whitened::<T>(&whitened, 4);
    let scores = LeverageScores::new().scores(sys::SUBQUAD_SCORE_EXACT);
    let (plain, own) = (
        scores.run(&x).unwrap().scores,
        scores.run(&scaled).unwrap().scores,
    );
    for (j, (own, plain)) in own.iter().zip(&plain).enumerate() {
        assert!(
            (own - plain).abs() <= 2.0 * relative * plain,
            "{j}: {own}, not {plain}"
        );
    }
    for find in [leverage(20), barriers(24)] {
        let found = find.run(&scaled).unwrap();
        let (indices, weights) = (
            found.sparsifier.indices().unwrap(),
            found.sparsifier.weights().unwrap(),
        );
        let expected = whitened.epsilon(&indices, &weights);
        let budget = super::budget::roundoff_epsilon::<T>(&whitened, 4, expected);
        let epsilon = found.sparsifier.epsilon().unwrap();
        assert!(
            (epsilon - expected).abs() <= budget,
            "{epsilon}, not {expected}"
        );
    }
}

#[test]
fn views_of_any_ownership_are_accepted() {
    let owned = matrices::dense::<f32>(3, 40);
    let shared = owned.to_shared();
    let cow = ndarray::CowArray::from(owned.view());
    let four: Array4<f32> = owned.clone().insert_axis(Axis(0)).insert_axis(Axis(0));
    let expected = leverage(8).run(&owned).unwrap().sparsifier.indices();
    let find = |found: subquad::Result<Sparsified<f32>>| found.unwrap().sparsifier.indices();
    assert_eq!(find(leverage(8).run(&shared)), expected);
    assert_eq!(find(leverage(8).run(&cow)), expected);
    assert_eq!(
        find(leverage(8).run(&four.slice(s![0, 0, .., ..]))),
        expected
    );
    assert_eq!(
        find(leverage(8).run_pair(&owned.slice(s![..1, ..]), &cow.slice(s![1.., ..]))),
        expected
    );
}

#[test]
fn one_entry() {
    for x in [array![[2.0]], array![[-1e-30]]] {
        assert_is_x("one", &Sparsify::new().eps(0.5).run(&x).unwrap(), &x);
        let tau = LeverageScores::new().run(&x).unwrap().scores[0];
        assert!((tau - 1.0).abs() <= 8.0 * f64::UNIT, "{tau}");
    }
}
