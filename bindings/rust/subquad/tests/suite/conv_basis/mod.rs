//! Conv bases: each operation against dense f64 arithmetic.

mod apply;
mod attention;
mod backward;
pub mod budget;
mod context;
mod create;
mod dense;
mod errors;
mod find;
mod logits;
mod loss;
mod multiply;
mod structured;
mod views;
mod wisdom;
