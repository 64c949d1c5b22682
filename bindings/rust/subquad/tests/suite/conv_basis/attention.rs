//! Attention by method conv basis: found, applied, and differentiated.

use ndarray::{Array4, array};
use subquad::{Attention, ConvBasis, ConvOptions, FitOptions, RecoverOptions, sys};

use super::budget::{method, method_o};
use super::dense::{self, Layer};
use super::structured::Structured;
use crate::budget::{assert_within, unit};
use crate::finite_differences::assert_gradients;
use crate::oracle::forward;
use crate::problem::{Extents, Problem, Real, uniform};

in_both_precisions!(
    recovers_and_applies,
    fits_and_applies,
    a_lag_bias_is_added,
    strictly_causal_outputs,
    gradients_of_structured_logits,
);

const WINDOW: usize = 4;
const PIECES: usize = 3;

fn structured<T: Real>(n: usize) -> Structured<T> {
    let extents = Extents {
        batch: 2,
        heads: 4,
        key_heads: 2,
        ..Extents::square(n)
    };
    Structured::new(extents, PIECES, 5, 0.0)
}

fn by_conv_basis<T: Real>(structured: &Structured<T>) -> Attention<'_, T> {
    structured
        .problem
        .attention()
        .method(sys::SUBQUAD_METHOD_CONV_BASIS)
        .bases(PIECES)
        .window(WINDOW)
        .delta(WINDOW as f64 * structured.step)
        .eps(structured.eps)
}

/// What logits within eps of the true ones add to the method's error, and the oracle's round-off.
fn assert_right<T: Real>(structured: &Structured<T>, attention: &Attention<'_, T>) {
    let Problem { q, k, v, .. } = &structured.problem;
    let expected = forward(&structured.problem);
    let output = attention.run(q, k, v).unwrap();
    let bound = 1.0 + 2.0 * structured.eps.tanh() / method::<T>();
    let budget = method_o(&expected.o, v) * bound + &expected.o_budget;
    assert_within("o", &output.o, &expected.o, &budget);
    let lse_budget = &expected.lse_budget + 2.0 * structured.eps;
    assert_within("lse", &output.lse, &expected.lse, &lse_budget);
    let ran = output.report.string(sys::SUBQUAD_REPORT_METHOD).unwrap();
    assert_eq!(ran.to_lowercase(), "conv_basis");
}

fn recovers_and_applies<T: Real>() {
    for n in [31, 64, 150] {
        let structured = structured::<T>(n);
        assert_right(&structured, &by_conv_basis(&structured));
        let Problem { q, k, v, .. } = &structured.problem;
        let output = by_conv_basis(&structured).run(q, k, v).unwrap();
        let bases = output.report.ints(sys::SUBQUAD_REPORT_BASES);
        assert_eq!(bases, Ok(vec![PIECES as i64; 8]));
        let options = RecoverOptions::new(PIECES, WINDOW, WINDOW as f64 * structured.step)
            .eps(structured.eps);
        let basis = ConvBasis::recover(q, k, &options).unwrap().basis;
        assert_eq!(output.o, basis.apply(v, &ConvOptions::new()).unwrap().o);
    }
}

fn fits_and_applies<T: Real>() {
    let structured = structured::<T>(90);
    let Problem { q, k, v, .. } = &structured.problem;
    let output = Attention::new()
        .causal(true)
        .method(sys::SUBQUAD_METHOD_CONV_BASIS)
        .bases(4)
        .seed(3)
        .run(q, k, v)
        .unwrap();
    let found = ConvBasis::fit(q, k, &FitOptions::new().bases(4).seed(3)).unwrap();
    assert_eq!(
        output.o,
        found.basis.apply(v, &ConvOptions::new()).unwrap().o
    );
    let errors = output.report.floats(sys::SUBQUAD_REPORT_ERROR_MEAN);
    assert_eq!(errors, found.report.floats(sys::SUBQUAD_REPORT_ERROR_MEAN));
}

fn a_lag_bias_is_added<T: Real>() {
    for rows in [1, 4] {
        let mut structured = structured::<T>(70);
        structured.problem = structured.problem.biased(rows);
        // The bias is added to rounded kernels.
        structured.eps += 4.0 * unit::<T>() * 8.0;
        let attention = by_conv_basis(&structured);
        assert_right(&structured, &attention);
    }
}

fn strictly_causal_outputs<T: Real>() {
    let structured = structured::<T>(150);
    let Problem { q, k, v, .. } = &structured.problem;
    let attention = by_conv_basis(&structured).strict_causal(true);
    assert_right(&structured, &attention);
    let before = attention.run(q, k, v).unwrap().o;
    let mut v = v.clone();
    v.slice_mut(ndarray::s![.., .., 77.., ..]).fill(T::of(9.0));
    let after = attention.run(q, k, &v).unwrap().o;
    let kept = ndarray::s![.., .., ..77, ..];
    assert_eq!(after.slice(kept), before.slice(kept));
}

fn gradients_of_structured_logits<T: Real>() {
    let structured = structured::<T>(101);
    let Problem { q, k, v, .. } = &structured.problem;
    let (p, _) = dense::softmax(&dense::logits(q, k, structured.problem.scale()));
    for backward_method in [sys::SUBQUAD_METHOD_CONV_BASIS, sys::SUBQUAD_METHOD_EXACT] {
        let attention = by_conv_basis(&structured).backward_method(backward_method);
        let output = attention.run(q, k, v).unwrap();
        let d_o: Array4<T> = uniform(output.o.raw_dim(), 9);
        let layer = Layer {
            q,
            k,
            v,
            d_o: &d_o,
            scale: structured.problem.scale(),
        };
        let terms = q.dim().3 + v.dim().3 + q.dim().1;
        let error =
            2.0 * method::<T>() + terms as f64 * unit::<T>() + (2.0 * structured.eps).exp_m1();
        let (expected, budgets) = dense::gradients(&p, &layer, error);
        let gradients = attention
            .backward(q, k, v, &output.o, &output.lse, &d_o)
            .unwrap();
        let actual = [gradients.dq, gradients.dk, gradients.dv];
        for ((actual, expected), budget) in actual.iter().zip(&expected).zip(&budgets) {
            assert_within("gradient", actual, expected, budget);
        }
    }
}

/// The gradients are those of the logits as functions of q and k, also where these move out of the structure.
#[test]
fn finite_differences_of_structured_logits() {
    let extents = Extents {
        heads: 2,
        d: 3,
        d_v: 2,
        ..Extents::square(11)
    };
    let structured = Structured::<f64>::new(extents, 2, 0, 0.0);
    let attention = by_conv_basis(&structured).backward_method(sys::SUBQUAD_METHOD_CONV_BASIS);
    // Three columns of magnitude up to 2.5, and values and d_o of up to 1: what a gradient sums, times the method's error.
    let sums = 11.0 * 2.0 * 3.0 * 2.5;
    assert_gradients(&structured.problem, &attention, method::<f64>() * sums);
}

#[test]
fn what_a_conv_basis_cannot_do() {
    let structured = Structured::<f64>::new(Extents::square(30), PIECES, 5, 0.0);
    let Problem { q, k, v, .. } = &structured.problem;
    let refused = |attention: Attention<'_, f64>, code, words: &[&str]| {
        let error = attention.run(q, k, v).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        for word in words {
            assert!(
                error.message().contains(word),
                "`{word}` is not in: {error}"
            );
        }
    };
    let attention = || by_conv_basis(&structured);
    refused(
        attention().causal(false),
        sys::SUBQUAD_ERR_UNSUPPORTED,
        &["causal"],
    );
    let ranges = array![[0_i64, 9]];
    refused(
        attention().key_ranges(&ranges),
        sys::SUBQUAD_ERR_UNSUPPORTED,
        &["key_ranges"],
    );
    refused(
        attention().window(31),
        sys::SUBQUAD_ERR_VALUE,
        &["conv_window", "31"],
    );
    refused(
        attention().eps(1.0),
        sys::SUBQUAD_ERR_VALUE,
        &["conv_eps", "1"],
    );
    refused(
        attention().bases(1 << 31),
        sys::SUBQUAD_ERR_VALUE,
        &["bases", "2147483648"],
    );
    let incomplete = Attention::new()
        .causal(true)
        .method(sys::SUBQUAD_METHOD_CONV_BASIS);
    refused(incomplete, sys::SUBQUAD_ERR_CONFLICT, &["bases"]);
    let exact = Attention::new().causal(true).bases(2);
    refused(exact, sys::SUBQUAD_ERR_CONFLICT, &["bases", "2"]);
    let (short, bias) = (k.slice(ndarray::s![.., .., ..29, ..]), array![[0.0; 30]]);
    let error = attention()
        .causal_offset(1)
        .run(q, &short, &short)
        .unwrap_err();
    assert_eq!(error.code(), sys::SUBQUAD_ERR_UNSUPPORTED, "{error}");
    let attention = attention().lag_bias(&bias);
    let output = attention.run(q, k, v).unwrap();
    let error = attention
        .backward(q, k, v, &output.o, &output.lse, v)
        .unwrap_err();
    assert_eq!(error.code(), sys::SUBQUAD_ERR_UNSUPPORTED);
    assert!(error.message().contains("d_lag_bias"), "{error}");
}
