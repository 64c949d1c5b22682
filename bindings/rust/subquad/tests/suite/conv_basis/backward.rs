//! Gradients with the weights of a basis.

use ndarray::{Array2, Array4};
use subquad::{ConvBasis, ConvOptions, GradientsMut, sys};

use super::budget::method;
use super::dense::{self, Layer};
use super::logits::Logits;
use super::structured::Structured;
use crate::budget::{assert_within, unit};
use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(any_basis, the_faster_of_both_ways, only_what_is_asked_for,);

fn by_basis<'a>() -> ConvOptions<'a> {
    ConvOptions::new().backward_method(sys::SUBQUAD_METHOD_CONV_BASIS)
}

fn assert_gradients<T: Real>(
    basis: &ConvBasis<T>,
    p: &Array4<f64>,
    problem: &Problem<T>,
    options: &ConvOptions<'_>,
    error: f64,
) {
    let Problem { q, k, v, .. } = problem;
    let mut shape = q.raw_dim();
    shape[3] = v.dim().3;
    let d_o = uniform(shape, 9);
    let layer = Layer {
        q,
        k,
        v,
        d_o: &d_o,
        scale: problem.scale(),
    };
    let (expected, budgets) = dense::gradients(p, &layer, error);
    let gradients = basis.backward(q, k, v, &d_o, options).unwrap();
    assert!(gradients.d_lag_bias.is_none());
    let actual = [gradients.dq, gradients.dk, gradients.dv];
    for (name, ((actual, expected), budget)) in ["dq", "dk", "dv"]
        .iter()
        .zip(actual.iter().zip(&expected).zip(&budgets))
    {
        assert_within(name, actual, expected, budget);
    }
}

/// What one apply may err, and the sums over d and d_v that come after it.
fn error<T: Real>(problem: &Problem<T>) -> f64 {
    let terms = problem.q.dim().3 + problem.v.dim().3 + problem.q.dim().1;
    2.0 * method::<T>() + terms as f64 * unit::<T>()
}

/// The formulas hold for any basis, whether it comes from q and k or not.
fn any_basis<T: Real>() {
    for (n, bases, first) in [(1, 1, 0), (2, 0, 0), (13, 3, 2), (64, 1, 0), (131, 5, 30)] {
        for (heads, key_heads) in [(1, 1), (4, 2)] {
            let extents = Extents {
                batch: 2,
                heads,
                key_heads,
                ..Extents::square(n)
            };
            let mut problem = Problem::<T>::new(extents);
            let logits = Logits::<T>::new([2, heads, bases, n], first).scaled(3.0);
            let (p, _) = dense::softmax(&logits.dense());
            let budget = error(&problem);
            assert_gradients(&logits.basis(), &p, &problem, &by_basis(), budget);
            problem.scale = Some(-1.5);
            assert_gradients(
                &logits.basis(),
                &p,
                &problem,
                &by_basis().scale(-1.5),
                budget,
            );
        }
    }
    let empty = Problem::<T>::new(Extents::square(0));
    let logits = Logits::<T>::new([1, 1, 0, 0], 0);
    assert_gradients(&logits.basis(), &logits.dense(), &empty, &by_basis(), 0.0);
}

/// On structured logits the exact gradients are the same, and which was faster is in the report.
fn the_faster_of_both_ways<T: Real>() {
    let structured = Structured::<T>::new(
        Extents {
            heads: 2,
            ..Extents::square(150)
        },
        3,
        12,
        0.0,
    );
    let Problem { q, k, v, .. } = &structured.problem;
    let basis = Logits {
        starts: ndarray::Array::from_shape_fn((1, 2, 3), |(.., r)| structured.starts[r] as i64),
        kernels: ndarray::Array::from_shape_fn((1, 2, 3, 150), |(_, head, r, _)| {
            let (query, key) = (
                q[[0, head, 0, 0]].into(),
                k[[0, 0, structured.starts[r], 0]].into(),
            );
            T::of(query * key * structured.problem.scale())
        }),
    };
    let (p, _) = dense::softmax(&dense::logits(q, k, structured.problem.scale()));
    // The logits are rounded twice, the exact way's and the kernels': relative errors of weights.
    let budget = error(&structured.problem) + (16.0 * structured.eps).exp_m1();
    for options in [
        ConvOptions::new(),
        by_basis(),
        ConvOptions::new().backward_method(sys::SUBQUAD_METHOD_EXACT),
    ] {
        assert_gradients(&basis.basis(), &p, &structured.problem, &options, budget);
    }
    let ran = |options: &ConvOptions<'_>| {
        let gradients = basis.basis().backward(
            q,
            k,
            v,
            &uniform(q.raw_dim(), 9).slice_move(ndarray::s![.., .., .., ..3]),
            options,
        );
        gradients
            .unwrap()
            .report
            .string(sys::SUBQUAD_REPORT_METHOD)
            .unwrap()
            .to_lowercase()
    };
    assert_eq!(ran(&by_basis()), "conv_basis");
    let exact = ConvOptions::new().backward_method(sys::SUBQUAD_METHOD_EXACT);
    assert_eq!(ran(&exact), "exact");
    assert!(["exact", "conv_basis"].contains(&ran(&ConvOptions::new()).as_str()));
}

fn only_what_is_asked_for<T: Real>() {
    let problem = Problem::<T>::new(Extents::square(70));
    let Problem { q, k, v, .. } = &problem;
    let basis = Logits::<T>::new([1, 1, 4, 70], 3).basis();
    let all = basis.backward(q, k, v, v, &by_basis()).unwrap();
    let (mut dq, mut dk, mut dv) = (q.clone(), k.clone(), v.clone());
    let requests = [
        GradientsMut {
            dq: Some(&mut dq),
            ..GradientsMut::default()
        },
        GradientsMut {
            dk: Some(&mut dk),
            ..GradientsMut::default()
        },
        GradientsMut {
            dv: Some(&mut dv),
            ..GradientsMut::default()
        },
    ];
    for request in requests {
        basis
            .backward_into(q, k, v, v, request, &by_basis())
            .unwrap();
    }
    assert!(dq == all.dq && dk == all.dk && dv == all.dv);
}

#[test]
fn a_basis_has_no_gradient_by_lag() {
    let x = Array2::<f64>::ones((3, 2));
    let basis = Logits::<f64>::new([1, 1, 1, 3], 0).basis();
    let mut d_lag_bias = Array2::zeros((1, 3));
    let gradients = GradientsMut {
        d_lag_bias: Some(&mut d_lag_bias),
        ..GradientsMut::default()
    };
    let error = basis
        .backward_into(&x, &x, &x, &x, gradients, &by_basis())
        .unwrap_err();
    assert_eq!(error.code(), sys::SUBQUAD_ERR_UNSUPPORTED);
    assert!(error.message().contains("d_lag_bias"), "{error}");
}
