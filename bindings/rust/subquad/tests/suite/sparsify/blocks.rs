//! Functions that write blocks of columns: what they are asked, and what becomes of their errors and panics.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ndarray::{Array2, ArrayRef2, s};
use subquad::{ColumnBlocks, LeverageScores, Report, SparsifierOptions, Sparsify, sys};

use super::find::{barriers, factor, leverage};
use super::matrices;
use crate::errors::assert_refused;

/// What goes wrong in these tests: an error of the function's own, or one of the library.
#[derive(Debug)]
enum Failure {
    Unreadable { column: usize },
    Library(subquad::Error),
}

impl From<subquad::Error> for Failure {
    fn from(error: subquad::Error) -> Self {
        Self::Library(error)
    }
}

/// What a call asks of a function for this matrix.
fn asked_for(
    x: &Array2<f32>,
    call: impl FnOnce(&ColumnBlocks<'_, f32, subquad::Error>) -> subquad::Result<Report>,
) -> (Vec<Range<usize>>, Report) {
    let asked = RefCell::new(Vec::new());
    let blocks = ColumnBlocks::new(x.nrows(), x.ncols(), |columns, block| {
        assert_eq!(block.dim(), (x.nrows(), columns.len()));
        assert!(
            block.iter().all(|&entry| entry == 0.0),
            "a block begins as zeros"
        );
        block.assign(&x.slice(s![.., columns.clone()]));
        asked.borrow_mut().push(columns);
        Ok(())
    });
    let report = call(&blocks.block_columns(100)).unwrap();
    (asked.into_inner(), report)
}

#[test]
fn all_columns_are_asked_for_in_order_and_twice() {
    let uncertified = leverage(20).certify(sys::SUBQUAD_CERTIFICATE_NONE);
    let scores = LeverageScores::new();
    // What is small enough is kept for the second pass.
    for columns in [103, 5000] {
        let x = matrices::dense::<f32>(5, columns);
        for (asked, report) in [
            asked_for(&x, |x| leverage(20).run(x).map(|found| found.report)),
            asked_for(&x, |x| uncertified.run(x).map(|found| found.report)),
            asked_for(&x, |x| factor().run(x).map(|found| found.report)),
            asked_for(&x, |x| scores.run(x).map(|found| found.report)),
        ] {
            assert!(
                asked.iter().all(|columns| columns.len() <= 100),
                "{asked:?}"
            );
            let passes = report.int(sys::SUBQUAD_REPORT_PASSES).unwrap();
            assert!(
                passes <= 2 && (passes == 2 || columns < 5000),
                "{passes} passes"
            );
            let in_order = (0..passes).flat_map(|_| 0..columns);
            assert!(asked.into_iter().flatten().eq(in_order), "{passes} passes");
        }
        let exact = scores.clone().scores(sys::SUBQUAD_SCORE_EXACT);
        let (asked, report) = asked_for(&x, |x| exact.run(x).map(|found| found.report));
        let passes = report.int(sys::SUBQUAD_REPORT_PASSES).unwrap();
        assert!(passes <= 3, "{passes} passes");
        let in_order = (0..passes).flat_map(|_| 0..columns);
        assert!(asked.into_iter().flatten().eq(in_order), "{passes} passes");
    }
}

#[test]
fn errors_come_back_as_they_are() {
    let x = matrices::dense::<f64>(4, 60);
    for bad in [0, 31, 59] {
        let blocks = ColumnBlocks::new(4, 60, |columns, block| {
            if columns.contains(&bad) {
                return Err(Failure::Unreadable { column: bad });
            }
            block.assign(&x.slice(s![.., columns]));
            Ok(())
        });
        let blocks = blocks.block_columns(7);
        let options = SparsifierOptions::new();
        let sparsifier = leverage(10).run(&x).unwrap().sparsifier;
        let errors = [
            leverage(10).run(&blocks).map(drop).unwrap_err(),
            barriers(10).run(&blocks).map(drop).unwrap_err(),
            factor().run(&blocks).map(drop).unwrap_err(),
            LeverageScores::new().run(&blocks).map(drop).unwrap_err(),
            sparsifier
                .softmax_error(&blocks, &options)
                .map(drop)
                .unwrap_err(),
        ];
        for error in errors {
            let unreadable = matches!(error, Failure::Unreadable { column } if column == bad);
            assert!(unreadable, "{error:?}");
        }
    }
}

#[test]
fn an_error_in_the_second_pass() {
    let x = matrices::dense::<f64>(4, 60);
    let calls = Cell::new(0);
    let blocks = ColumnBlocks::new(4, 60, |columns, block| {
        calls.set(calls.get() + 1);
        if calls.get() == 8 {
            return Err(Failure::Unreadable {
                column: columns.start,
            });
        }
        block.assign(&x.slice(s![.., columns]));
        Ok(())
    });
    let error = leverage(10).run(&blocks.block_columns(10)).unwrap_err();
    assert!(
        matches!(error, Failure::Unreadable { column: 10 }),
        "{error:?}"
    );
    assert_eq!(calls.get(), 8);
}

#[test]
fn errors_of_the_library_are_made_into_the_functions() {
    let writes = |value: f64| {
        ColumnBlocks::new(3, 50, move |_, block: &mut ArrayRef2<f64>| {
            block.fill(1.0);
            block[[2, 0]] = value;
            Ok::<(), Failure>(())
        })
    };
    let library = |error: Failure| match error {
        Failure::Library(error) => error,
        Failure::Unreadable { .. } => panic!("{error:?}"),
    };
    let result = leverage(10)
        .run(&writes(f64::NAN).block_columns(8))
        .map_err(library);
    assert_refused(result, sys::SUBQUAD_ERR_NONFINITE, &["x", "2, 0"]);
    let result = Sparsify::new().run(&writes(1.0)).map_err(library);
    assert_refused(result, sys::SUBQUAD_ERR_CONFLICT, &["columns", "eps"]);
    // Which is what a caller with `?` and a boxed error sees.
    let boxed = || -> Result<(), Box<dyn std::error::Error>> {
        let blocks = ColumnBlocks::new(3, 50, |_, _: &mut ArrayRef2<f64>| {
            Err::<(), Box<dyn std::error::Error>>("out of paper".into())
        });
        leverage(10).run(&blocks)?;
        Ok(())
    };
    assert_eq!(boxed().unwrap_err().to_string(), "out of paper");
}

#[test]
fn a_panic_goes_on_from_the_call() {
    let blocks = ColumnBlocks::new(4, 60, |columns, _: &mut ArrayRef2<f32>| {
        panic!("no column {}", columns.start);
        #[allow(unreachable_code, reason = "gives the function its type")]
        Ok::<(), subquad::Error>(())
    });
    for _ in 0..2 {
        let call = catch_unwind(AssertUnwindSafe(|| leverage(10).run(&blocks)));
        let message = call
            .expect_err("the panic goes on")
            .downcast::<String>()
            .unwrap();
        assert_eq!(*message, "no column 0");
    }
    // Nothing of it stays behind in this thread's context.
    let x = matrices::dense::<f32>(4, 60);
    assert!(leverage(10).run(&x).is_ok());
}

#[test]
fn a_function_may_compute_with_the_library() {
    let x = matrices::dense::<f64>(4, 60);
    let blocks = ColumnBlocks::new(4, 60, |columns, block| {
        let part = x.slice(s![.., columns]);
        LeverageScores::new().run(&part)?;
        block.assign(&part);
        Ok::<(), subquad::Error>(())
    });
    let expected = leverage(10).run(&x).unwrap().sparsifier.indices();
    assert_eq!(
        leverage(10).run(&blocks).unwrap().sparsifier.indices(),
        expected
    );
}

#[test]
fn entries_that_are_not_written_are_zero() {
    let x = matrices::sparse::<f32>(5, 90);
    let blocks = ColumnBlocks::new(5, 90, |columns, block| {
        for (j, mut column) in columns.zip(block.columns_mut()) {
            for (i, &entry) in x
                .column(j)
                .indexed_iter()
                .filter(|(_, entry)| **entry != 0.0)
            {
                column[i] = entry;
            }
        }
        Ok::<(), subquad::Error>(())
    });
    let scores = LeverageScores::new().scores(sys::SUBQUAD_SCORE_EXACT);
    let blocks = blocks.block_columns(4);
    assert_eq!(
        scores.run(&blocks).unwrap().scores,
        scores.run(&matrices::blocks(&x, 4)).unwrap().scores
    );
}

#[test]
fn sizes_beyond_the_address_space() {
    let blocks = |rows, columns| {
        ColumnBlocks::new(rows, columns, |_, _: &mut ArrayRef2<f64>| {
            Ok::<(), subquad::Error>(())
        })
    };
    assert_refused(
        leverage(10).run(&blocks(usize::MAX, 3)),
        sys::SUBQUAD_ERR_SIZE,
        &["rows"],
    );
    let debug = format!("{:?}", blocks(2, 3).block_columns(5));
    assert!(
        debug.contains("columns: 3") && debug.contains("block_columns: 5"),
        "{debug}"
    );
}

#[test]
fn estimates_read_too_often() {
    let x = Array2::<f64>::ones((3, 50));
    let result = leverage(10)
        .certify(sys::SUBQUAD_CERTIFICATE_ESTIMATE)
        .run(&matrices::blocks(&x, 0));
    assert_refused(result, sys::SUBQUAD_ERR_UNSUPPORTED, &["certify"]);
}
