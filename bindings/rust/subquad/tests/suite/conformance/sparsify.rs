//! Calls of leverage scores and of sparsifiers.

use ndarray::{Array1, ArrayD, ArrayView2, Ix2, IxDyn};
use serde_json::Value;
use subquad::sprs::CsMatI;
use subquad::{
    ColumnBlocks, Context, LeverageScores, SparseIndex, Sparsified, Sparsifier, SparsifierOptions,
    Sparsify,
};

use super::arrays::Buffer;
use super::call::{Arrays, Failure, Outcome, TYPED_DIMENSIONS, with_options};
use super::json::{number, signed, sizes, text};
use crate::problem::Real;

/// A matrix of a call, in the storage that it asks for.
enum Source<'a, T> {
    Dense(ArrayView2<'a, T>),
    Blocks(ColumnBlocks<'a, T, subquad::Error>),
    Sparse32(CsMatI<T, i32>),
    Sparse64(CsMatI<T, i64>),
}

/// An expression for the matrix in a source, whatever its type.
macro_rules! of_source {
    ($source:expr, |$matrix:ident| $body:expr) => {
        match $source {
            Source::Dense($matrix) => $body,
            Source::Blocks($matrix) => $body,
            Source::Sparse32($matrix) => $body,
            Source::Sparse64($matrix) => $body,
        }
    };
}

/// One matrix, or queries and keys.
enum Sources<'a, T> {
    One(Source<'a, T>),
    Pair(Source<'a, T>, Source<'a, T>),
}

impl<T: Real> Arrays<T> {
    /// Make the matrices that a call asks for, and carry out the call's function on them.
    pub fn sparsify(&mut self, function: &str, call: &Value, context: &Context) -> Outcome {
        if function == "leverage_scores" {
            let scores = with_options(LeverageScores::new(), &call["options"], &call["set_as"]);
            let scores = scores.context(context);
            let mut found = Array1::from_elem(self.outputs["scores"].view().len(), f64::NAN);
            let report = of_source!(self.source("x")?, |x| scores.run_into(&x, &mut found))?;
            self.made.insert("scores".into(), found.into_dyn());
            return Ok(Some(report));
        }
        if function == "sparsify" || function == "sparsify_pair" {
            let found = self.find(&call["options"], &call["set_as"], context)?;
            self.look_at(&found.sparsifier)?;
            return Ok(Some(found.report));
        }
        let made = self.find(&call["sparsifier"]["options"], &Value::Null, context)?;
        let options = with_options(SparsifierOptions::new(), &call["options"], &call["set_as"]);
        let options = options.context(context);
        match function {
            "sparsifier_attention" => self.attend(&made.sparsifier, &options),
            "sparsifier_softmax_error" => self.softmax_error(&made.sparsifier, &options),
            "sparsifier_ratio_bound" => {
                made.sparsifier
                    .ratio_bound(number(&call["options"]["scale"]))?;
                Ok(None)
            }
            other => panic!("no function {other}"),
        }
    }

    fn find(
        &self,
        options: &Value,
        set_as: &Value,
        context: &Context,
    ) -> Result<Sparsified<T>, Failure> {
        let find = with_options(Sparsify::new(), options, set_as).context(context);
        let found = match self.sources("x", "k")? {
            Sources::One(x) => of_source!(x, |x| find.run(&x)),
            Sources::Pair(q, k) => of_source!(q, |q| of_source!(&k, |k| find.run_pair(&q, k))),
        };
        Ok(found?)
    }

    /// What a call wants to know of a sparsifier.
    fn look_at(&mut self, sparsifier: &Sparsifier<T>) -> Result<(), Failure> {
        let one = |number| ArrayD::from_elem(IxDyn(&[1]), number);
        for (name, output) in &self.outputs {
            let made = match name.as_str() {
                "indices" => {
                    let indices = sparsifier.indices()?.into_iter();
                    indices
                        .map(|index| index as f64)
                        .collect::<Array1<f64>>()
                        .into_dyn()
                }
                "weights" => sparsifier.weights()?.into_dyn(),
                "y" => {
                    let mut y = output.view().to_owned().into_dimensionality::<Ix2>();
                    let y = y.as_mut().expect("a matrix");
                    sparsifier.y_into(y)?;
                    y.mapv(Into::into).into_dyn()
                }
                "yy" => {
                    let y = sparsifier.y()?.mapv(Into::into);
                    y.dot(&y.t()).into_dyn()
                }
                "epsilon" => one(sparsifier.epsilon().unwrap_or(f64::NAN)),
                "ratio_bound" => one(sparsifier.ratio_bound(1.0)?),
                other => panic!("no output {other}"),
            };
            self.made.insert(name.clone(), made);
        }
        Ok(())
    }

    fn attend(&mut self, sparsifier: &Sparsifier<T>, options: &SparsifierOptions<'_>) -> Outcome {
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut lse = outputs.remove("lse");
        let mut o = outputs.remove("o").expect("an output");
        let result = sparsifier.attention_into(
            &self.input("v"),
            &mut o.view_mut(),
            lse.as_mut().map(Buffer::view_mut).as_deref_mut(),
            options,
        );
        self.outputs.extend([("o".into(), o)]);
        self.outputs.extend(lse.map(|lse| ("lse".into(), lse)));
        Ok(Some(result?))
    }

    /// Of the matrices that were sparsified, but for those that `other` and `other_k` replace.
    fn softmax_error(
        &mut self,
        sparsifier: &Sparsifier<T>,
        options: &SparsifierOptions<'_>,
    ) -> Outcome {
        let given = |name: &'static str, instead| match self.inputs.contains_key(name) {
            true => name,
            false => instead,
        };
        let measured = match self.sources(given("other", "x"), given("other_k", "k"))? {
            Sources::One(x) => of_source!(x, |x| sparsifier.softmax_error(&x, options)),
            Sources::Pair(q, k) => of_source!(q, |q| of_source!(&k, |k| {
                sparsifier.softmax_error_pair(&q, k, options)
            })),
        }?;
        for (name, value) in [("error", measured.error), ("ratio", measured.ratio)] {
            self.made
                .insert(name.into(), ArrayD::from_elem(IxDyn(&[1]), value));
        }
        Ok(None)
    }

    /// Queries go by the name of `q` where there is no such x.
    fn sources(&self, x: &str, k: &str) -> Result<Sources<'_, T>, Failure> {
        let x = if self.inputs.contains_key(x) { x } else { "q" };
        Ok(match self.inputs.contains_key(k) {
            true => Sources::Pair(self.source(x)?, self.source(k)?),
            false => Sources::One(self.source(x)?),
        })
    }

    fn source(&self, name: &str) -> Result<Source<'_, T>, Failure> {
        let storage = &self.storages[name];
        if storage["sparse"].is_object() {
            let values = self.input(name).iter().copied().collect::<Vec<_>>();
            return Ok(match text(&storage["sparse"]["index_dtype"]) {
                "int32" => Source::Sparse32(sparse(storage, &values)),
                "int64" => Source::Sparse64(sparse(storage, &values)),
                other => panic!("no indices of {other}"),
            });
        }
        let x = self.input(name).into_dimensionality::<Ix2>();
        let x = x.map_err(|_| Failure::Inexpressible(TYPED_DIMENSIONS))?;
        let Some(width) = storage["blocks"].as_u64() else {
            return Ok(Source::Dense(x));
        };
        let (rows, columns) = x.dim();
        let blocks = ColumnBlocks::new(rows, columns, move |columns, block| {
            block.assign(&x.slice(ndarray::s![.., columns]));
            Ok(())
        });
        Ok(Source::Blocks(blocks.block_columns(width as usize)))
    }
}

/// The matrix that a storage asks for. `sprs` counts from 0, and keeps the entries of a row or column in order, each place once.
fn sparse<T: Real, I: SparseIndex>(storage: &Value, values: &[T]) -> CsMatI<T, I> {
    let (shape, asked) = (sizes(&storage["shape"]), &storage["sparse"]);
    let base = asked["index_base"].as_i64().expect("an index base") as isize;
    let from_0 = |numbers: &Value| {
        let numbers = signed(numbers).into_iter();
        numbers
            .map(|number| (number - base) as usize)
            .collect::<Vec<_>>()
    };
    let (offsets, places) = (from_0(&asked["offsets"]), from_0(&asked["indices"]));
    let (mut starts, mut indices, mut kept) = (vec![I::zero()], Vec::new(), Vec::new());
    for bounds in offsets.windows(2) {
        let mut entries: Vec<_> = (bounds[0]..bounds[1])
            .map(|at| (places[at], values[at]))
            .collect();
        entries.sort_by_key(|&(place, _)| place);
        for of_one_place in entries.chunk_by(|a, b| a.0 == b.0) {
            let sum = of_one_place.iter().map(|&(_, value)| value.into()).sum();
            indices.push(I::from_usize(of_one_place[0].0));
            kept.push(T::of(sum));
        }
        starts.push(I::from_usize(indices.len()));
    }
    let shape = (shape[0], shape[1]);
    match text(&asked["layout"]) {
        "csc" => CsMatI::new_csc(shape, starts, indices, kept),
        "csr" => CsMatI::new(shape, starts, indices, kept),
        other => panic!("no layout {other}"),
    }
}
