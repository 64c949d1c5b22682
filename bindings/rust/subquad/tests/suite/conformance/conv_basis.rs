//! Calls of the functions of conv bases, and of the loss that is trained with them.

use ndarray::{ArrayD, ArrayView2, Ix2, IxDyn};
use serde_json::Value;
use subquad::{
    Attention, Context, ConvBasis, ConvOptions, FitOptions, GradientsMut, RecoverOptions,
};

use super::call::{Arrays, Failure, Outcome, TYPED_DIMENSIONS, views, with_options};
use super::json::text;
use crate::problem::Real;

impl<T: Real> Arrays<T> {
    /// Make the basis that a call asks for, and carry out the call's function on it.
    pub fn conv_basis(&mut self, function: &str, call: &Value, context: &Context) -> Outcome {
        let basis = self.basis(&call["conv_basis"], context)?;
        let options = with_options(ConvOptions::new(), &call["options"], &call["set_as"]);
        let options = options.context(context);
        match function {
            "conv_basis_backward" => self.conv_backward(&basis, &options),
            "conv_basis_get" => {
                let starts = basis.starts()?.mapv(|start| start as f64);
                let kernels = basis.kernels(&options)?.mapv(Into::into);
                self.made.insert("starts_out".into(), starts.into_dyn());
                self.made.insert("kernels_out".into(), kernels.into_dyn());
                Ok(None)
            }
            _ => self.product(function, &basis, &options),
        }
    }

    fn basis(&self, asked: &Value, context: &Context) -> Result<ConvBasis<T>, Failure> {
        let (given, none) = (&asked["options"], &Value::Null);
        let options = ConvOptions::new().context(context);
        let basis = match text(&asked["made_by"]) {
            "create" => {
                let starts = self.starts.as_ref().expect("starts").view();
                let options = with_options(options.clone(), given, none);
                ConvBasis::new(&starts, &self.input("kernels"), &options)?
            }
            "from_dense" => ConvBasis::from_dense(
                &self.input("h"),
                &with_options(options.clone(), given, none),
            )?,
            "recover" => {
                // What is given by name counts, being set last.
                let options = with_options(RecoverOptions::new(0, 1, 1.0), given, none);
                let options = options.context(context);
                ConvBasis::recover(&self.input("q"), &self.input("k"), &options)?.basis
            }
            "fit" => {
                let options = with_options(FitOptions::new(), given, none).context(context);
                ConvBasis::fit(&self.input("q"), &self.input("k"), &options)?.basis
            }
            other => panic!("no basis is made by {other}"),
        };
        Ok(match asked["exp"] == true {
            true => basis.exp(&options)?,
            false => basis,
        })
    }

    fn product(
        &mut self,
        function: &str,
        basis: &ConvBasis<T>,
        options: &ConvOptions<'_>,
    ) -> Outcome {
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut views = views(&mut outputs);
        let mut output = |name: &str| views.remove(name);
        let into = "an output";
        let result = match function {
            "conv_basis_apply" => {
                let (mut o, mut lse) = (output("o").expect(into), output("lse"));
                basis
                    .apply_into(&self.input("v"), &mut o, lse.as_deref_mut(), options)
                    .map(Some)
            }
            "conv_basis_to_dense" => basis
                .to_dense_into(&mut output("h_out").expect(into), options)
                .map(|()| None),
            _ => {
                let (x, mut y) = (self.input("x"), output("y").expect(into));
                let report = match function {
                    "conv_basis_multiply" => basis.multiply_into(&x, &mut y, options),
                    "conv_basis_multiply_transposed" => {
                        basis.multiply_transposed_into(&x, &mut y, options)
                    }
                    "conv_basis_apply_transposed" => {
                        basis.apply_transposed_into(&x, &mut y, options)
                    }
                    other => panic!("no function {other}"),
                };
                report.map(Some)
            }
        };
        self.outputs = outputs;
        Ok(result?)
    }

    fn conv_backward(&mut self, basis: &ConvBasis<T>, options: &ConvOptions<'_>) -> Outcome {
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut views = views(&mut outputs);
        let [mut dq, mut dk, mut dv] = ["dq", "dk", "dv"].map(|name| views.remove(name));
        let result = basis.backward_into(
            &self.input("q"),
            &self.input("k"),
            &self.input("v"),
            &self.input("d_o"),
            GradientsMut {
                dq: dq.as_deref_mut(),
                dk: dk.as_deref_mut(),
                dv: dv.as_deref_mut(),
                d_lag_bias: None,
            },
            options,
        );
        self.outputs = outputs;
        Ok(Some(result?))
    }

    pub fn loss(&mut self, call: &Value, context: &Context) -> Outcome {
        let attention = with_options(Attention::new(), &call["options"], &call["set_as"]);
        let mut outputs = std::mem::take(&mut self.outputs);
        let gradient = views(&mut outputs)
            .remove("grad_x")
            .map(|view| view.into_dimensionality::<Ix2>());
        let mut gradient = gradient
            .transpose()
            .map_err(|_| Failure::Inexpressible(TYPED_DIMENSIONS))?;
        let result = attention.context(context).loss_into(
            &self.matrix("a1")?,
            &self.matrix("a2")?,
            &self.matrix("a3")?,
            &self.matrix("x")?,
            &self.matrix("y")?,
            &self.matrix("e")?,
            gradient.as_deref_mut(),
        );
        self.outputs = outputs;
        let (loss, report) = result?;
        self.made
            .insert("loss".into(), ArrayD::from_elem(IxDyn(&[1]), loss));
        Ok(Some(report))
    }

    fn matrix(&self, name: &str) -> Result<ArrayView2<'_, T>, Failure> {
        let matrix = self.input(name).into_dimensionality();
        matrix.map_err(|_| Failure::Inexpressible(TYPED_DIMENSIONS))
    }
}
