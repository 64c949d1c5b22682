//! From the bytes of a request to those of its answer, both in the format safetensors.

use std::borrow::Cow;
use std::collections::HashMap;

use axum::http::StatusCode;
use bytemuck::Pod;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use subquad::ndarray::{ArrayView, ArrayViewD, IxDyn};
use subquad::{Attention, Context, Element};

use crate::limits::Limits;
use crate::refusal::Refusal;

#[cfg(target_endian = "big")]
compile_error!("the arrays of safetensors are little-endian");

/// Bytes of a body's header at most. Three tensors need 200, and the rest is for metadata; parsed, it takes up to 42 times its length.
const MAX_HEADER: u64 = 16 << 10;

/// The options of a request, from its query string.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    causal: bool,
    causal_offset: Option<i64>,
    scale: Option<f64>,
    tol: Option<f64>,
}

/// Attention of the tensors `q`, `k` and `v`, all float32 or all float64: the tensors `o` and `lse`, and the report as metadata.
pub fn answer(
    context: &Context,
    body: &[u8],
    options: &Options,
    limits: &Limits,
) -> Result<Vec<u8>, Refusal> {
    if let Some(&length) = body.first_chunk() {
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            let text = format!(
                "as safetensors, the body has a header of {length} bytes, of at most {MAX_HEADER}"
            );
            return Err(bad(text));
        }
    }
    let tensors = SafeTensors::deserialize(body)
        .map_err(|error| bad(format!("the body is not safetensors: {error}")))?;
    let named = |name| {
        tensors
            .tensor(name)
            .map_err(|_| bad(format!("there is no tensor {name}")))
    };
    let inputs = [named("q")?, named("k")?, named("v")?];
    match inputs.each_ref().map(TensorView::dtype) {
        [Dtype::F32, Dtype::F32, Dtype::F32] => run::<f32>(context, &inputs, options, limits),
        [Dtype::F64, Dtype::F64, Dtype::F64] => run::<f64>(context, &inputs, options, limits),
        [q, k, v] => Err(bad(format!(
            "q is {q:?}, k {k:?} and v {v:?}: all must be F32, or all F64"
        ))),
    }
}

fn run<T: Element + Pod>(
    context: &Context,
    inputs: &[TensorView<'_>; 3],
    options: &Options,
    limits: &Limits,
) -> Result<Vec<u8>, Refusal> {
    let [q, k, v] = inputs;
    for (name, tensor) in ["q", "k", "v"].iter().zip(inputs) {
        check_heads(name, tensor.shape(), limits.max_heads)?;
    }
    let size = check_answer_size(q.shape(), v.shape(), size_of::<T>(), limits.max_answer)?;
    let elements = inputs.each_ref().map(|tensor| elements::<T>(tensor.data()));
    let array = |tensor: &TensorView<'_>, elements| {
        ArrayView::from_shape(IxDyn(tensor.shape()), elements)
            .map_err(|error| bad(format!("shape {:?}: {error}", tensor.shape())))
    };
    let q: ArrayViewD<'_, T> = array(q, &elements[0])?;
    let (k, v) = (array(k, &elements[1])?, array(v, &elements[2])?);

    let mut attention = Attention::new().context(context).causal(options.causal);
    if let Some(offset) = options.causal_offset {
        attention = attention.causal_offset(offset);
    }
    if let Some(scale) = options.scale {
        attention = attention.scale(scale);
    }
    if let Some(tol) = options.tol {
        attention = attention.tol(tol);
    }
    let output = attention.run(&q, &k, &v)?;
    let report = output.report.json()?;
    if report.len() > limits.max_answer - size {
        return Err(too_large(format!(
            "o and lse, of {size} bytes, and the report, of {}, have more than {} bytes",
            report.len(),
            limits.max_answer
        )));
    }
    let metadata = HashMap::from([("report".to_owned(), report)]);
    let dtype = inputs[0].dtype();
    let tensors = [("o", &output.o), ("lse", &output.lse)].map(|(name, array)| {
        let data = array
            .as_slice()
            .expect("the library's own arrays are contiguous");
        let view = TensorView::new(dtype, array.shape().to_vec(), bytemuck::cast_slice(data));
        (name, view.expect("the shape is that of the data"))
    });
    safetensors::serialize(tensors, Some(metadata))
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// Each head has its plan and its part of the report, which arrays without elements may ask for by the million.
fn check_heads(name: &str, shape: &[usize], limit: u32) -> Result<(), Refusal> {
    let leading = &shape[..shape.len().saturating_sub(2)];
    let heads = leading.iter().fold(1, |heads: usize, &extent| {
        heads.saturating_mul(extent.max(1))
    });
    if u32::try_from(heads).is_ok_and(|heads| heads <= limit) {
        return Ok(());
    }
    Err(too_large(format!(
        "{name} of shape {shape:?} has more than {limit} heads"
    )))
}

/// The bytes of o and lse. A few bytes of q and v may ask for terabytes.
fn check_answer_size(
    q: &[usize],
    v: &[usize],
    element: usize,
    limit: usize,
) -> Result<usize, Refusal> {
    let (Some((_, rows)), Some(columns)) = (q.split_last(), v.last()) else {
        return Ok(0); // which the library refuses
    };
    let size = |rows: &[usize]| {
        let width = columns.checked_add(1)?.checked_mul(element)?;
        rows.iter()
            .try_fold(width, |size, &extent| size.checked_mul(extent))
    };
    size(rows).filter(|&size| size <= limit).ok_or_else(|| {
        too_large(format!(
            "o and lse for q of shape {q:?} and v of shape {v:?} have more than {limit} bytes"
        ))
    })
}

/// The elements where they lie, or a copy of them where they lie askew.
fn elements<T: Pod>(bytes: &[u8]) -> Cow<'_, [T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(elements) => Cow::Borrowed(elements),
        Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
    }
}

fn bad(text: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

fn too_large(text: String) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
}
