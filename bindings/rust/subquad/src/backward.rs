//! The gradients of attention.

use ndarray::{Array, Array2, ArrayRef, ArrayRef2, Dimension};

use crate::array::{Element, Fresh, input, output, pointer};
use crate::attention::Attention;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::sys;

/// What [`Attention::backward`] computes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gradients<T, D: Dimension> {
    /// Shaped like q.
    pub dq: Array<T, D>,
    /// Shaped like k, summed over the query heads that share a head of it.
    pub dk: Array<T, D>,
    /// Shaped like v, summed likewise.
    pub dv: Array<T, D>,
    /// Shaped like the lag bias, where there is one; summed over the batch, and over heads where the bias has one row.
    pub d_lag_bias: Option<Array2<T>>,
    /// What the call did.
    pub report: Report,
}

/// Arrays of the caller that [`Attention::backward_into`] writes: those that are given.
#[derive(Debug)]
pub struct GradientsMut<'a, T, D: Dimension> {
    /// Shaped like q.
    pub dq: Option<&'a mut ArrayRef<T, D>>,
    /// Shaped like k.
    pub dk: Option<&'a mut ArrayRef<T, D>>,
    /// Shaped like v.
    pub dv: Option<&'a mut ArrayRef<T, D>>,
    /// Shaped like the lag bias; needs one.
    pub d_lag_bias: Option<&'a mut ArrayRef2<T>>,
}

impl<T, D: Dimension> Default for GradientsMut<'_, T, D> {
    fn default() -> Self {
        Self {
            dq: None,
            dk: None,
            dv: None,
            d_lag_bias: None,
        }
    }
}

impl<T: Element, D: Dimension> GradientsMut<'_, T, D> {
    /// The views of dq, dk and dv, for what has no gradient by lag.
    pub(crate) fn without_lag_bias(self, what: &str) -> Result<[Option<sys::subquad_array>; 3]> {
        if let Some(d_lag_bias) = self.d_lag_bias {
            let message = format!(
                "d_lag_bias, of shape {:?}, was given, but {what} has no gradient by lag",
                d_lag_bias.shape()
            );
            return Err(Error::new(sys::SUBQUAD_ERR_UNSUPPORTED, message));
        }
        Ok([self.dq, self.dk, self.dv].map(|gradient| gradient.map(output)))
    }
}

/// The views of the outputs: dq, dk, dv, d_lag_bias.
type OutputViews = [Option<sys::subquad_array>; 4];

impl<T: Element> Attention<'_, T> {
    /// Gradients of [`run`](Self::run). With `P[i,j] = exp(s[i,j] - lse[i])` and `dS = P * (d_o v' - rowsum(d_o * o))`,
    ///
    /// ```text
    /// dq = scale dS k     dk = scale dS' q     dv = P' d_o     d_lag_bias[h, t - lag_min] = sum of dS over the pairs of lag t
    /// ```
    ///
    /// `q`, `k`, `v` and the options as in the forward call, `o: [.., H_q, n_q, d_v]` and `lse: [.., H_q, n_q]` its results,
    /// `d_o: [.., H_q, n_q, d_v]`. For a slice of keys give the `o` and `lse` of the merged whole: `dk` and `dv` are final, the `dq` of
    /// the slices add up. By method conv basis the basis is found again, and `o` and `lse` are not read; by method auto heads are
    /// planned again, and the gradients are those of [`Plan::backward`](crate::Plan::backward). Neither has a `d_lag_bias`: use
    /// [`backward_into`](Self::backward_into) where there is a lag bias. Errors: as those of [`run`](Self::run).
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::Attention;
    ///
    /// let (q, k, v) = (Array2::<f64>::eye(3), Array2::eye(3), Array2::ones((3, 2)));
    /// let attention = Attention::new();
    /// let output = attention.run(&q, &k, &v)?;
    /// let gradients = attention.backward(&q, &k, &v, &output.o, &output.lse, &Array2::ones((3, 2)))?;
    /// assert!(gradients.dq.iter().all(|dq| dq.abs() < 1e-15)); // values that are all alike make the weights irrelevant
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn backward<D: Dimension>(
        &self,
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        v: &ArrayRef<T, D>,
        o: &ArrayRef<T, D>,
        lse: &ArrayRef<T, D::Smaller>,
        d_o: &ArrayRef<T, D>,
    ) -> Result<Gradients<T, D>> {
        let mut dq = Fresh::new("dq", q.raw_dim())?;
        let mut dk = Fresh::new("dk", k.raw_dim())?;
        let mut dv = Fresh::new("dv", v.raw_dim())?;
        let lag_bias = self.lag_bias_array();
        let mut d_lag_bias = lag_bias
            .map(|bias| Fresh::new("d_lag_bias", bias.raw_dim()))
            .transpose()?;
        let outputs = [
            Some(dq.view()),
            Some(dk.view()),
            Some(dv.view()),
            d_lag_bias.as_mut().map(Fresh::view),
        ];
        // SAFETY: the inputs are borrowed for the call, and the outputs are owned here.
        let report = unsafe { self.gradients([q, k, v, o, d_o].map(input), input(lse), outputs) }?;
        // SAFETY: the call that had all of them as outputs succeeded.
        unsafe {
            Ok(Gradients {
                dq: dq.written(),
                dk: dk.written(),
                dv: dv.written(),
                d_lag_bias: d_lag_bias.map(|gradient| gradient.written()),
                report,
            })
        }
    }

    /// The same, written into those arrays of the caller that are given. Errors: also `ERR_CONFLICT` for `d_lag_bias` without a lag
    /// bias.
    #[expect(clippy::too_many_arguments, reason = "the mathematics has six inputs")]
    pub fn backward_into<D: Dimension>(
        &self,
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        v: &ArrayRef<T, D>,
        o: &ArrayRef<T, D>,
        lse: &ArrayRef<T, D::Smaller>,
        d_o: &ArrayRef<T, D>,
        gradients: GradientsMut<'_, T, D>,
    ) -> Result<Report> {
        let GradientsMut {
            dq,
            dk,
            dv,
            d_lag_bias,
        } = gradients;
        let outputs = [
            dq.map(output),
            dk.map(output),
            dv.map(output),
            d_lag_bias.map(output),
        ];
        // SAFETY: all arrays are borrowed for the call, the outputs exclusively.
        unsafe { self.gradients([q, k, v, o, d_o].map(input), input(lse), outputs) }
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and nothing else refers to the outputs' elements.
    unsafe fn gradients(
        &self,
        [q, k, v, o, d_o]: [sys::subquad_array; 5],
        lse: sys::subquad_array,
        outputs: OutputViews,
    ) -> Result<Report> {
        let lag_bias = self.lag_bias_view();
        let key_ranges = self.key_ranges_view();
        let [dq, dk, dv, d_lag_bias] = outputs.each_ref().map(|view| pointer(view.as_ref()));
        let report = Report::new()?;
        self.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises, and those of the options are of arrays that `self`
            // borrows; optional arguments are null where they are not given.
            unsafe {
                sys::subquad_attention_backward(
                    context,
                    options,
                    &raw const q,
                    &raw const k,
                    &raw const v,
                    pointer(lag_bias.as_ref()),
                    pointer(key_ranges.as_ref()),
                    &raw const o,
                    &raw const lse,
                    &raw const d_o,
                    dq,
                    dk,
                    dv,
                    d_lag_bias,
                    report.handle(),
                )
            }
        })?;
        Ok(report)
    }
}
