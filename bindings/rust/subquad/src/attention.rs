//! Attention: its options, and the forward call.

use ndarray::{Array, ArrayRef, ArrayRef2, Dimension};

use crate::array::{Element, Fresh, input, output, pointer, without_last_axis};
use crate::call::{Call, call_options};
use crate::error::Result;
use crate::report::Report;
use crate::sys;

/// Attention with its options; [`run`](Self::run) computes it.
///
/// Query i stands at position `i + causal_offset`, key j at position `j + key_offset`; their lag is the difference. What is not
/// set keeps the library's default. Values are checked when they are used, so that options can be set in one expression.
///
/// ```
/// use ndarray::{Array2, Array3};
/// use subquad::Attention;
///
/// // Two query heads share a key/value head; the last 3 of 10 positions ask, and distance costs 0.5 a step (ALiBi).
/// let (q, k, v) = (Array3::<f64>::ones((2, 3, 4)), Array3::ones((1, 10, 4)), Array3::ones((1, 10, 5)));
/// let distance = Array2::from_shape_fn((1, 10), |(_, lag)| -0.5 * lag as f64);
/// let attention = Attention::new().causal(true).causal_offset(7).lag_bias(&distance);
/// let output = attention.run(&q, &k, &v)?;
/// assert_eq!(output.o.dim(), (2, 3, 5));
/// assert_eq!(output.lse.dim(), (2, 3));
/// # Ok::<(), subquad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Attention<'a, T: Element> {
    pub(crate) call: Call<'a>,
    lag_bias: Option<&'a ArrayRef2<T>>,
    key_ranges: Option<&'a ArrayRef2<i64>>,
}

/// What [`Attention::run`] computes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Output<T, D: Dimension> {
    /// `[.., H_q, n_q, d_v]`; 0 in rows that see no key.
    pub o: Array<T, D>,
    /// `[.., H_q, n_q]`, natural logarithm; minus infinity in rows that see no key.
    pub lse: Array<T, D::Smaller>,
    /// What the call did.
    pub report: Report,
}

impl<T: Element> Default for Attention<'_, T> {
    fn default() -> Self {
        Self {
            call: Call::default(),
            lag_bias: None,
            key_ranges: None,
        }
    }
}

impl<'a, T: Element> Attention<'a, T> {
    /// Every query sees every key, exactly computed.
    pub fn new() -> Self {
        Self::default()
    }

    call_options!('a);

    /// How attention is computed: `sys::SUBQUAD_METHOD_*`.
    ///
    /// `METHOD_EXACT`, the default, computes every visible pair. `METHOD_AUTO` computes what [`tol`](Self::tol) or
    /// [`budget`](Self::budget) asks for, either of which selects it.
    ///
    /// `METHOD_CONV_BASIS` finds a [`ConvBasis`](crate::ConvBasis) of the logits, by recovery where [`window`](Self::window) and
    /// [`delta`](Self::delta) are set and by a fit otherwise, and applies it. It needs [`causal`](Self::causal), `n_q = n_k`,
    /// [`bases`](Self::bases), and no key ranges; a lag bias is added to the kernels.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use subquad::{Attention, sys};
    ///
    /// // Queries that are all alike and keys that change once: two bases hold all logits.
    /// let q = Array2::<f64>::ones((300, 4));
    /// let k = Array2::from_shape_fn((300, 4), |(j, _)| if j < 100 { 0.5 } else { -0.25 });
    /// let v = Array2::from_shape_fn((300, 2), |(j, c)| (j + c) as f64 / 300.0);
    /// let exact = Attention::new().causal(true).run(&q, &k, &v)?;
    /// let conv = Attention::new()
    ///     .causal(true)
    ///     .method(sys::SUBQUAD_METHOD_CONV_BASIS)
    ///     .bases(2)
    ///     .window(4)
    ///     .delta(1.0)
    ///     .run(&q, &k, &v)?;
    /// assert!((exact.o - conv.o).iter().all(|difference| difference.abs() <= 1e-9));
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn method(self, method: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_METHOD, method.into())
    }

    /// Most bases of the logits' conv basis.
    pub fn bases(mut self, bases: usize) -> Self {
        self.call.set_size(sys::SUBQUAD_OPTION_BASES, bases);
        self
    }

    /// Entries of a column that recovery compares.
    pub fn window(mut self, window: usize) -> Self {
        self.call.set_size(sys::SUBQUAD_OPTION_CONV_WINDOW, window);
        self
    }

    /// Least l1 distance, over `window` entries, of columns of different bases.
    pub fn delta(self, delta: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_CONV_DELTA, delta)
    }

    /// Largest deviation of a logit from the structure, at most `delta / (5 window)`; 0 where it is not set.
    pub fn eps(self, eps: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_CONV_EPS, eps)
    }

    /// Outputs do not change by a bit when later tokens do. By method conv basis: when later values do, as those of exact attention
    /// never do. By method auto, which must be causal: when tokens are changed or appended, as every choice for a query then depends
    /// on earlier tokens only.
    pub fn strict_causal(self, strict: bool) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_STRICT_CAUSAL, strict.into())
    }

    /// How gradients by method conv basis are computed, `sys::SUBQUAD_METHOD_*`; the faster where it is not set.
    pub fn backward_method(self, method: i32) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_BACKWARD, method.into())
    }

    /// The seed of the rows on which method auto and a fit measure their errors; 0 where it is not set.
    pub fn seed(self, seed: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_SEED, seed)
    }

    /// Query i sees only keys at positions up to its own.
    pub fn causal(self, causal: bool) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_CAUSAL, causal.into())
    }

    /// The position of query 0. Needed for causal attention and for a lag bias where `n_q != n_k`; 0 where they are equal.
    pub fn causal_offset(self, offset: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_CAUSAL_OFFSET, offset)
    }

    /// The factor of the inner products; `1 / sqrt(d)` where it is not set.
    pub fn scale(self, scale: f64) -> Self {
        self.set_float(sys::SUBQUAD_OPTION_SCALE, scale)
    }

    /// Add `lag_bias[h, lag - lag_min]` to the logits after the scale. `[H_q or 1, L]`; must cover every lag of a visible pair.
    pub fn lag_bias(mut self, lag_bias: &'a ArrayRef2<T>) -> Self {
        self.lag_bias = Some(lag_bias);
        self
    }

    /// The lag of the first entry of `lag_bias`; 0 where it is not set.
    pub fn lag_min(self, lag_min: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_LAG_MIN, lag_min)
    }

    /// Show only keys at positions `start <= j + key_offset < end`, `(start, end)` per batch element: `[batch or 1, 2]`.
    pub fn key_ranges(mut self, key_ranges: &'a ArrayRef2<i64>) -> Self {
        self.key_ranges = Some(key_ranges);
        self
    }

    /// The position of key 0, when `k` and `v` are a slice of a longer sequence of keys (see [`merge`](Self::merge)).
    pub fn key_offset(self, offset: i64) -> Self {
        self.set_int(sys::SUBQUAD_OPTION_KEY_OFFSET, offset)
    }

    /// Softmax attention: `o[i,:] = sum_j A[i,j] v[j,:] / sum_j A[i,j]` and `lse[i] = log sum_j A[i,j]`.
    ///
    /// `q: [.., H_q, n_q, d]`, `k: [.., H_kv, n_k, d]`, `v: [.., H_kv, n_k, d_v]`, with `..` at most one batch dimension; two
    /// dimensions mean one head. Any strides; `d >= 1`, every other extent may be 0. `H_q` is a multiple of `H_kv`.
    ///
    /// Errors: `ERR_SHAPE`, `ERR_SIZE`; `ERR_NONFINITE`, with the first bad index; `ERR_CONFLICT` when `n_q != n_k` and an offset is
    /// needed but not set, for an option of another method with method exact, or for none or both of tol and budget with method auto;
    /// `ERR_VALUE` for an option out of bounds, a lag bias that is too short, a range that starts after its end; `ERR_UNSUPPORTED`
    /// (conv basis without causal or with key ranges), `ERR_OVERFLOW`, `ERR_MEMORY`, `ERR_WORKSPACE`, `ERR_THREADS`, `ERR_CANCELLED`.
    pub fn run<D: Dimension>(
        &self,
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        v: &ArrayRef<T, D>,
    ) -> Result<Output<T, D>> {
        let shape = with_columns_of(v, q.raw_dim());
        let lse_shape = without_last_axis(&shape);
        let mut o = Fresh::new("o", shape)?;
        let mut lse = Fresh::new("lse", lse_shape)?;
        // SAFETY: the inputs are borrowed for the call, and the outputs are owned here.
        let report = unsafe { self.forward([q, k, v].map(input), o.view(), Some(lse.view())) }?;
        // SAFETY: the call that had both as outputs succeeded.
        let (o, lse) = unsafe { (o.written(), lse.written()) };
        Ok(Output { o, lse, report })
    }

    /// The same, written into arrays of the caller: `o` and, where it is asked for, `lse`. Any strides.
    ///
    /// ```
    /// use ndarray::{Array2, s};
    /// use subquad::Attention;
    ///
    /// let x = Array2::<f32>::eye(4);
    /// let mut wide = Array2::zeros((4, 8));
    /// Attention::new().run_into(&x, &x, &x, &mut wide.slice_mut(s![.., 2..6]), None)?;
    /// assert_eq!(wide.row(0).iter().filter(|&&x| x != 0.0).count(), 4);
    /// # Ok::<(), subquad::Error>(())
    /// ```
    pub fn run_into<D: Dimension>(
        &self,
        q: &ArrayRef<T, D>,
        k: &ArrayRef<T, D>,
        v: &ArrayRef<T, D>,
        o: &mut ArrayRef<T, D>,
        lse: Option<&mut ArrayRef<T, D::Smaller>>,
    ) -> Result<Report> {
        // SAFETY: all arrays are borrowed for the call, the outputs exclusively.
        unsafe { self.forward([q, k, v].map(input), output(o), lse.map(output)) }
    }

    /// # Safety
    /// The views are those of arrays that live for the call, and nothing else refers to the outputs' elements.
    unsafe fn forward(
        &self,
        [q, k, v]: [sys::subquad_array; 3],
        o: sys::subquad_array,
        lse: Option<sys::subquad_array>,
    ) -> Result<Report> {
        let lag_bias = self.lag_bias_view();
        let key_ranges = self.key_ranges_view();
        let report = Report::new()?;
        self.call.make(|context, options| {
            // SAFETY: handles are live; the views are as the caller promises, and those of the options are of arrays that `self`
            // borrows; optional arguments are null where they are not given.
            unsafe {
                sys::subquad_attention(
                    context,
                    options,
                    &raw const q,
                    &raw const k,
                    &raw const v,
                    pointer(lag_bias.as_ref()),
                    pointer(key_ranges.as_ref()),
                    &raw const o,
                    pointer(lse.as_ref()),
                    report.handle(),
                )
            }
        })?;
        Ok(report)
    }

    pub(crate) fn lag_bias_array(&self) -> Option<&'a ArrayRef2<T>> {
        self.lag_bias
    }

    pub(crate) fn lag_bias_view(&self) -> Option<sys::subquad_array> {
        self.lag_bias.map(input)
    }

    pub(crate) fn key_ranges_view(&self) -> Option<sys::subquad_array> {
        self.key_ranges.map(input)
    }
}

/// The shape with the last extent of v in place of its own. Where arguments do not fit together, the library says so.
pub(crate) fn with_columns_of<T, D: Dimension>(v: &ArrayRef<T, D>, mut shape: D) -> D {
    if let (Some(last), Some(&columns)) = (shape.ndim().checked_sub(1), v.shape().last()) {
        shape[last] = columns;
    }
    shape
}
