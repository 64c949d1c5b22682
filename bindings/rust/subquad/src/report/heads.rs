//! What attention to a tolerance did, head by head.

use super::Report;
use crate::error::Result;
use crate::sys;

/// What method auto decided for a head, and what it did: see [`Report::heads`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// `"exact"`, `"screened"`, or `"window"` and the names of parts joined by `+`.
    pub parts: String,
    /// Why the head is exact; None where it is not.
    pub fallback: Option<String>,
    /// Pairs computed in the arrays' precision.
    pub pairs_exact: i64,
    /// Pairs whose weights were computed in low precision; in the report of a plan, what its sampled rows let expect.
    pub pairs_low: i64,
    /// Pairs of which only the logit was computed, in low precision.
    pub pairs_screened: i64,
    /// The estimated relative Frobenius error of the output; 0 where it is exact.
    pub error: f64,
    /// The lower end of the error's 95 % interval.
    pub error_low: f64,
    /// The upper end of the error's 95 % interval.
    pub error_high: f64,
    /// The least number of keys before it that every query sees; 0 where the head is exact or screened.
    pub window: i64,
    /// Single keys that all queries see.
    pub heavy_columns: i64,
    /// Keys of chosen groups per query, the mean over queries.
    pub selected_keys: f64,
    /// Bases of the conv far field; 0 where there is none.
    pub conv_bases: i64,
    /// Seconds that one thread took to plan the head.
    pub seconds_plan: f64,
    /// Seconds that one thread took to compute the head's output, in the report of a call that did.
    pub seconds_apply: Option<f64>,
    /// A bound of the share of a query's weights that screening left out, the largest of any query, in the report of a call that
    /// computed outputs.
    pub missed_mass: Option<f64>,
    /// The estimated relative Frobenius error of dq, in the report of a call that computed gradients.
    pub error_backward: Option<f64>,
}

impl Head {
    /// Whether every pair of the head is computed, in the arrays' precision.
    pub fn is_exact(&self) -> bool {
        self.parts == "exact"
    }
}

impl Report {
    /// What method auto decided for each head, and what it did, in order of batch and head; empty in the report of another method.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use subquad::Attention;
    ///
    /// let x = Array3::<f32>::ones((3, 40, 4));
    /// let report = Attention::new().tol(0.1).run(&x, &x, &x)?.report;
    /// let exact = report.heads()?.iter().filter(|head| head.is_exact()).count();
    /// assert_eq!(exact, 3); // each head has few keys
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn heads(&self) -> Result<Vec<Head>> {
        let heads = 0..self.length(sys::SUBQUAD_REPORT_PARTS)? as i64;
        heads.map(|head| self.head(head)).collect()
    }

    fn head(&self, head: i64) -> Result<Head> {
        let string = |key| self.string_at(key, head);
        let int = |key| self.int_at(key, head);
        let float = |key| self.float_at(key, head);
        let optional = |key| match float(key) {
            Err(error) if error.code() == sys::SUBQUAD_ERR_UNSET => Ok(None),
            value => value.map(Some),
        };
        let fallback = string(sys::SUBQUAD_REPORT_FALLBACK)?;
        Ok(Head {
            parts: string(sys::SUBQUAD_REPORT_PARTS)?,
            fallback: (!fallback.is_empty()).then_some(fallback),
            pairs_exact: int(sys::SUBQUAD_REPORT_PAIRS_EXACT)?,
            pairs_low: int(sys::SUBQUAD_REPORT_PAIRS_LOW)?,
            pairs_screened: int(sys::SUBQUAD_REPORT_PAIRS_SCREENED)?,
            error: float(sys::SUBQUAD_REPORT_ERROR)?,
            error_low: float(sys::SUBQUAD_REPORT_ERROR_LOW)?,
            error_high: float(sys::SUBQUAD_REPORT_ERROR_HIGH)?,
            window: int(sys::SUBQUAD_REPORT_WINDOW)?,
            heavy_columns: int(sys::SUBQUAD_REPORT_HEAVY_COLUMNS)?,
            selected_keys: float(sys::SUBQUAD_REPORT_SELECTED_KEYS)?,
            conv_bases: int(sys::SUBQUAD_REPORT_CONV_BASES)?,
            seconds_plan: float(sys::SUBQUAD_REPORT_HEAD_SECONDS_PLAN)?,
            seconds_apply: optional(sys::SUBQUAD_REPORT_HEAD_SECONDS_APPLY)?,
            missed_mass: optional(sys::SUBQUAD_REPORT_MISSED_MASS)?,
            error_backward: optional(sys::SUBQUAD_REPORT_ERROR_BACKWARD)?,
        })
    }
}
