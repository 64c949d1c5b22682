//! Heads that are exact, having few keys or a tolerance of 0: everything is as by method exact, and the report says why.

use ndarray::array;
use subquad::{Attention, PlanOptions, sys};

use super::kinds::{LONG, kinds};
use crate::backward::assert_gradients;
use crate::forward::assert_output;
use crate::oracle::forward;
use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(
    any_number_of_positions,
    any_number_of_heads,
    queries_and_keys_of_different_number,
    biases_ranges_and_scales,
    two_and_three_dimensions,
    long_sequences,
);

fn assert_right<T: Real>(problem: &Problem<T>) {
    let Problem { q, k, v, .. } = problem;
    let expected = forward(problem);
    let options = PlanOptions::new();
    for attention in [problem.attention().tol(0.0), problem.attention().tol(0.1)] {
        let output = attention.run(q, k, v).unwrap();
        assert_output(&output, &expected);
        let heads = output.report.heads().unwrap();
        assert_eq!(heads.len(), q.dim().0 * q.dim().1);
        assert!(heads.iter().all(|head| head.is_exact()));
        assert!(heads.iter().all(|head| head.fallback.is_some()));
        assert!(heads.iter().all(|head| head.error == 0.0));
        let pairs: i64 = heads.iter().map(|head| head.pairs_exact).sum();
        assert_eq!(pairs, expected.pairs);

        for values in [None, Some(v)] {
            let plan = attention.plan(q, k, values.map(|v| &**v)).unwrap();
            let output = plan.apply(v, &options).unwrap();
            assert_output(&output, &expected);
            let d_o = uniform(output.o.raw_dim(), 9);
            let gradients = plan
                .backward(v, &output.o, &output.lse, &d_o, &options)
                .unwrap();
            assert_gradients(&gradients, problem, &d_o);
            assert!(gradients.d_lag_bias.is_none());
            let heads = gradients.report.heads().unwrap();
            assert!(heads.iter().all(|head| head.error_backward == Some(0.0)));
        }
    }
}

fn any_number_of_positions<T: Real>() {
    for n in [0, 1, 2, 13, 63, 64, 65, 131] {
        let problem = Problem::<T>::new(Extents::square(n));
        assert_right(&problem);
        assert_right(&problem.causal(None));
    }
}

fn any_number_of_heads<T: Real>() {
    for batch in [0, 1, 3] {
        for (heads, key_heads) in [(0, 2), (2, 1), (3, 3), (6, 2)] {
            let extents = Extents {
                batch,
                heads,
                key_heads,
                ..Extents::square(11)
            };
            assert_right(&Problem::<T>::new(extents).causal(None));
        }
    }
}

fn queries_and_keys_of_different_number<T: Real>() {
    for (queries, keys) in [(1, 37), (37, 1), (5, 70), (0, 7), (7, 0)] {
        let extents = Extents {
            queries,
            keys,
            heads: 2,
            d: 17,
            d_v: 9,
            ..Extents::square(0)
        };
        assert_right(&Problem::<T>::new(extents));
        for offset in [keys as i64 - queries as i64, 0, -3, 1 << 40] {
            assert_right(&Problem::<T>::new(extents).causal(Some(offset)));
        }
    }
}

fn biases_ranges_and_scales<T: Real>() {
    let extents = Extents {
        batch: 3,
        heads: 4,
        key_heads: 2,
        ..Extents::square(19)
    };
    for rows in [1, 4] {
        let mut problem = Problem::<T>::new(extents).causal(Some(2)).biased(rows);
        assert_right(&problem);
        problem.key_ranges = Some(array![[0, 9], [4, 4], [6, 40]]);
        assert_right(&problem);
        problem.scale = Some(-1.5);
        assert_right(&problem);
    }
}

fn two_and_three_dimensions<T: Real>() {
    let problem = Problem::<T>::new(Extents {
        heads: 4,
        key_heads: 2,
        ..Extents::square(9)
    });
    let all = problem.attention().tol(0.1);
    let o = all.run(&problem.q, &problem.k, &problem.v).unwrap().o;
    let heads = [&problem.q, &problem.k, &problem.v].map(|x| x.slice(ndarray::s![0, .., .., ..]));
    let attention = Attention::new().tol(0.1);
    let plan = attention.plan(&heads[0], &heads[1], None).unwrap();
    let output = plan.apply(&heads[2], &PlanOptions::new()).unwrap();
    assert_eq!(output.o, o.slice(ndarray::s![0, .., .., ..]));

    // Dimensions that are known at run time only.
    let [q, k, v] = [(&problem.q, 3), (&problem.k, 1), (&problem.v, 1)]
        .map(|(x, head)| x.slice(ndarray::s![0, head, .., ..]).into_dyn());
    let plan = attention.plan(&q, &k, Some(&v)).unwrap();
    let output = plan.apply(&v, &PlanOptions::new()).unwrap();
    assert_eq!(output.o, o.slice(ndarray::s![0, 3, .., ..]).into_dyn());
    assert_eq!(output.lse.shape(), [9]);
    assert_eq!(plan.report().unwrap().heads().unwrap().len(), 1);
}

/// A tolerance of 0 makes heads exact however long they are.
fn long_sequences<T: Real>() {
    let problem = kinds::<T>(LONG, 0).causal(None);
    let Problem { q, k, v, .. } = &problem;
    let exact = problem.attention().run(q, k, v).unwrap();
    let auto = problem.attention().tol(0.0).run(q, k, v).unwrap();
    assert!(auto.o == exact.o && auto.lse == exact.lse);
    for head in auto.report.heads().unwrap() {
        assert!(head.is_exact());
        let why = head.fallback.unwrap();
        assert!(why.contains("tol"), "{why}");
    }
    let seed = auto.report.int(sys::SUBQUAD_REPORT_SEED);
    assert_eq!(seed, Ok(0));
}
