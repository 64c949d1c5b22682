//! The forward call against the oracle.

use ndarray::{Array2, Axis, Dim, Ix4, array};
use subquad::{Attention, Context, Output, simd_targets, sys};

use crate::budget::assert_within;
use crate::oracle::{Expected, forward};
use crate::problem::{Extents, Problem, Real};

in_both_precisions!(
    any_number_of_positions,
    any_number_of_heads,
    queries_and_keys_of_different_number,
    any_width,
    lag_biases,
    key_ranges,
    scales,
    logits_that_exp_cannot_reach,
    every_simd_target,
    two_and_three_dimensions,
);

/// Run a problem and hold what comes back against the oracle.
fn assert_right<T: Real>(problem: &Problem<T>) {
    assert_meets(problem, problem.attention(), &forward(problem));
}

fn assert_meets<T: Real>(problem: &Problem<T>, attention: Attention<'_, T>, expected: &Expected) {
    let output = attention
        .run(&problem.q, &problem.k, &problem.v)
        .unwrap_or_else(|error| panic!("{error}: {problem:?}"));
    assert_output(&output, expected);
}

pub fn assert_output<T: Real>(output: &Output<T, Ix4>, expected: &Expected) {
    assert_within("o", &output.o, &expected.o, &expected.o_budget);
    assert_within("lse", &output.lse, &expected.lse, &expected.lse_budget);
    let pairs = output.report.int(sys::SUBQUAD_REPORT_PAIRS);
    assert_eq!(pairs, Ok(expected.pairs));
}

fn any_number_of_positions<T: Real>() {
    // None, one, primes, and the neighbourhoods of powers of two, where blocks end.
    for n in [0, 1, 2, 3, 7, 13, 31, 61, 63, 64, 65, 127, 128, 131] {
        let problem = Problem::<T>::new(Extents::square(n));
        assert_right(&problem);
        assert_right(&problem.causal(None));
    }
}

fn any_number_of_heads<T: Real>() {
    for batch in [0, 1, 3] {
        for (heads, key_heads) in [
            (0, 0),
            (0, 2),
            (1, 1),
            (2, 1),
            (3, 3),
            (4, 2),
            (6, 2),
            (8, 1),
        ] {
            let extents = Extents {
                batch,
                heads,
                key_heads,
                ..Extents::square(11)
            };
            if key_heads > 0 {
                assert_right(&Problem::<T>::new(extents).causal(None));
            }
        }
    }
}

fn queries_and_keys_of_different_number<T: Real>() {
    for (queries, keys) in [(1, 37), (37, 1), (5, 70), (70, 5), (0, 7), (7, 0)] {
        let extents = Extents {
            queries,
            keys,
            heads: 2,
            ..Extents::square(0)
        };
        assert_right(&Problem::<T>::new(extents));
        // The ends aligned, all in the past, all in the future (nothing is seen), and in between.
        let aligned = keys as i64 - queries as i64;
        for offset in [
            aligned,
            0,
            keys as i64,
            -(queries as i64),
            -3,
            1 << 40,
            -(1 << 40),
        ] {
            assert_right(&Problem::<T>::new(extents).causal(Some(offset)));
        }
    }
}

fn any_width<T: Real>() {
    for (d, d_v) in [
        (1, 1),
        (1, 17),
        (17, 1),
        (16, 16),
        (64, 33),
        (131, 64),
        (3, 0),
    ] {
        let extents = Extents {
            d,
            d_v,
            ..Extents::square(35)
        };
        assert_right(&Problem::<T>::new(extents).causal(None));
    }
}

fn lag_biases<T: Real>() {
    let extents = Extents {
        batch: 2,
        heads: 4,
        key_heads: 2,
        ..Extents::square(19)
    };
    for rows in [1, 4] {
        assert_right(&Problem::<T>::new(extents).biased(rows));
        assert_right(&Problem::<T>::new(extents).causal(None).biased(rows));
    }
    let longer = Extents {
        keys: 40,
        ..extents
    };
    assert_right(&Problem::<T>::new(longer).causal(Some(21)).biased(1));
}

fn key_ranges<T: Real>() {
    let extents = Extents {
        batch: 4,
        heads: 2,
        ..Extents::square(23)
    };
    // Padding on the right, on the left, all of it, and a range that reaches beyond the keys.
    let ranges = array![[0, 17], [5, 23], [9, 9], [-50, 50]];
    for causal in [false, true] {
        let mut problem = Problem::<T>::new(extents);
        problem.causal = causal;
        problem.key_ranges = Some(ranges.clone());
        assert_right(&problem);
        problem.key_ranges = Some(array![[3, 11]]);
        assert_right(&problem);
    }
}

fn scales<T: Real>() {
    for scale in [0.0, 1.0, -2.5, 30.0] {
        let mut problem = Problem::<T>::new(Extents::square(29));
        problem.scale = Some(scale);
        assert_right(&problem);
    }
}

fn logits_that_exp_cannot_reach<T: Real>() {
    // exp(1e4) is infinite and exp(-1e4) is zero in both precisions.
    let mut problem = Problem::<T>::new(Extents::square(67));
    problem.scale = Some(1e4);
    assert_right(&problem.clone().causal(None));
    // Every logit of a row far below zero.
    problem.scale = None;
    let mut problem = problem.biased(1);
    let bias = problem.lag_bias.as_mut().unwrap();
    bias.mapv_inplace(|bias| T::of(bias.into() - 1e4));
    assert_right(&problem);
}

fn every_simd_target<T: Real>() {
    let extents = Extents {
        heads: 2,
        d: 37,
        d_v: 21,
        ..Extents::square(83)
    };
    let problem = Problem::<T>::new(extents).causal(None).biased(2);
    let expected = forward(&problem);
    for target in simd_targets().unwrap() {
        let mut context = Context::new().unwrap();
        context.set_simd_target(Some(target)).unwrap();
        assert_meets(&problem, problem.attention().context(&context), &expected);
        let report = context.info().unwrap();
        assert_eq!(
            report.string(sys::SUBQUAD_REPORT_SIMD_TARGET).as_deref(),
            Ok(target)
        );
    }
}

fn two_and_three_dimensions<T: Real>() {
    let problem = Problem::<T>::new(Extents {
        heads: 4,
        key_heads: 2,
        ..Extents::square(9)
    });
    let Expected {
        o,
        o_budget,
        lse,
        lse_budget,
        ..
    } = forward(&problem);
    let batch = Axis(0);
    let heads = Attention::new()
        .run(
            &problem.q.index_axis(batch, 0),
            &problem.k.index_axis(batch, 0),
            &problem.v.index_axis(batch, 0),
        )
        .unwrap();
    assert_within(
        "o",
        &heads.o,
        &o.index_axis(batch, 0),
        &o_budget.index_axis(batch, 0),
    );
    assert_within(
        "lse",
        &heads.lse,
        &lse.index_axis(batch, 0),
        &lse_budget.index_axis(batch, 0),
    );

    let matrix = |x: &ndarray::Array4<T>, head| x.slice(ndarray::s![0, head, .., ..]).to_owned();
    let one = Attention::new()
        .run(
            &matrix(&problem.q, 3),
            &matrix(&problem.k, 1),
            &matrix(&problem.v, 1),
        )
        .unwrap();
    let row = ndarray::s![0, 3, ..];
    let block = ndarray::s![0, 3, .., ..];
    assert_within("o", &one.o, &o.slice(block), &o_budget.slice(block));
    assert_within("lse", &one.lse, &lse.slice(row), &lse_budget.slice(row));

    // Dimensions that are known at run time only.
    let dynamic = |x: &ndarray::Array4<T>, head| matrix(x, head).into_dyn();
    let again = Attention::new()
        .run(
            &dynamic(&problem.q, 3),
            &dynamic(&problem.k, 1),
            &dynamic(&problem.v, 1),
        )
        .unwrap();
    assert_eq!(again.o, one.o.into_dyn());
    assert_eq!(again.lse.shape(), [9]);
}

#[test]
fn rows_that_see_nothing_are_zero() {
    let x = Array2::<f32>::ones((3, 2));
    let output = Attention::new()
        .causal(true)
        .causal_offset(-2)
        .run(&x, &x, &x)
        .unwrap();
    assert_eq!(output.o, array![[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]);
    assert_eq!(output.lse[0], f32::NEG_INFINITY);
    assert_eq!(output.lse[1], f32::NEG_INFINITY);
}

#[test]
fn unchecked_input_reaches_the_output() {
    let mut v = Array2::<f64>::ones((3, 2));
    v[[2, 1]] = f64::NAN;
    let x = Array2::<f64>::ones((3, 2));
    let output = Attention::new()
        .causal(true)
        .check_finite(false)
        .run(&x, &x, &v)
        .unwrap();
    assert!(output.o[[2, 1]].is_nan());
    assert!(output.o[[2, 0]].is_finite());
}

#[test]
fn options_can_be_set_by_id_and_the_last_setting_counts() {
    let x = Array2::<f64>::from_shape_fn(Dim([5, 2]), |(i, l)| (i + l) as f64);
    let named = Attention::new()
        .causal(true)
        .scale(0.5)
        .run(&x, &x, &x)
        .unwrap();
    let by_id = Attention::new()
        .causal(false)
        .set_int(sys::SUBQUAD_OPTION_CAUSAL, 1)
        .set_float(sys::SUBQUAD_OPTION_SCALE, 0.5)
        .method(sys::SUBQUAD_METHOD_EXACT)
        .run(&x, &x, &x)
        .unwrap();
    assert_eq!(named.o, by_id.o);
}
