//! Queries and keys, sparsified together.

use ndarray::{Array2, Axis, concatenate, s};
use subquad::{Sparsify, sys};

use super::find::{assert_sparsifies, barriers, factor, leverage};
use super::matrices;
use super::oracle::whiten;
use crate::budget::unit;
use crate::problem::Real;

in_both_precisions!(pairs_are_stacked, storages_mix);

fn queries_and_keys<T: Real>() -> (Array2<T>, Array2<T>, Array2<T>) {
    let stacked = matrices::sparse::<T>(7, 140);
    let (q, k) = stacked.view().split_at(Axis(0), 3);
    (q.to_owned(), k.to_owned(), stacked)
}

fn pairs_are_stacked<T: Real>() {
    let (q, k, stacked) = queries_and_keys::<T>();
    let whitened = whiten(&stacked);
    for options in [leverage(30), barriers(50)] {
        let found = options.run_pair(&q, &k).unwrap();
        assert_sparsifies("pair", &found, &stacked, &whitened);
        let sparsifier = &found.sparsifier;
        assert_eq!(sparsifier.query_rows(), Some(3));
        let (y, y_q, y_k) = (sparsifier.y(), sparsifier.y_q(), sparsifier.y_k());
        let again = concatenate![Axis(0), y_q.unwrap(), y_k.unwrap()];
        assert_eq!(again, y.unwrap());
        // The largest norms of a query and of a key, each a sum of 140 squares.
        let longest = |x: &Array2<T>| {
            let squares = x.map_axis(Axis(1), |row| {
                row.iter().map(|&x| x.into() * x.into()).sum()
            });
            squares.fold(0.0_f64, |top, &x: &f64| top.max(x)).sqrt()
        };
        let expected = longest(&q) * longest(&k);
        let error = (sparsifier.radius() - expected).abs();
        assert!(
            error <= 144.0 * unit::<T>() * expected,
            "{}",
            sparsifier.radius()
        );
        let alone = options.run(&stacked).unwrap().sparsifier;
        assert_eq!(alone.query_rows(), None);
        assert_eq!((alone.y_q(), alone.y_k()), (alone.y(), alone.y()));
        assert_eq!(alone.indices(), sparsifier.indices());
    }
    let found = factor().run_pair(&q, &k).unwrap();
    assert_eq!(found.sparsifier.y_q().unwrap().dim(), (3, 7));
    assert_eq!(found.sparsifier.y_k().unwrap().dim(), (4, 7));
}

fn storages_mix<T: Real>() {
    let (q, k, stacked) = queries_and_keys::<T>();
    let whitened = whiten(&stacked);
    let expected = leverage(30).run_pair(&q, &k).unwrap().sparsifier.indices();
    let assert_alike = |name: &str, found: subquad::Result<subquad::Sparsified<T>>| {
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_sparsifies(name, &found, &stacked, &whitened);
        assert_eq!(found.sparsifier.indices(), expected, "{name}");
    };
    let reversed = k.t().as_standard_layout().into_owned().reversed_axes();
    assert_alike("column-major", leverage(30).run_pair(&q, &reversed));
    let (q_blocks, k_blocks) = (matrices::blocks(&q, 9), matrices::blocks(&k, 20));
    assert_alike("dense, blocks", leverage(30).run_pair(&q, &k_blocks));
    assert_alike("blocks, dense", leverage(30).run_pair(&q_blocks, &k));
    assert_alike("blocks", leverage(30).run_pair(&q_blocks, &k_blocks));
    {
        let (q_sparse, k_sparse) = (matrices::csc::<T, i32>(&q), matrices::csr::<T, usize>(&k));
        assert_alike("CSC, CSR", leverage(30).run_pair(&q_sparse, &k_sparse));
        assert_alike("CSC, dense", leverage(30).run_pair(&q_sparse, &k));
        assert_alike("blocks, CSR", leverage(30).run_pair(&q_blocks, &k_sparse));
    }
}

/// Errors of the function that writes keys come back in the type of the one that writes queries.
#[test]
fn errors_of_either_function() {
    #[derive(Debug)]
    enum Failure {
        Reading(std::io::Error),
        Library(subquad::Error),
    }
    impl From<std::io::Error> for Failure {
        fn from(error: std::io::Error) -> Self {
            Self::Reading(error)
        }
    }
    impl From<subquad::Error> for Failure {
        fn from(error: subquad::Error) -> Self {
            Self::Library(error)
        }
    }

    let (q, k, _) = queries_and_keys::<f64>();
    let writes = subquad::ColumnBlocks::new(3, 140, |columns, block| {
        block.assign(&q.slice(s![.., columns]));
        Ok::<(), Failure>(())
    });
    let fails = subquad::ColumnBlocks::new(4, 140, |_, _: &mut ndarray::ArrayRef2<f64>| {
        Err(Failure::from(std::io::Error::other("a disk is gone")))
    });
    match leverage(30).run_pair(&writes, &fails).unwrap_err() {
        Failure::Reading(error) => assert_eq!(error.to_string(), "a disk is gone"),
        Failure::Library(error) => panic!("{error}"),
    }
    match Sparsify::new().run_pair(&writes, &k).unwrap_err() {
        Failure::Library(error) => assert_eq!(error.code(), sys::SUBQUAD_ERR_CONFLICT),
        Failure::Reading(error) => panic!("{error}"),
    }
}
