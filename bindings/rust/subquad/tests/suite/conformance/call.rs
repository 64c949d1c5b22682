//! One call of the masters, by way of the safe crate.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayD, ArrayViewD, Ix2};
use serde_json::Value;
use subquad::{
    Attention, Context, ConvOptions, Error, FitOptions, GradientsMut, LeverageScores, PlanOptions,
    RecoverOptions, Report, SparsifierOptions, Sparsify, sys,
};

use super::arrays::{Buffer, fill_as_asked};
use super::json::{list, members, number, sizes, text};
use crate::problem::Real;

/// The arrays of a call by argument name.
pub struct Arrays<T> {
    pub inputs: BTreeMap<String, Buffer<T>>,
    pub outputs: BTreeMap<String, Buffer<T>>,
    pub key_ranges: Option<Array2<i64>>,
    /// The starts of a conv basis.
    pub starts: Option<Buffer<i64>>,
    /// The inputs as they were asked for: matrices may be stored otherwise than as dense arrays.
    pub storages: BTreeMap<String, Value>,
    /// Outputs that the call made, in place of those of the same name.
    pub made: BTreeMap<String, ArrayD<f64>>,
}

/// Why a call has no result, or none that counts.
#[derive(Debug)]
pub enum Failure {
    Refused(Error),
    /// The types of this crate cannot say it, for this reason.
    Inexpressible(&'static str),
    /// It was refused, but changed something.
    LeftTraces(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

pub type Outcome = Result<Option<Report>, Failure>;

impl<T: Real> Arrays<T> {
    /// Arrays without contents are outputs.
    pub fn new<'a>(arrays: impl Iterator<Item = (&'a String, &'a Value)>) -> Result<Self, Failure> {
        let mut all = Self {
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            key_ranges: None,
            starts: None,
            storages: BTreeMap::new(),
            made: BTreeMap::new(),
        };
        for (name, array) in arrays {
            if name == "key_ranges" {
                all.key_ranges = Some(key_ranges(array)?);
            } else if name == "starts" {
                all.starts = Some(Buffer::integers(array));
            } else if array.get("fill").is_some()
                || array
                    .get("values")
                    .is_some_and(|_| array.get("budget").is_none())
            {
                all.storages.insert(name.clone(), array.clone());
                all.inputs
                    .insert(name.clone(), Buffer::input(&stored(array)));
            } else {
                all.outputs.insert(name.clone(), Buffer::output(array));
            }
        }
        Ok(all)
    }

    pub fn input(&self, name: &str) -> ArrayViewD<'_, T> {
        self.inputs[name].view()
    }

    /// Carry out a call; the outputs hold its results.
    pub fn carry_out(&mut self, call: &Value, context: &Context) -> Outcome {
        match text(&call["function"]) {
            "attention" => self.attention(call, context),
            "attention_backward" => self.backward(call, context),
            "attention_merge" => self.merge(call, context),
            "fill_uniform" => {
                let x = self.outputs.get_mut("x").expect("an output");
                fill_as_asked(&mut x.view_mut(), &call["fill"])?;
                Ok(None)
            }
            "attention_loss" => self.loss(call, context),
            function if function.starts_with("conv_basis") => {
                self.conv_basis(function, call, context)
            }
            function if function.starts_with("plan") => self.planned(function, call, context),
            function => self.sparsify(function, call, context),
        }
    }

    fn attention(&mut self, call: &Value, context: &Context) -> Outcome {
        let mut outputs = std::mem::take(&mut self.outputs);
        let bias = self.lag_bias()?;
        let mut attention =
            with_options(Attention::new(), &call["options"], &call["set_as"]).context(context);
        if let Some(bias) = &bias {
            attention = attention.lag_bias(bias);
        }
        if let Some(ranges) = &self.key_ranges {
            attention = attention.key_ranges(ranges);
        }
        let mut lse = outputs.remove("lse");
        let mut o = outputs.remove("o").expect("an output");
        let result = attention.run_into(
            &self.input("q"),
            &self.input("k"),
            &self.input("v"),
            &mut o.view_mut(),
            lse.as_mut().map(Buffer::view_mut).as_deref_mut(),
        );
        self.outputs.extend([("o".into(), o)]);
        self.outputs.extend(lse.map(|lse| ("lse".into(), lse)));
        Ok(Some(result?))
    }

    fn backward(&mut self, call: &Value, context: &Context) -> Outcome {
        let mut outputs = std::mem::take(&mut self.outputs);
        let bias = self.lag_bias()?;
        let mut attention =
            with_options(Attention::new(), &call["options"], &call["set_as"]).context(context);
        if let Some(bias) = &bias {
            attention = attention.lag_bias(bias);
        }
        if let Some(ranges) = &self.key_ranges {
            attention = attention.key_ranges(ranges);
        }
        let mut views: BTreeMap<_, _> = outputs
            .iter_mut()
            .map(|(name, buffer)| (name.as_str(), buffer.view_mut()))
            .collect();
        let bias_view = views
            .remove("d_lag_bias")
            .map(|view| view.into_dimensionality::<Ix2>());
        let mut d_lag_bias = bias_view
            .transpose()
            .map_err(|_| Failure::Inexpressible(TYPED_DIMENSIONS))?;
        let [mut dq, mut dk, mut dv] = ["dq", "dk", "dv"].map(|name| views.remove(name));
        let result = attention.backward_into(
            &self.input("q"),
            &self.input("k"),
            &self.input("v"),
            &self.input("o"),
            &self.input("lse"),
            &self.input("d_o"),
            GradientsMut {
                dq: dq.as_deref_mut(),
                dk: dk.as_deref_mut(),
                dv: dv.as_deref_mut(),
                d_lag_bias: d_lag_bias.as_deref_mut(),
            },
        );
        self.outputs = outputs;
        Ok(Some(result?))
    }

    fn merge(&mut self, call: &Value, context: &Context) -> Outcome {
        let count = call["count"]
            .as_u64()
            .ok_or(Failure::Inexpressible("the count is a length"))?;
        let mut outputs = std::mem::take(&mut self.outputs);
        let part = |p| {
            (
                self.input(&format!("o_parts[{p}]")),
                self.input(&format!("lse_parts[{p}]")),
            )
        };
        let parts: Vec<_> = (0..count).map(part).collect();
        let mut lse = outputs.remove("lse");
        let mut o = outputs.remove("o").expect("an output");
        let result = with_options(Attention::new(), &call["options"], &call["set_as"])
            .context(context)
            .merge_into(
                &parts,
                &mut o.view_mut(),
                lse.as_mut().map(Buffer::view_mut).as_deref_mut(),
            );
        self.outputs.extend([("o".into(), o)]);
        self.outputs.extend(lse.map(|lse| ("lse".into(), lse)));
        result?;
        Ok(None)
    }

    pub fn lag_bias(&self) -> Result<Option<ndarray::ArrayView2<'_, T>>, Failure> {
        let view = self
            .inputs
            .get("lag_bias")
            .map(|bias| bias.view().into_dimensionality::<Ix2>());
        view.transpose()
            .map_err(|_| Failure::Inexpressible(TYPED_DIMENSIONS))
    }
}

pub type Views<'a, T> = BTreeMap<&'a str, ndarray::ArrayViewMutD<'a, T>>;

/// All outputs, to be written.
pub fn views<T: Real>(outputs: &mut BTreeMap<String, Buffer<T>>) -> Views<'_, T> {
    outputs
        .iter_mut()
        .map(|(name, buffer)| (name.as_str(), buffer.view_mut()))
        .collect()
}

/// An array as it is given; of a sparse matrix, the vector of its values.
fn stored(array: &Value) -> Value {
    let mut stored = array.clone();
    if let Some(indices) = array["sparse"]["indices"].as_array() {
        stored["shape"] = serde_json::json!([indices.len()]);
    }
    stored
}

pub const TYPED_DIMENSIONS: &str = "the number of dimensions is a type";

fn key_ranges(array: &Value) -> Result<Array2<i64>, Failure> {
    let values = list(&array["values"])
        .iter()
        .map(|value| value.as_i64().expect("an integer"));
    let flat = ndarray::ArrayD::from_shape_vec(sizes(&array["shape"]), values.collect())
        .expect("as many values as its shape says");
    let matrix = flat.into_dimensionality::<Ix2>();
    matrix.map_err(|_| Failure::Inexpressible(TYPED_DIMENSIONS))
}

/// A builder of options.
pub trait SetById: Sized {
    fn set_int(self, option: i32, value: i64) -> Self;
    fn set_float(self, option: i32, value: f64) -> Self;
}

macro_rules! set_by_id {
    ($($builder:ty $(where $element:ident)?),*) => {
        $(impl $(<$element: Real>)? SetById for $builder {
            fn set_int(self, option: i32, value: i64) -> Self {
                <$builder>::set_int(self, option, value)
            }

            fn set_float(self, option: i32, value: f64) -> Self {
                <$builder>::set_float(self, option, value)
            }
        })*
    };
}
set_by_id!(Attention<'_, T> where T, ConvOptions<'_>, RecoverOptions<'_>, FitOptions<'_>,
    LeverageScores<'_>, Sparsify<'_>, SparsifierOptions<'_>, PlanOptions<'_>);

/// Options by name or id: integers and bools as int, all else and every option of type float as float, unless `set_as` says otherwise.
pub fn with_options<B: SetById>(builder: B, options: &Value, set_as: &Value) -> B {
    let set = |builder: B, (name, value): (&String, &Value)| {
        let option = name.parse().unwrap_or_else(|_| constant("OPTION", name));
        let integer = match value {
            Value::Bool(value) => Some(i64::from(*value)),
            Value::String(choice) => group_of(name).map(|group| constant(group, choice).into()),
            value => value.as_i64(),
        };
        let is_float = match set_as[name].as_str() {
            Some(kind) => kind == "float",
            None => integer.is_none() || type_of(option) == Some(sys::SUBQUAD_TYPE_FLOAT),
        };
        match integer {
            Some(integer) if !is_float => builder.set_int(option, integer),
            _ => builder.set_float(option, number(value)),
        }
    };
    members(options).fold(builder, set)
}

/// The constants that are the values of an option.
fn group_of(option: &str) -> Option<&'static str> {
    match option {
        "method" | "backward" => Some("METHOD"),
        "estimate" => Some("ESTIMATE"),
        "sparsify_method" => Some("SPARSIFIER"),
        "sparsify_certify" => Some("CERTIFICATE"),
        "sparsify_scores" => Some("SCORE"),
        _ => None,
    }
}

fn constant(group: &str, name: &str) -> i32 {
    let full = format!("SUBQUAD_{group}_{}", name.to_uppercase());
    let found = sys::CONSTANTS.iter().find(|(name, _)| *name == full);
    found.unwrap_or_else(|| panic!("no constant {full}")).1 as i32
}

fn type_of(option: i32) -> Option<i32> {
    let mut kind = 0;
    // SAFETY: `kind` is a place for the result; the others may be left out.
    let status = unsafe {
        sys::subquad_option_describe(
            option,
            std::ptr::null_mut(),
            &raw mut kind,
            std::ptr::null_mut(),
        )
    };
    (status == sys::SUBQUAD_OK).then_some(kind)
}
