//! Calls of plans.

use ndarray::IxDyn;
use serde_json::Value;
use subquad::{Attention, Context, GradientsMut, Plan, PlanOptions};

use super::call::{Arrays, Failure, Outcome, views, with_options};
use crate::problem::Real;

impl<T: Real> Arrays<T> {
    /// Make the plan that a call asks for, and carry out the call's function on it.
    pub fn planned(&mut self, function: &str, call: &Value, context: &Context) -> Outcome {
        let plan = self.plan(&call["plan"], &call["set_as"], context)?;
        let options = with_options(PlanOptions::new(), &call["options"], &call["set_as"]);
        let options = options.context(context);
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut views = views(&mut outputs);
        let result = if function == "plan_apply" {
            let (mut o, mut lse) = (views.remove("o").expect("an output"), views.remove("lse"));
            plan.apply_into(&self.input("v"), &mut o, lse.as_deref_mut(), &options)
        } else {
            let [mut dq, mut dk, mut dv] = ["dq", "dk", "dv"].map(|name| views.remove(name));
            plan.backward_into(
                &self.input("v"),
                &self.input("o"),
                &self.input("lse"),
                &self.input("d_o"),
                GradientsMut {
                    dq: dq.as_deref_mut(),
                    dk: dk.as_deref_mut(),
                    dv: dv.as_deref_mut(),
                    d_lag_bias: None,
                },
                &options,
            )
        };
        self.outputs = outputs;
        Ok(Some(result?))
    }

    fn plan(
        &self,
        asked: &Value,
        set_as: &Value,
        context: &Context,
    ) -> Result<Plan<T, IxDyn>, Failure> {
        let bias = self.lag_bias()?;
        let mut attention = with_options(Attention::new(), &asked["options"], set_as);
        if let Some(bias) = &bias {
            attention = attention.lag_bias(bias);
        }
        if let Some(ranges) = &self.key_ranges {
            attention = attention.key_ranges(ranges);
        }
        let v = (asked["values"] == true).then(|| self.input("v"));
        let plan =
            attention
                .context(context)
                .plan(&self.input("q"), &self.input("k"), v.as_deref())?;
        Ok(plan)
    }
}
