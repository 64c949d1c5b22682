//! Recovery and fits.

use ndarray::Array4;
use subquad::{ConvBasis, ConvOptions, FitOptions, RecoverOptions, Report, sys};

use super::budget::{method, method_o, transform_growth};
use super::dense;
use super::structured::Structured;
use crate::budget::{assert_within, unit};
use crate::problem::{Extents, Problem, Real};

in_both_precisions!(
    recovery_finds_all_starts,
    recovery_within_noise,
    recovered_kernels_are_columns_of_logits,
    recovery_of_rotated_queries_and_keys,
    fewer_bases_than_asked_for,
    a_fit_of_structured_logits_is_exact,
    a_fit_with_a_tolerance_reaches_it,
    a_fit_measures_what_is_there,
);

const WINDOW: usize = 4;

fn extents(n: usize) -> Extents {
    Extents {
        batch: 2,
        heads: 4,
        key_heads: 2,
        ..Extents::square(n)
    }
}

fn recover<T: Real>(structured: &Structured<T>, bases: usize) -> (ConvBasis<T>, Report) {
    let Problem { q, k, .. } = &structured.problem;
    let delta = WINDOW as f64 * structured.step;
    // eps may not exceed delta / (5 window).
    let options = RecoverOptions::new(bases, WINDOW, delta).eps(structured.eps);
    let found = ConvBasis::recover(q, k, &options).unwrap();
    (found.basis, found.report)
}

fn assert_recovered<T: Real>(n: usize, pieces: usize, first: usize, noise: f64) {
    let structured = Structured::<T>::new(extents(n), pieces, first, noise);
    let (basis, report) = recover(&structured, pieces);
    let context = format!("n {n}, {pieces} pieces from {first}, noise {noise}");
    assert_eq!((basis.batch(), basis.heads(), basis.n()), (2, 4, n));
    for head in basis.starts().unwrap().rows() {
        assert!(
            head.iter()
                .map(|&start| start as usize)
                .eq(structured.starts.iter().copied()),
            "{context}"
        );
    }
    assert_eq!(
        report.ints(sys::SUBQUAD_REPORT_BASES),
        Ok(vec![pieces as i64; 8])
    );
    let most = (pieces * ((n as f64).log2().ceil() as usize + 1)) as i64;
    assert!(
        report.int(sys::SUBQUAD_REPORT_PROBES).unwrap() <= most,
        "{context}"
    );
    assert!(
        report.int(sys::SUBQUAD_REPORT_COLUMNS).unwrap() <= pieces as i64,
        "{context}"
    );
    let bound = 2.0 * structured.eps.tanh();
    let reported = report.float(sys::SUBQUAD_REPORT_ERROR_BOUND).unwrap();
    assert!(
        (reported - bound).abs() <= 4.0 * unit::<f64>() * bound,
        "{context}"
    );

    // The theorem: attention with the basis against attention with the logits as they are.
    let Problem { q, k, v, .. } = &structured.problem;
    let (p, _) = dense::softmax(&dense::logits(q, k, structured.problem.scale()));
    let o = dense::weighted(&p, v);
    let budget = method_o(&o, v) * ((bound + method::<T>()) / method::<T>());
    let output = basis.apply(v, &ConvOptions::new()).unwrap();
    assert_within(&context, &output.o, &o, &budget);
}

fn recovery_finds_all_starts<T: Real>() {
    for n in [WINDOW, 13, 64, 101, 257] {
        for pieces in [1, 2, 3, 8] {
            for first in [0, n / 4] {
                if (n - first) / pieces >= WINDOW {
                    assert_recovered::<T>(n, pieces, first, 0.0);
                }
            }
        }
    }
}

fn recovery_within_noise<T: Real>() {
    let step = Structured::<T>::new(extents(WINDOW), 1, 0, 0.0).step;
    for (n, pieces, first) in [(61, 3, 0), (64, 4, 7), (257, 8, 20)] {
        for part in [0.05, 0.7] {
            assert_recovered::<T>(n, pieces, first, part * step / 5.0);
        }
    }
}

/// An entry is an inner product and a difference that is undone: kernels are kept in cumulative form.
fn recovered_kernels_are_columns_of_logits<T: Real>() {
    let structured = Structured::<T>::new(extents(83), 5, 6, 0.02);
    let (basis, _) = recover(&structured, 5);
    let Problem { q, k, .. } = &structured.problem;
    let scale = structured.problem.scale();
    let kernels = basis.kernels(&ConvOptions::new().cumulative(true)).unwrap();
    let h = dense::logits(q, k, scale);
    let sizes = dense::logits(
        &q.mapv(|x| T::of(x.into().abs())),
        &k.mapv(|x| T::of(x.into().abs())),
        scale,
    );
    let (mut expected, mut budget) = (
        Array4::zeros(kernels.raw_dim()),
        Array4::zeros(kernels.raw_dim()),
    );
    for ((b, head, r, lag), expected) in expected.indexed_iter_mut() {
        let start = structured.starts[r];
        if start + lag < 83 {
            *expected = h[[b, head, start + lag, start]];
            let size = sizes[[b, head, start + lag, start]];
            budget[[b, head, r, lag]] = (q.dim().3 as f64 + 6.0) * unit::<T>() * size;
        }
    }
    assert_within("kernels", &kernels, &expected, &budget);
}

/// Rotary positions with constant queries and keys: one basis, exactly but for the rounding of queries and keys.
fn recovery_of_rotated_queries_and_keys<T: Real>() {
    let n = 200;
    let mut problem = Problem::<T>::new(Extents {
        d: 4,
        ..Extents::square(n)
    })
    .causal(None);
    for (x, phase) in [(&mut problem.q, 0.3), (&mut problem.k, 0.0)] {
        for ((.., i, l), entry) in x.indexed_iter_mut() {
            let angle = i as f64 * [0.7, 0.05][l / 2] + phase;
            *entry = T::of(if l % 2 == 0 { angle.cos() } else { angle.sin() });
        }
    }
    let Problem { q, k, v, .. } = &problem;
    // Logits are at most 1 in magnitude, and the first column opens a basis. Products of rounded factors, and their sum.
    let eps = 2.0 * (4.0 + 6.0) * T::UNIT;
    let options = RecoverOptions::new(3, 8, 0.5).eps(eps);
    let found = ConvBasis::recover(q, k, &options).unwrap();
    assert_eq!(found.basis.starts().unwrap(), ndarray::array![[[0]]]);
    let (p, _) = dense::softmax(&dense::logits(q, k, problem.scale()));
    let o = dense::weighted(&p, v);
    let budget = method_o(&o, v) * (1.0 + 2.0 * eps.tanh() / method::<T>());
    let output = found.basis.apply(v, &ConvOptions::new()).unwrap();
    assert_within("o", &output.o, &o, &budget);
}

fn fewer_bases_than_asked_for<T: Real>() {
    let structured = Structured::<T>::new(extents(120), 3, 10, 0.01);
    let (three, _) = recover(&structured, 3);
    let (most, report) = recover(&structured, 50);
    assert_eq!(report.ints(sys::SUBQUAD_REPORT_BASES), Ok(vec![3; 8]));
    assert_eq!(most.bases(), 3);
    assert_eq!(most.starts(), three.starts());
    let options = ConvOptions::new();
    assert_eq!(most.kernels(&options), three.kernels(&options));
    let (none, _) = recover(&structured, 0);
    assert_eq!(none.bases(), 0);
}

/// Weights of exactly structured logits, in the l1 norm: a mean of logits is a cross-correlation, whose transforms err relative to the
/// norms of all queries and keys even where it is of one pair; a weight errs by the difference of two logits, relatively, and sums of
/// them by as many roundings as there are keys.
fn roundoff_weights<T: Real>(structured: &Structured<T>) -> f64 {
    let n = structured.problem.q.dim().2;
    let largest = structured.step * 2.0 * structured.starts.len() as f64;
    let logit = transform_growth(n) * n as f64 * unit::<T>() * largest;
    (2.0 * logit).exp_m1() + 2.0 * (n as f64 + 8.0) * unit::<T>()
}

fn a_fit_of_structured_logits_is_exact<T: Real>() {
    for (n, pieces) in [(64, 1), (101, 3), (300, 6)] {
        let structured = Structured::<T>::new(extents(n), pieces, 0, 0.0);
        let Problem { q, k, v, .. } = &structured.problem;
        let found = ConvBasis::fit(q, k, &FitOptions::new().bases(pieces)).unwrap();
        let roundoff = roundoff_weights(&structured);
        for error in found.report.floats(sys::SUBQUAD_REPORT_ERROR_MAX).unwrap() {
            assert!(error <= roundoff, "{error:e} above {roundoff:e}");
        }
        let (p, _) = dense::softmax(&dense::logits(q, k, structured.problem.scale()));
        let o = dense::weighted(&p, v);
        let budget = method_o(&o, v) * (1.0 + roundoff / method::<T>());
        let output = found.basis.apply(v, &ConvOptions::new()).unwrap();
        assert_within("o", &output.o, &o, &budget);
    }
}

fn a_fit_with_a_tolerance_reaches_it<T: Real>() {
    // Long enough that four bases are cheaper than exact attention.
    let structured = Structured::<T>::new(extents(2048), 4, 0, 0.0);
    let Problem { q, k, .. } = &structured.problem;
    let tol = 0.01;
    let found = ConvBasis::fit(q, k, &FitOptions::new().tol(tol)).unwrap();
    let errors = found.report.floats(sys::SUBQUAD_REPORT_ERROR_MEAN).unwrap();
    assert_eq!(errors.len(), 8);
    assert!(errors.iter().all(|&error| error <= tol), "{errors:?}");
}

/// On unstructured input: what is reported of sampled rows against all rows.
fn a_fit_measures_what_is_there<T: Real>() {
    let problem = Problem::<T>::new(extents(150)).causal(None);
    let Problem { q, k, .. } = &problem;
    let (exact, _) = dense::softmax(&dense::logits(q, k, problem.scale()));
    for bases in [1, 8] {
        let found = ConvBasis::fit(q, k, &FitOptions::new().bases(bases).seed(5)).unwrap();
        assert!(found.basis.bases() <= bases);
        let h = found.basis.to_dense(&ConvOptions::new()).unwrap();
        let (fitted, _) = dense::softmax(&h.mapv(Into::into));
        let rows = (fitted - &exact).mapv(f64::abs).sum_axis(ndarray::Axis(3));
        let report = &found.report;
        let [mean, most] = [
            sys::SUBQUAD_REPORT_ERROR_MEAN,
            sys::SUBQUAD_REPORT_ERROR_MAX,
        ]
        .map(|key| report.floats(key).unwrap());
        assert_eq!((mean.len(), most.len()), (8, 8));
        // Rows of weights add up to 1, each weight within round-off of its logit's.
        let roundoff = 2.0 * (150.0 + 2.0 * 16.0) * unit::<T>();
        for (head, errors) in rows.rows().into_iter().enumerate() {
            let worst = errors.fold(0.0_f64, |top, &x| top.max(x));
            assert!(
                0.0 < mean[head] && mean[head] <= most[head],
                "{mean:?} {most:?}"
            );
            assert!(
                most[head] <= worst + roundoff,
                "{} above {worst}",
                most[head]
            );
        }
        assert!(report.int(sys::SUBQUAD_REPORT_SAMPLED_ROWS).unwrap() > 0);
        let again = ConvBasis::fit(q, k, &FitOptions::new().bases(bases).seed(5)).unwrap();
        assert_eq!(
            again.report.floats(sys::SUBQUAD_REPORT_ERROR_MEAN),
            Ok(mean)
        );
    }
}

#[test]
fn the_scale_of_a_fit_is_that_of_its_logits() {
    let structured = Structured::<f64>::new(Extents::square(40), 2, 0, 0.0);
    let Problem { q, k, .. } = &structured.problem;
    let kernels = |options: &FitOptions<'_>| {
        let found = ConvBasis::fit(q, k, options).unwrap();
        found.basis.kernels(&ConvOptions::new()).unwrap()
    };
    // A power of two changes no bit of what is not scaled.
    let scale = structured.problem.scale();
    assert_eq!(
        kernels(&FitOptions::new().bases(2)) * 2.0,
        kernels(&FitOptions::new().bases(2).scale(2.0 * scale))
    );
}
