//! What attention may cost and err: the options of method auto.

use crate::array::Element;
use crate::attention::Attention;
use crate::sys;

impl<T: Element> Attention<'_, T> {
    /// The error to stay within, in `[0, 1]`: by method auto, which this selects, the relative Frobenius error of each head's output,
    ///
    /// ```text
    /// e = |o~ - o|_F / |o|_F      estimated on sampled rows, with a 95 % interval: an estimate, not a bound
    /// ```
    ///
    /// Each head gets the cheapest of these whose estimate is within `tol`:
    ///
    /// - *selected*, near-linear: the last keys, heavy columns (single keys for all queries), groups of 16 keys that blocks of queries
    ///   choose, and a far field in place of all other keys;
    /// - *screened*: all logits in 8-bit integers, weights and values only where they matter to a row;
    /// - *exact*, where nothing cheaper is good enough, as with few keys; always where `tol` is 0.
    ///
    /// [`Report::heads`](crate::Report::heads) tells which each head got, and why.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::{Attention, fill_uniform};
    ///
    /// // Queries that look most at keys of a time like their own: a slow turn of both.
    /// let turn = |i: usize, l: usize| 3.0 * (i as f32 / 300.0 + l as f32 * std::f32::consts::FRAC_PI_2).cos();
    /// let x = Array2::from_shape_fn((4096, 16), |(i, l)| turn(i, l % 2));
    /// let mut v = Array2::<f32>::zeros((4096, 8));
    /// fill_uniform(&mut v, 1, 0, 0.0, 1.0)?;
    /// let exact = Attention::new().causal(true).run(&x, &x, &v)?.o;
    /// let near = Attention::new().causal(true).tol(0.1).run(&x, &x, &v)?;
    /// let head = &near.report.heads()?[0];
    /// assert!(head.error <= 0.1);
    /// let error = (near.o - &exact).mapv(|x| x * x).sum() / exact.mapv(|x| x * x).sum();
    /// assert!(error.sqrt() <= 1.25 * 0.1);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn tol(mut self, tol: f64) -> Self {
        self.call
            .assume_int(sys::SUBQUAD_OPTION_METHOD, sys::SUBQUAD_METHOD_AUTO.into());
        self.set_float(sys::SUBQUAD_OPTION_TOL, tol)
    }

    /// The work to stay within, by method auto, which this selects; in place of [`tol`](Self::tol), never beside it: the share of the
    /// visible pairs whose weights may be computed, up to 1, or such keys per query, above 1. Each head gets what has the least
    /// estimated error within it.
    pub fn budget(mut self, budget: f64) -> Self {
        self.call
            .assume_int(sys::SUBQUAD_OPTION_METHOD, sys::SUBQUAD_METHOD_AUTO.into());
        self.set_float(sys::SUBQUAD_OPTION_BUDGET, budget)
    }

    /// What method auto's error estimate rests on, `sys::SUBQUAD_ESTIMATE_*`. `SCREENED`: every row has been screened against every key
    /// in low precision, so that no key that a single query needs can hide. `SAMPLED`: such a key is found where the mean of its group
    /// shows it. Where it is not set, screened for sequences so short that this is cheap; the report says which.
    pub fn estimate(self, estimate: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_ESTIMATE, estimate.into())
    }

    /// What method auto may use, a sum of `sys::SUBQUAD_PART_*`; all where it is not set. A window of the last keys and exact attention
    /// always may be.
    pub fn parts(self, parts: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_PARTS, parts.into())
    }
}
